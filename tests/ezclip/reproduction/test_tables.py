"""Tables of the paper: its numbers, and cells computed from stored results."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pytest import CaptureFixture

from ezclip.cli import main
from ezclip.reproduction.protocols import Run, Workspace, protocols
from ezclip.reproduction.tables import (
    Statistics,
    TableOptions,
    cell_statistics,
    cells,
    comparison_table,
    missing_runs,
)
from ezclip.types import RIVALS

ROOT = Path(__file__).parents[3]
PLAIN = Run("base_to_novel", "ucf101")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 10, 11, 12, 13])
def test_tables_hold_the_papers_numbers(number: int) -> None:
    _, rows = cells(number, PLAIN)
    runs = [cell.run for row in rows for cell in row if cell.run]
    assert runs and len({run.name for run in runs}) == len(set(runs)), "names of runs are unique"
    by_name = protocols(ROOT)
    assert all(run.trained_on in by_name[run.protocol].sets for run in runs)
    for row in rows:
        for base, novel, mean in zip(*[iter(row)] * 3, strict=False):
            if mean.metric == "harmonic_mean" and None not in (base.paper, novel.paper, mean.paper):
                expected = 2 * base.paper * novel.paper / (base.paper + novel.paper)  # type: ignore[operator]
                assert mean.paper == pytest.approx(expected, abs=1.1), (row[0].row, base.column)


def store(place: Workspace, run: Run, accuracies: dict) -> None:
    path = place.result(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"last": accuracies}))


def test_seeds_are_averaged_and_draws_counted(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    place = Workspace(tmp_path, tmp_path / "data")
    _, rows = cells(2, PLAIN)
    cell = next(c for row in rows for c in row if c.row == "EZ-CLIP" and c.column == "UCF-101 base")
    assert cell.run is not None and cell.paper == 94.4
    lacking = [run for run in missing_runs(2, place, PLAIN, ["ucf101"]) if run.method == "ezclip"]
    assert [run.seed for run in lacking] == [0, 1, 2]
    trained = [
        {run.method for run in missing_runs(2, place, PLAIN, ["ucf101"], rivals=rivals)} for rivals in (False, True)
    ]
    rivals = {*RIVALS} - {"mote"}  # which is not trained here
    assert trained == [{"clip", "ezclip"}, {"clip", "ezclip", *rivals}], "rivals are trained where they are asked for"
    for seed, value in ((0, 0.5), (1, 0.7)):
        store(place, replace(cell.run, seed=seed), {"ucf101": {"base": value, "novel": 0.5, "harmonic_mean": 0.5}})
    assert cell_statistics(cell, place) == Statistics(pytest.approx(60.0), pytest.approx(200**0.5), 2)
    assert cell_statistics(cell, place, TableOptions("best")) is None
    printed = comparison_table(2, place, PLAIN)[1]
    assert printed[-1][printed[0].index(cell.column)] == "94.4 / 60.0 ± 14.1 (2)"
    assert [run.seed for run in missing_runs(2, place, PLAIN, ["ucf101"]) if run.method == "ezclip"] == [2]


def test_harmonic_mean_of_several_runs(tmp_path: Path) -> None:
    place = Workspace(tmp_path, tmp_path / "data")
    cell = next(c for row in cells(2, PLAIN)[1] for c in row if c.row == "EZ-CLIP" and c.column == "UCF-101 HM")
    assert cell.run is not None
    for seed, base, novel in ((0, 0.8, 0.2), (1, 0.4, 0.6)):
        mean = 2 * base * novel / (base + novel)
        accuracies = {"base": base, "novel": novel, "harmonic_mean": mean}
        store(place, replace(cell.run, seed=seed), {"ucf101": accuracies})
    of_means, mean = (cell_statistics(cell, place, TableOptions(harmonic_mean=rule)) for rule in ("of-means", "mean"))
    assert of_means and of_means.mean == pytest.approx(48.0)  # of 0.6 and 0.4
    assert mean and mean.mean == pytest.approx(40.0)  # of 0.32 and 0.48


def test_unseen_classes_are_counted_beside_the_papers(tmp_path: Path) -> None:
    place = Workspace(tmp_path, tmp_path / "data")
    rows = cells(1, PLAIN)[1]
    cell = next(c for row in rows for c in row if c.row == "EZ-CLIP B/16, T = 8" and c.data_set == "kinetics600")
    assert cell.run is not None
    rules = {"paper": (0.7, 220), "names": (0.6, 231)}
    unseen = {rule: {"top1": top1, "classes": count} for rule, (top1, count) in rules.items()}
    store(place, cell.run, {"hmdb51": {"top1": 0.5}, "ucf101": {"top1": 0.8}, "kinetics600": {"unseen": unseen}})
    for rule, (top1, count) in rules.items():
        head, *body = comparison_table(1, place, PLAIN, TableOptions(unseen=rule))[1]  # type: ignore[arg-type]
        assert head[-1] == f"K-600, classes: paper 220, here {count}"
        assert [row[-1] for row in body if row[0] == cell.row] == [f"70.1 / {100 * top1:.1f} (1)"]
    assert cell_statistics(cell, place, TableOptions(unseen="rivals")) is None
    unseen["rivals"] = {"top1": 0.65, "classes": 160}
    store(place, cell.run, {"kinetics600": {"unseen": unseen}, "hmdb51": {"top1": 0.5}, "ucf101": {"top1": 0.8}})
    head, *body = comparison_table(1, place, PLAIN, TableOptions(unseen="rivals"))[1]
    assert head[-1] == "K-600, classes: paper 220, here 160 (mean over 3 lists; rivals 160)"
    assert [row[-1] for row in body if row[0] == cell.row] == ["70.1 / 65.0 (1)"]


def test_classes_that_gain_most_are_means_over_seeds(tmp_path: Path) -> None:
    """Table 9: a seed counts where both models have been trained with it."""
    place = Workspace(tmp_path, tmp_path / "data")
    run = Run("base_to_novel", "ssv2")
    title, (_, first, *_) = comparison_table(9, place, PLAIN)
    assert "last epoch; mean ± standard deviation of the gains at equal seeds (runs)" in title
    assert first[1:] == ["", ""]
    means = {("base", 0): (0.2, 0.5), ("ezclip", 0): (0.6, 0.5), ("base", 1): (0.1, 0.4), ("ezclip", 1): (0.7, 0.3)}
    for (method, seed), (moving, holding) in (means | {("ezclip", 2): (1.0, 1.0)}).items():
        accuracies = {"Holding something": holding, "Moving something up": moving}
        rows = {name: {"top1": top1, "half": "base"} for name, top1 in accuracies.items()}
        rows["Moving something down"] = {"top1": float(method == "ezclip"), "half": "novel"}  # gains most, is left out
        store(place, replace(run, method=method, seed=seed), {"ssv2": {"per_class": rows}})  # type: ignore[arg-type]
    _, first, second, *_ = comparison_table(9, place, PLAIN)[1]
    assert first[1:] == ["Moving something up", "+50.0 ± 14.1 (2)"]
    assert second[1:] == ["Holding something", "-5.0 ± 7.1 (2)"]
    place.result(replace(run, method="base", seed=1)).unlink()
    assert comparison_table(9, place, PLAIN)[1][1][1:] == ["Moving something up", "+40.0 (1)"]
    assert comparison_table(9, place, PLAIN, TableOptions("best"))[1][1][1:] == ["", ""]


@pytest.mark.parametrize(
    ("number", "options", "differences"),
    [
        (5, [], ["corner crops", "jitter draw per clip", "own descriptions"]),
        (9, [], ["corner crops", "jitter draw per clip", "own descriptions"]),
        (5, ["--preset", "paper"], ["against the paper's: own descriptions"]),
        (8, [], []),
    ],
)
def test_tables_say_where_the_recipe_differs(
    number: int, options: list[str], differences: list[str], capsys: CaptureFixture[str]
) -> None:
    command = ["table", str(number), "--root", str(ROOT), *options]
    assert main(command) == 0
    printed = capsys.readouterr().out
    notes = [line for line in printed.splitlines() if line.startswith("Recipe of EZ-CLIP against the ")]
    assert len(notes) == bool(differences) and all(part in notes[0] for part in differences)
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["note"] == "".join(notes)
