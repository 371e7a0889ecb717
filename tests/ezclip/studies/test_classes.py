"""Class by class: tables of predictions, and the shipped results."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from ezclip.checkpoints.cards import shipped_accuracy, shipped_report, shipped_variants
from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.evidence import MEANING
from ezclip.evaluation.run import Evaluation
from ezclip.evaluation.shards import INDEX
from ezclip.evaluation.shipped import shipped_evaluations
from ezclip.evaluation.summary import class_accuracies
from ezclip.progress import finish
from ezclip.studies.classes import Classes, ClassStudy, Evaluate
from ezclip.studies.host import Host
from tests.conftest import assert_same


def study(first: str, second: str = "") -> ClassStudy:
    return finish(Classes(first, second).run(Host("cpu")))


def test_one_table_alone(tmp_path: Path) -> None:
    table = tmp_path / "one.csv"
    table.write_text("path,label,prediction,a,b\nx/1.mp4,a,a,0.9,0.1\nx/2.mp4,b,a,0.8,0.2\nx/3.mp4,b,b,0.1,0.9\n")
    result = study(str(table))
    assert result.comparison is None and result.verdict == "table has 66.7% top-1 on 3 clips of 2 classes."
    low, high = class_accuracies(result.model)["b"][1:]
    # Wilson by hand for 1 of 2: (1/2 + z²/4) / (1 + z²/2) ± z/(1 + z²/2) sqrt(1/8 + z²/16), z = 1.96
    assert (low, high) == (pytest.approx(0.0945, abs=1e-3), pytest.approx(0.9055, abs=1e-3))
    files = result.report().write(tmp_path / "out")
    assert {"classes", "classes_chart", "confusion_table", "predictions"} <= set(files)
    assert "classwise" not in files


def test_shipped_results() -> None:
    report = shipped_report()
    assert set(shipped_variants()) >= {"base", "motion", "prompts", "ezclip"}
    result = study("base", "ezclip")
    assert_same(result.comparison.as_json(), report["comparisons"]["base->ezclip"], within=1e-12)
    class_map = report["class_maps"]["base->ezclip"]
    assert result.class_map.as_json() == class_map
    for pair in permutations(shipped_variants(), 2):
        mapped = study(*pair).class_map
        assert mapped.models == list(mapped.silhouette) == list(pair) and mapped.points.shape == (
            2,
            len(mapped.rows),
            2,
        )
    turned = study("ezclip", "base").class_map
    assert np.array_equal(turned.points, result.class_map.points[::-1])
    assert shipped_accuracy("ezclip")["families"]["night"]["n"] > 0 and shipped_accuracy("x") == {}
    with pytest.raises(UserError, match="'x'"):
        shipped_evaluations(["x", "base"])


def test_evidence_is_printed_and_reported() -> None:
    rows = [Row(Path(f"{label}/{i}.mp4"), label) for i in range(2) for label in ("a", "b")]
    evaluations = [Evaluation(name, ["a", "b"], rows, torch.eye(2).repeat(2, 1)) for name in ("base", "ezclip")]
    tops = {"base": (1.0, 1.0, 0.5), "ezclip": (0.9, 0.2, 0.6)}
    orders = {
        name: {"as it is": {"top1": plain}, "reversed": {"top1": turned}}
        | {kind: {"top1": other} for kind in ("static", "shuffled")}
        for name, (plain, turned, other) in tops.items()
    }
    study = ClassStudy(Evaluate("x"), [], evaluations, orders=orders)
    printed = study.text()
    assert "Evidence under base, then ezclip" in printed
    # kappa and tau: none for base, whose frozen accuracy is at the chance of 1/2; 0.9 / 0.6 - 1
    for name, values in (("multi_frame_gain", "undefined      0.500"), ("reverse_drop", "0.000      0.700")):
        (line,) = (line for line in printed.splitlines() if f"  {name.replace('_', ' ')}: " in line)
        assert values in line and all(text in line for text in MEANING[name])
    assert "frame order sensitivity: " in printed
    (table,) = (part for part in study.report().parts if part.name == "evidence")
    assert table.columns == ["measure", "base", "ezclip", "meaning", "reference"]
    assert ["reverse drop", 0.0, pytest.approx(0.7), *MEANING["reverse_drop"]] in table.rows
    assert "Evidence" not in ClassStudy(None, [], evaluations).text()


@pytest.mark.slow
def test_evidence_of_a_model_that_is_blind_to_order(host: Host, drawn: Path, tmp_path: Path) -> None:
    document = finish(Evaluate(str(drawn), model="tabletop/base", order=True).run(host)).as_json()
    evidence = {name: one["value"] for name, one in document["evidence"].items()}
    assert evidence["chiral_accuracy"] == document["within_pairs"] == pytest.approx(0.5, abs=0.13)
    assert evidence["reverse_drop"] == pytest.approx(0, abs=0.07)  # equal but for bf16
    assert evidence["opposite_text_v2t"] == pytest.approx(0.5, abs=0.13)
    assert evidence["mean_frame"] <= evidence["any_frame"] and set(evidence) == set(MEANING) - {"order_blind"}
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(UserError, match="Embedded"):
        finish(Evaluate(str(tmp_path), order=True).run(host))
