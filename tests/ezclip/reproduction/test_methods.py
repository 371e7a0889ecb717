"""Methods trained with one recipe: their rows in tables, in RESULTS.md and on the page."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ezclip.errors import ConfigError
from ezclip.evaluation.metrics import wilson
from ezclip.reproduction.methods import FAIRNESS, tabletop_rows
from ezclip.reproduction.protocols import Run, Workspace
from ezclip.reproduction.report.results import write_results
from ezclip.reproduction.tables import cells, comparison_table, measured_table

ROOT = Path(__file__).parents[3]

COST = {
    "parameters": {"tunable": 2_500_000}, "gmac": {"all": 2.0354}, "views_per_second": 58.8,
    "training_step_seconds": 0.1625, "peak_bytes": 40 * 2**20,
}  # fmt: skip
COST_CELLS = ["2.500", "2.04", "58.8", "0.163", "40"]


def report(top1: float, n: int) -> dict[str, Any]:
    return {"top1": top1, "n": n, "interval": wilson(round(top1 * n), n), "within_pairs": 0.625}


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """Results of ViFi-CLIP alone, and costs of ViFi-CLIP and EZ-CLIP."""
    folder = tmp_path / "results" / "tabletop" / "methods"
    folder.mkdir(parents=True)
    reports = {"result": report(0.25, 464), "novel": report(0.5, 32), "novel_among_all": report(0.0, 32)}
    (folder / "vificlip.json").write_text(json.dumps(reports | {"harmonic_mean": 1 / 3}))
    rows = [{"variant": method, **COST} for method in ("ezclip", "vificlip")]
    (folder / "cost.json").write_text(json.dumps({"rows": rows}))
    return Workspace(tmp_path, tmp_path / "data")


def test_rows_of_tabletop(place: Workspace) -> None:
    folder = place.root / "results" / "tabletop" / "methods"
    # Wilson, z = 1.96: centre (p + z^2/2n) / (1 + z^2/n), here for 16 of 32 and for 0 of 32
    ezclip, vificlip, *others = tabletop_rows(2, folder)
    assert vificlip == ["ViFi-CLIP", *COST_CELLS, "25.0 [21.3, 29.1]", "62.5", "50.0 [33.6, 66.4]", "33.3"]
    assert ezclip == ["EZ-CLIP", *COST_CELLS, *["not run"] * 4]
    assert others == [[name, *[""] * 5, *["not run"] * 4] for name in ("ActionCLIP", "A5 (Efficient-Prompt)", "X-CLIP")]
    assert tabletop_rows(1, folder)[1] == ["ViFi-CLIP", *COST_CELLS, "0.0 [0.0, 10.7]"]
    (folder / "cost.json").unlink()
    assert tabletop_rows(7, folder)[1] == ["ViFi-CLIP", *[""] * 5, "25.0 [21.3, 29.1]"]
    assert tabletop_rows(7, place.root) == []


def test_runs_stand_below_tabletop(place: Workspace) -> None:
    defaults = Run("zero_shot", "kinetics400")
    cell = next(c for row in cells(1, defaults)[1] for c in row if (c.row, c.data_set) == ("A5", "hmdb51"))
    assert cell.run is not None and (cell.run.method, cell.run.text) == ("a5", "names")
    assert cell.run.name.endswith("a5_ViT-B-16-quickgelu-openai_T8_names_a5_seed0"), "its recipe is its own"
    assert measured_table(1, place, defaults)[1][0][-1] == "Tabletop, novel among all", "no column without a run"
    path = place.result(cell.run)
    path.parent.mkdir(parents=True)
    accuracies = {"hmdb51": {"top1": 0.5, "intervals": {"top1": wilson(50, 100)}}, "ucf101": {"top1": 0.6}}
    accuracies["kinetics600"] = {"unseen": {}}
    path.write_text(json.dumps({"last": accuracies}))
    bench = place.root / "results" / "bench" / "table_1" / "bench.json"
    bench.parent.mkdir(parents=True)
    bench.write_text(json.dumps({"table": 1, "rows": [{"name": "A5", **COST}]}))
    title, (head, ezclip, vificlip, *_, a5) = measured_table(1, place, defaults)
    assert "(last epoch; runs behind each accuracy)" in title
    assert ezclip[6] == "not run" and vificlip[6] == "0.0 [0.0, 10.7] (1)"
    assert head[-3:] == ["HMDB-51", "UCF-101", "K-600"] and vificlip[0] == "ViFi-CLIP"
    assert a5 == ["A5", *COST_CELLS, "", "50.0 [40.4, 59.6] (1)", "60.0 (1)", ""]
    path.with_name(path.name.replace("seed0", "seed1")).write_text(
        json.dumps({"last": accuracies | {"hmdb51": {"top1": 0.6}}})
    )
    assert measured_table(1, place, defaults)[1][-1][-3] == "55.0 ± 7.1 (2)"
    with pytest.raises(ConfigError, match="Table 5 does not compare methods; --measured is for 1, 2 and 7"):
        measured_table(5, place, replace(defaults, protocol="base_to_novel"))


def test_costs_stand_with_what_bench_measured(place: Workspace) -> None:
    """Table 7, also with --measured: models of ``ezclip bench`` were run once."""
    bench = place.root / "results" / "bench" / "bench.json"
    bench.parent.mkdir()
    gmac, parameters = {"all": 2.0354, "linear_and_conv": 1.1}, {"tunable": 2_500_000, "total": 9_100_000}
    row = {"name": "tabletop/base", **COST, "gmac": gmac, "parameters": parameters}
    row |= {"top1": 0.5, "clips": 100, "data": "val"}
    bench.write_text(json.dumps({"device": "cpu", "dtype": "bfloat16", "rows": [row]}))
    title, rows = measured_table(7, place, Run("", ""))
    assert "(runs behind each accuracy)" in title and rows[2][6] == "25.0 [21.3, 29.1] (1)"
    assert rows[-1] == ["tabletop/base (cpu, bfloat16)", *COST_CELLS, "50.0 [40.4, 59.6] (1) on val"]
    title, rows = comparison_table(7, place, Run("", ""))
    assert "(runs of the command)" in title and rows[4] == ["EZ-CLIP (paper)", "102", "322.4", "87.5", "5.2"]
    assert rows[5] == ["tabletop/base, here (cpu, bfloat16)", "4.1 (1.1 GMAC as thop counts)", "58.8 (1)", "9.1", "2.5"]


def test_table_7_has_the_papers_model_measured_here() -> None:
    """ViT-B/16, 8 frames: the parameters that the paper counts, and its 102 GFLOPs between our two counts."""
    head, *rows = comparison_table(7, Workspace(ROOT, ROOT / "data"), Run("", ""))[1]
    assert head == ["", "GFLOPs", "views/s", "parameters (M)", "tunable (M)"]
    (row,) = [row for row in rows if row[0].startswith("ezclip ViT-B-16-quickgelu, random weights, here (")]
    assert row[1] == "275.5 (87.9 GMAC as thop counts)" and row[3:] == ["154.8", "5.2"]
    assert float(row[2].removesuffix(" (1)")) > 0


def test_results_say_why_published_numbers_differ(place: Workspace) -> None:
    text = write_results(place.root / "results" / "tabletop").read_text()
    cells = " | ".join(
        ["ViFi-CLIP", *COST_CELLS, "25.0 [21.3, 29.1]", "62.5", "50.0 [33.6, 66.4]", "33.3", "0.0 [0.0, 10.7]"]
    )
    assert f"| {cells} |" in " ".join(text.split())
    assert len(FAIRNESS) == 5 and all(f"- {line}\n" in text for line in FAIRNESS)
