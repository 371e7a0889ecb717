"""``reproduce tabletop --fast`` from the data to the study, and its tables."""

import json
from pathlib import Path

import pytest

from ezclip.errors import ConfigError
from ezclip.training.reproduce import FAST, NOVEL, STEPS, Reproduction, reproduce
from ezclip.training.results import write_results

ROOT = Path(__file__).parents[3]


def test_steps_have_names_of_their_own() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names) and names[:2] == ["data", "backbone"]
    assert NOVEL == ("Pushing something from right to left", "Pulling something from left to right")


def test_tables_say_what_was_not_run(tmp_path: Path) -> None:
    results = tmp_path / "results" / "tabletop"
    results.mkdir(parents=True)
    run = {"result": {"top1": 0.5, "within_pairs": 0.75}, "seed": 0}
    (results / "ezclip.json").write_text(json.dumps(run))
    (results / "ezclip_seed1.json").write_text(json.dumps(run | {"result": {"top1": 0.7, "within_pairs": 0.85}}))
    text = write_results(results).read_text()
    assert "| yes | yes | ezclip | 60.0 % (50.0 to 70.0) | 80.0 % (75.0 to 85.0) | 2 | 54.0 | 20.6 | 79.1 |" in text
    assert "| no | no | base | not run | not run | 0 |" in text
    assert "chance" in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fast_reproduction_resumes(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    r = Reproduction(tmp_path, FAST)
    with pytest.raises(ConfigError, match="no step 'dinner'"):
        reproduce(r, resume=True, until="dinner")
    said: list[str] = []
    ran = reproduce(r, resume=False, until="study", say=said.append)
    assert ran == ["data", "backbone", "ezclip", "base", "prompts", "motion", "study"]
    assert reproduce(r, resume=True, until="study") == []
    study = json.loads((r.results / "study" / "report.json").read_text())
    assert study["test"]["base"]["within_pairs"] == pytest.approx(0.5, abs=0.1)  # equal but for bf16
    assert set(study["order"]["base"]) >= {"reversed", "frozen"}
    assert {row["family"] for row in study["attention"]} >= {"ordinary", "night", "fast"}
    assert (tmp_path / "runs" / "fast" / "RESULTS.md").is_file()
    assert not (tmp_path / "results").exists()
