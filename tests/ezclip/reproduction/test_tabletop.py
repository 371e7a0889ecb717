"""``reproduce tabletop --fast`` from the data to the study, and its tables."""

import json
import shutil
from pathlib import Path

import pytest

from ezclip.cli import main
from ezclip.reproduction.methods import RATES, TRAINED_ALIKE
from ezclip.reproduction.report.results import write_results
from ezclip.reproduction.stages import STAGES
from ezclip.reproduction.tabletop import NOVEL

ROOT = Path(__file__).parents[3]


def test_stages_have_unique_names() -> None:
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names) and names[:2] == ["data", "backbone"]
    assert TRAINED_ALIKE == tuple(RATES) and {f"methods/{method}" for method in RATES} < set(names)
    assert NOVEL == ("Pushing something from right to left", "Pulling something from left to right")


def test_results_md_is_up_to_date(tmp_path: Path) -> None:
    results = shutil.copytree(ROOT / "results", tmp_path / "results") / "tabletop"
    assert write_results(results).read_text("utf-8") == (ROOT / "RESULTS.md").read_text("utf-8")


def test_tables_say_what_was_not_run(tmp_path: Path) -> None:
    results = tmp_path / "results" / "tabletop"
    results.mkdir(parents=True)
    run = {"result": {"top1": 0.5, "within_pairs": 0.75}, "seed": 0}
    (results / "ezclip.json").write_text(json.dumps(run))
    spread = {"real": {"mean": 0.04}, "static": {"mean": 0.01}}
    second = run | {"result": {"top1": 0.7, "within_pairs": 0.85, "spread": spread}}
    (results / "ezclip_seed1.json").write_text(json.dumps(second))
    text = " ".join(write_results(results).read_text().split())
    assert "| yes | yes | ezclip | 60.0 % (50.0 to 70.0) | 80.0 % (75.0 to 85.0) | 0.0400 | 25.0 % | 2 | 54.0 |" in text
    assert "| no | no | base | not run | not run | | | 0 |" in text
    assert "chance" in text


@pytest.mark.slow
def test_fast_reproduction_resumes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")

    def run(until: str) -> tuple[int, str, str]:
        command = ["reproduce", "tabletop", "--fast", "--resume", "--root", str(tmp_path), "--until", until]
        return main(command), *capfd.readouterr()

    status, _, stderr = run("dinner")
    assert status == 2 and "no stage 'dinner'" in stderr
    status, out, stderr = run("study")
    assert status == 0 and "7 stages done: data, backbone, ezclip, base, prompts, motion, study" in out, stderr
    assert "0 stages done" in run("study")[1]
    base = tmp_path / "runs" / "fast"
    study = json.loads((base / "results" / "tabletop" / "study" / "report.json").read_text())
    assert study["test"]["base"]["within_pairs"] == pytest.approx(0.5, abs=0.1)  # equal but for bf16
    assert set(study["order"]["base"]) >= {"reversed", "static"}
    assert {row["family"] for row in study["attention"]} >= {"ordinary", "night", "fast"}
    assert (base / "RESULTS.md").is_file() and not (tmp_path / "results").exists()
