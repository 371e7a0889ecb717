"""Tables of evaluations, with counts and shares by hand."""

from pathlib import Path

import pytest
import torch

from ezclip.data.manifest import Row
from ezclip.evaluation.classwise import compare
from ezclip.evaluation.evidence import MEANING, annotate
from ezclip.evaluation.run import Evaluation
from ezclip.evaluation.summary import (
    accuracy_table,
    class_accuracies,
    class_parts,
    comparison_parts,
    confusion_parts,
    evidence_table,
    family_parts,
    predictions_table,
)
from ezclip.figures.report import Picture, Table

TWO_OF_THREE = (pytest.approx(2 / 3), pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))
ONE_OF_ONE = (1, pytest.approx(0.2065, abs=1e-4), 1)
NONE_OF_ONE = (0, 0, pytest.approx(0.7935, abs=1e-4))


def evaluated(model: str, answers: str, truth: str = "aaab", labels: str = "abc", family: str = "") -> Evaluation:
    """Clips of the classes ``truth`` with these answers; families by their first letters; a and b are twins."""
    families = {"n": "night", "f": "fog_bank"}
    rows = [
        Row(Path(f"c/{i}.mp4"), actual, {"a": "b", "b": "a"}.get(actual), families[family[i]] if family else None)
        for i, actual in enumerate(truth)
    ]
    scores = torch.tensor([[0.75 if label == answer else 0.125 for label in labels] for answer in answers])
    return Evaluation(model, list(labels), rows, scores)


def tables(parts: list[Table | Picture]) -> dict[str, Table]:
    return {part.name: part for part in parts if isinstance(part, Table)}


def test_class_accuracies_have_wilson_intervals() -> None:
    """(p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), z = 1.96: of 2 of 3, and of 1 of 1."""
    intervals = class_accuracies(evaluated("m", "abab"))
    assert intervals == {"a": TWO_OF_THREE, "b": ONE_OF_ONE}, "nothing of c, which has no clips"


def test_the_classes_of_two_models_stand_side_by_side() -> None:
    chart, table = class_parts([evaluated("m", "abab"), evaluated("n", "aaaa")])
    assert isinstance(table, Table) and (chart.name, table.name) == ("classes_chart", "classes")
    assert table.columns == ["class", "clips", "m", "m: 95 % from", "m: to", "n", "n: 95 % from", "n: to"]
    three_of_three = (1, pytest.approx(0.4385, abs=1e-4), 1)  # 1 / (1 + z²/3)
    assert table.rows == [["a", 3, *TWO_OF_THREE, *three_of_three], ["b", 1, *ONE_OF_ONE, *NONE_OF_ONE]]


def test_confusions_are_counted_by_true_class() -> None:
    picture, table = confusion_parts(evaluated("tabletop/base", "abac"))
    assert isinstance(table, Table) and picture.name == "confusion_tabletop_base"
    assert (table.name, table.columns[1:]) == ("confusion_tabletop_base_counts", ["a", "b", "c"])
    assert table.rows == [["a", 2, 1, 0], ["b", 0, 0, 1], ["c", 0, 0, 0]] and not table.on_page


def test_predictions_have_a_column_for_each_class() -> None:
    table = predictions_table(evaluated("m", "ca", "ab"), "predictions")
    assert (table.name, table.columns) == ("predictions", ["path", "label", "prediction", "a", "b", "c"])
    assert table.rows == [["c/0.mp4", "a", "c", 0.125, 0.125, 0.75], ["c/1.mp4", "b", "a", 0.75, 0.125, 0.125]]


def test_accuracies_end_with_chance() -> None:
    """Ten classes, all answers right, then all wrong: twice the clip's twin, once a class that is no twin."""
    right, wrong = evaluated("right", "aab", "aab", "abcdefghij"), evaluated("wrong", "bca", "aab", "abcdefghij")
    table = accuracy_table([right, wrong])
    assert table.columns == ["model", "clips", "top-1", "95 % from", "to", "top-5", "chiral accuracy (within pairs)"]
    first, second, chance = table.rows
    assert first == ["right", 3, 1, 1, 1, 1, 1]
    assert second[:5] == ["wrong", 3, 0, 0, 0]
    assert second[6] == pytest.approx(1 / 6), "of the last the twins score alike, which counts half"
    assert chance == ["chance", "", 0.1, "", "", 0.5, 0.5]


def test_few_classes_are_all_among_the_best_five() -> None:
    (_, chance) = accuracy_table([evaluated("m", "abab")]).rows
    assert chance == ["chance", "", 1 / 3, "", "", 1, 0.5]


def test_families_are_counted_apart() -> None:
    models = [evaluated("m", "acab", family="nfnf"), evaluated("n", "bbca", family="nfnf")]
    parts = family_parts(models)
    assert [part.name for part in parts] == ["families", "families_chart"]
    table = tables(parts)["families"]
    assert table.columns[:3] == ["family", "m: top-1", "m: chiral accuracy (within pairs)"] and len(table.columns) == 5
    # at night two clips of a, in fog one of a and one of b; where the answer is c, the twins score alike
    assert table.rows == [["fog_bank", 0.5, 0.75, 0, 0], ["night", 1, 1, 0, 0.25]]
    assert family_parts([evaluated("m", "abab")]) == []


def test_a_measure_that_a_model_lacks_is_left_empty() -> None:
    evidence = {"base": annotate({"any_frame": 0.25}), "ezclip": annotate({"any_frame": 0.5, "curvature": 90.0})}
    table = evidence_table(evidence, "Evidence", "a note")
    assert table.columns == ["measure", "base", "ezclip", "meaning", "reference"] and table.note == "a note"
    assert table.rows == [
        ["any frame", 0.25, 0.5, *MEANING["any_frame"]],
        ["curvature", None, 90, *MEANING["curvature"]],
    ]


def test_a_comparison_lists_what_is_fixed_and_created() -> None:
    parts = comparison_parts(compare(evaluated("m", "bbab"), evaluated("n", "aaac")))
    assert [part.name for part in parts] == ["dumbbells", "classwise_chart", "classwise", "confusions"]
    by_name = tables(parts)
    assert by_name["classwise"].columns[2:5] == ["m", "n", "difference"]
    first, *classes = by_name["classwise"].rows
    assert first[:5] == ["all classes", 4, 0.5, 0.75, 0.25] and first[7] == 1, "two won and one lost: p = 1"
    assert [row[:5] for row in classes] == [["a", 3, pytest.approx(1 / 3), 1, pytest.approx(2 / 3)], ["b", 1, 1, 0, -1]]
    assert by_name["confusions"].rows == [["fixed", "a", "b", 2], ["created", "b", "c", 1]]
