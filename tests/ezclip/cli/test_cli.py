"""The command line: results, JSON, error messages, and each exit code once in a process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ezclip.cli import main
from tests.conftest import FIXTURES, write_video

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


class Done(NamedTuple):
    """The exit status and output of a command."""

    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, from the project's folder."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: str | Path, status: int = 0) -> Done:
        try:
            returned = main([str(a) for a in arguments])
        except SystemExit as error:
            returned = error.code
        done = Done(*capsys.readouterr())
        assert returned == status, done.stderr
        if status == 2:
            assert "Traceback" not in done.stderr and str(ROOT) not in done.stderr
        return done

    return call


@pytest.mark.parametrize(
    ("arguments", "status"), [(["models", "--json"], 0), (["predict", "gone.mp4", "--labels", "a"], 2)]
)
def test_exit_codes_of_the_process(arguments: list[str], status: int) -> None:
    command = [sys.executable, "-m", "ezclip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == status and "Traceback" not in done.stderr
    assert json.loads(done.stdout)[0]["name"] == "tabletop/ezclip" if status == 0 else "gone.mp4" in done.stderr


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("cli") / "grey clip.mkv", count=30)


def test_predict(run: Run, clip: Path) -> None:
    answer = json.loads(run("predict", clip, "--labels", "pushing something, lifting something", "--json").stdout)
    assert set(answer) == {"clip", "model", "frames", "predictions", "motion"}
    assert (answer["clip"], answer["model"]) == ("grey clip.mkv", "tabletop/ezclip")
    assert [f["index"] for f in answer["frames"]] == [1, 5, 8, 12, 16, 20, 23, 27]
    assert answer["frames"][1]["seconds"] == pytest.approx(5 / 12, abs=2e-3)
    scores = [p["score"] for p in answer["predictions"]]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    assert set(answer["motion"]) == {
        "reading", "variance", "central_difference", "frozen_variance", "frozen_central_difference", "variance_unit",
        "central_difference_unit",
    }  # fmt: skip
    assert "lifting something" in run("predict", clip, "--labels", "pushing something, lifting something").stdout


def test_base_does_not_spread_frozen_frames(run: Run, clip: Path) -> None:
    answer = json.loads(run("predict", clip, "--labels", "a, b", "--model", "tabletop/base", "--json").stdout)
    assert answer["motion"]["frozen_variance"] == pytest.approx(0, abs=1e-6)
    assert answer["motion"]["frozen_central_difference"] == pytest.approx(0, abs=1e-6)


def test_several_clips_one_of_them_broken(run: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    clips = (clip, tmp_path / "bad.mp4", clip)
    done = run("predict", *clips, "--label-set", "ucf101", "--json", "--out", tmp_path / "out", status=2)
    answer = json.loads(done.stdout)
    assert ["error" in a for a in answer] == [False, True, False]
    assert len(answer[0]["predictions"]) == 5
    pages = sorted((tmp_path / "out").glob("*/report.html"))
    assert [page.parent.name for page in pages] == [f"1_{clip.stem}", f"3_{clip.stem}"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "gone.mp4", "--labels", "a"], "There is no file gone.mp4"),
        (["predict", "README.md", "--labels", "a"], "README.md cannot be read as a video"),
        (["predict", "README.md"], "one of --labels"),
        (["predict", "README.md", "--labels", " , "], "No class name"),
        (["predict", "README.md", "--labels", ",".join(map(str, range(10000)))], "at most 2,000"),
        (["predict", "README.md", "--labels", "a", "--model", "best"], "There is no model 'best'"),
        (["predict", "README.md", "--labels", "a", "--model", "clip:ViT-B-16-quickgelu/openai"], "give a local file"),
        (["explain", "README.md", "--out", "nowhere", "--method", "magic"], "no method 'magic'"),
        (["convert", "README.md", "nowhere"], "cannot be read as plain tensors"),
        (["evaluate", "--data", "gone"], "no manifest or folder"),
        (["train", "--config", "configs/paper.yaml", "--set", "epoch=3"], "epoch"),
        (["train", "--config", "configs/paper.yaml"], "no manifest or folder"),
        (["explain", "LICENSE", "--out", "README.md"], "cannot be used as the output folder"),
        (["fly"], "no verb 'fly'"),
    ],
)
def test_wrong_input_ends_with_2_and_one_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    assert sentence in run(*arguments, status=2).stderr
    assert not (ROOT / "nowhere").exists()


def test_explain(run: Run, clip: Path, tmp_path: Path) -> None:
    done = run(
        "explain", clip, "--out", tmp_path, "--baseline", "tabletop/base", "--label", "Moving something up", "--json"
    )
    answer = json.loads(done.stdout)
    assert set(answer) == {
        "clip", "model", "baseline", "label", "method", "dtype", "files", "influence", "scores", "faithfulness",
        "shapley", "words", "tokens",
    }  # fmt: skip
    assert answer["shapley"] is answer["words"] is answer["tokens"] is None
    np.testing.assert_allclose(np.sum(answer["influence"], axis=1), 1, atol=1e-5)
    assert {p.name for p in tmp_path.iterdir()} == {"strip.png", "influence.png", "maps.npz"}
    maps = np.load(tmp_path / "maps.npz")
    assert maps["heat_0"].shape == maps["heat_1"].shape == (8, 12, 12)
    assert set(answer["scores"]) == {"tabletop/ezclip", "tabletop/base"}
    assert answer["faithfulness"] is None
    proved = json.loads(
        run("explain", clip, "--out", tmp_path, "--method", "grad-cam", "--faithfulness", "--json").stdout
    )
    gains_of_model = proved["faithfulness"]["tabletop/ezclip"]
    assert gains_of_model["deletion_gain"] == gains_of_model["score"]["deletion"][0]
    for gains in (gains_of_model["score"], gains_of_model["logit"]):
        assert all(low < value < high for value, low, high in (gains["deletion"], gains["insertion"]))
        assert gains["srg"] == pytest.approx(gains["deletion"][0] + gains["insertion"][0])


def test_convert_synth_evaluate(run: Run, tmp_path: Path) -> None:
    converted = json.loads(run("convert", FIXTURES / "none_official.pt", tmp_path / "m", "--json").stdout)
    converted.pop("files")
    assert converted == {
        "variant": "base", "T": 8, "prompts": "none", "width": 128, "layers": 2, "patch": 16, "image_size": 64,
        "trainable": 20960,
    }  # fmt: skip
    refused = run("predict", "LICENSE", "--labels", "a", "--model", tmp_path / "m", status=2).stderr
    assert "LICENSE cannot be read" in refused
    run("synth", tmp_path / "d", "--clips-per-class", "1", "--split", "ood", "--seed", "3")
    data, folder = tmp_path / "d" / "ood", tmp_path / "r"
    out = run("evaluate", "--data", data, "--model", "tabletop/base", "--out", folder, "--json")
    report = json.loads(out.stdout)
    assert report["n"] == 31 and report["model"] == "tabletop/base"
    assert report["within_pairs"] == pytest.approx(0.5, abs=0.13)  # equal but for bf16
    assert set(report["per_class"]) and set(report["families"]) == {"unseen_objects"}
    assert (folder / "predictions.csv").read_text().count("\n") == 32
    assert json.loads((folder / "report.json").read_text()) == report
    assert "unseen_objects" in (folder / "report.html").read_text()
    run("evaluate", "--data", data, "--baseline", "tabletop/base", "--out", folder)
    assert json.loads((folder / "report.json").read_text())["comparison"]["models"] == [
        "tabletop/base", "tabletop/ezclip",
    ]  # fmt: skip
    assert (folder / "classwise_chart.png").is_file()


def test_motion_frames_timeline(run: Run, clip: Path, tmp_path: Path) -> None:
    document = json.loads(run("motion", clip, "--labels", "a, b", "--out", tmp_path / "motion", "--json").stdout)
    assert json.loads((tmp_path / "motion" / "report.json").read_text()) == document
    assert "python -m ezclip motion" in (tmp_path / "motion" / "report.html").read_text()
    assert set(document["models"]) == {"tabletop/base", "tabletop/ezclip"} and len(document["verdicts"]) == 2
    variations = [p["variation"] for p in document["models"]["tabletop/base"]]
    assert variations[:2] == ["as it is", "reversed"] and len(variations) == 7
    out = tmp_path / "plane"
    document = json.loads(run("frames", clip, "--out", out, "--projection", "PCA", "--json").stdout)
    assert all(0 <= s["phantom_share"] <= 2 for of_model in document["motion"] for s in of_model)
    assert len(document["points"]) == 16 and document["difference"] == "the two differ by the motion loss alone"
    assert (out / "points.csv").read_text().count("\n") == 17
    document = json.loads(
        run("timeline", clip, "--labels", "a, b", "--seconds", "1", "--step", "0.5", "--json", "--out", out).stdout
    )
    starts = [w["start"] for w in document["windows"]]
    assert len(starts) == 4 and np.allclose(np.diff(starts), 0.5, atol=0.05)
    assert len(json.loads((out / "windows.json").read_text())) == 4 and (out / "scores_1.svg").is_file()
    assert (out / "attention.png").is_file()
    (out / "own.csv").write_text('number,class,description\n0,a,"A sentence of its own."\n')
    both = run(
        "timeline", clip, "--labels", "a, b", "--baseline", "tabletop/base", "--sentences", out / "own.csv", "--json"
    )
    predictions = json.loads(both.stdout)["windows"][0]["predictions"]
    assert list(predictions) == ["tabletop/base", "tabletop/ezclip"]
    assert predictions["tabletop/ezclip"] != document["windows"][0]["predictions"]["tabletop/ezclip"]
    assert "between 0.1" in run("timeline", clip, "--labels", "a", "--step", "0", status=2).stderr


def test_damage(run: Run, clip: Path) -> None:
    plain, dark = (
        json.loads(run("predict", clip, "--labels", "a, b", "--json", *flags).stdout)["predictions"]
        for flags in ([], ["--darkness", "0.9"])
    )
    assert plain != dark
    assert "between 0 and 1" in run("predict", clip, "--labels", "a", "--blur", "2", status=2).stderr


def test_former_names_work_with_a_warning(run: Run, clip: Path, tmp_path: Path) -> None:
    done = run("project", clip, "--out", tmp_path, "--first", "tabletop/base", "--method=PCA", "--json")
    assert json.loads(done.stdout)["models"] == ["tabletop/base", "tabletop/ezclip"]
    for old, new in (("project", "frames"), ("--first", "--baseline"), ("--method", "--projection")):
        assert f"{old} is now called {new}" in done.stderr
    for old in ("probe", "scan", "damage"):
        assert "warning" in run(old, clip, "--labels", "a, b", "--json").stderr


def test_help_and_models(run: Run) -> None:
    assert "predict" in run("--help").stdout
    assert "--labels" in run("predict", "--help").stdout
    names = [m["name"] for m in json.loads(run("models", "--json").stdout)]
    assert names[0] == "tabletop/ezclip" and "tabletop/base" in names


def test_cheap_refusals_do_not_import_torch() -> None:
    call = "main(['predict', 'gone.mp4', '--labels', 'a'])"
    code = f"import sys; from ezclip.cli import main; assert {call} == 2 and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_compare_two_tables(run: Run, tmp_path: Path) -> None:
    for name, score in (("first", 0.2), ("second", 0.9)):
        (tmp_path / f"{name}.csv").write_text(f"path,label,prediction,a,b\nx/1.mp4,a,a,{score},0.5\n")
    out = tmp_path / "compared"
    saved = json.loads(run("classes", tmp_path / "first.csv", tmp_path / "second.csv", "--out", out, "--json").stdout)
    compared = saved["comparison"]
    assert compared["overall"]["difference"] == 1.0 and compared["fixed"] == [["a", "b", 1]]
    files = {path.name for path in out.iterdir()}
    assert {"report.html", "classwise.csv", "classwise_chart.svg", "classes.csv", "classes_chart.png"} <= files
    alone = run("classes", tmp_path / "first.csv", "--out", tmp_path / "alone").stdout
    assert "table has 0.0% top-1 on 1 clips" in alone and "0.0%  a (1)" in alone
    gone = run("classes", tmp_path / "first.csv", tmp_path / "gone.csv", status=2)
    assert "no table 'gone.csv'" in gone.stderr


def test_what_ships_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    document = json.loads(run("classes", "base", "ezclip", "--out", tmp_path, "--json").stdout)
    report = json.loads((ROOT / "results" / "tabletop" / "study" / "report.json").read_text())
    assert document["comparison"] == report["comparisons"]["base->ezclip"]
    assert (tmp_path / "class_map.png").is_file() and (tmp_path / "confusion_ezclip.png").is_file()
    card = json.loads(run("models", "tabletop/ezclip", "--json").stdout)[0]
    assert card["measured"]["test"]["top1"] == document["top1"]
    assert "night" in run("models", "tabletop/ezclip").stdout
    assert "no model 'best'" in run("models", "best", status=2).stderr


def test_live(run: Run, clip: Path, tmp_path: Path) -> None:
    lines = run(
        "live", clip, "--labels", "a, b", "--seconds", "1", "--top-k", "1", "--out", tmp_path
    ).stdout.splitlines()
    rows = json.loads((tmp_path / "rankings.json").read_text())
    assert [row["label"] for row in rows] == [line.split("guess: ")[1] for line in lines[-2:]], "of the last window"
    assert len(lines) >= 2 and "tabletop/base" in lines[0] and "tabletop/ezclip" in lines[1]
    assert "cannot be read" in run("live", "camera:77", "--labels", "a, b", status=2).stderr
    assert "cannot be read" in run("live", "README.md", "--labels", "a, b", status=2).stderr


def test_analyse_a_real_clip(run: Run, tmp_path: Path, clips: Path) -> None:
    out = tmp_path / "report"
    clip = clips / "arm_wrestling.mp4"
    done = run("analyse", clip, "--labels", "arm wrestling, cooking", "--out", out, "--difference")
    assert "Nearest to" in done.stdout and "report.html" in done.stderr
    page = re.sub(r"base64,[^\"']*", "", (out / "report.html").read_text())
    assert "arm wrestling" in page and str(tmp_path) not in page and "http" not in page
    document = json.loads((out / "report.json").read_text())
    assert list(document["models"]) == ["tabletop/base", "tabletop/ezclip"] and document["proof"][0]["deletion"] is None
    wrong = run("analyse", clip, "--labels", "a, b", "--target", "c", "--out", out, status=2)
    assert "'c' is not among" in wrong.stderr
