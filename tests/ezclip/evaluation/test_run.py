"""Scores of a list of clips: views, unreadable clips, the release's protocol, and tables of predictions."""

import json
from pathlib import Path

import pytest
import torch

from ezclip.cli import main
from ezclip.data.manifest import read_rows
from ezclip.errors import UserError
from ezclip.evaluation.embed import ViewCount, embed
from ezclip.evaluation.run import read_predictions, score
from ezclip.predictor import Predictor
from tests.ezclip.evaluation.conftest import run_json


@pytest.mark.slow
def test_too_many_unreadable_clips_stop_evaluate_and_embed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """4 of 20 clips are broken, and each is counted once, even over two runs."""
    lines = manifest.read_text().splitlines()
    good, bad = lines[:16], json.loads(lines[-1])
    listed = manifest.parent / "broken.jsonl"
    broken = []
    for i in range(4):
        (manifest.parent / f"bad{i}.mp4").write_text("not a video")
        broken.append(json.dumps(bad | {"path": f"bad{i}.mp4"}))
    listed.write_text("\n".join(line for i in range(4) for line in (*good[4 * i : 4 * i + 4], broken[i])) + "\n")
    out = tmp_path / "embedded"
    embedding = ("embed", str(listed), "--out", str(out), "--shard-size", "5", "--workers", "1")
    for command in (("evaluate", "--data", str(listed), "--workers", "1"), embedding):
        assert main([*command, "--batch-size", "4", "--max-broken", "0.15", "--device", "cpu", "--json"]) == 2
        stderr = capsys.readouterr().err
        assert "4 of 20 clips cannot be read, more than the share 0.15" in stderr and "bad0.mp4" in stderr
        assert main([*command, "--max-broken", "1.5", "--device", "cpu"]) == 2
        assert "max_broken is 1.5; it must be between 0 and 1." in capsys.readouterr().err
    assert len(list(out.glob("shard-*.safetensors"))) == 3
    run_json(capsys, *embedding, "--max-broken", "0.2")
    document = run_json(capsys, "evaluate", "--data", str(out), "--max-broken", "0.2")
    assert document["n"] == 16 and len(document["skipped"]) == 4
    assert main(["evaluate", "--data", str(out), "--max-broken", "0.1", "--device", "cpu"]) == 2


def test_scores_of_views_are_means(manifest: Path) -> None:
    predictor = Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.float32)
    rows = read_rows(manifest)[:2]
    labels = ["pushing", "lifting", "turning"]
    (many,) = embed(predictor, rows, views=ViewCount(2, 3))
    assert many.frames.shape[:3] == (2, 6, 8)
    singles = []
    for v in range(6):
        one = type(many)(many.rows, many.frames[:, v : v + 1])
        singles.append(score(predictor, one, labels).scores)
    torch.testing.assert_close(score(predictor, many, labels).scores, torch.stack(singles).mean(0))
    assert not torch.equal(singles[0], singles[1]) and not torch.equal(singles[0], singles[3])


def test_the_released_protocol_drops_the_last_batch(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(read_rows(manifest))
    document = run_json(capsys, "evaluate", "--data", str(manifest), "--protocol", "released", "--batch-size", "10")
    assert document["n"] == count // 10 * 10 < count
    assert main(["evaluate", "--data", str(manifest), "--protocol", "released", "--batch-size", "100"]) == 2
    assert "whole batches" in capsys.readouterr().err


def test_tables_of_predictions(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("path,label,prediction,a,b\nx/1.mp4,a,a,0.9,0.1\nx/2.mp4,b,a,0.8,0.2\n")
    predictions = read_predictions(str(good), "first")
    assert predictions.labels == ["a", "b"] and predictions.scores.argmax(dim=1).tolist() == [0, 0]
    (tmp_path / "bad.csv").write_text("path,label,prediction,a,b\nx/1.mp4,c,a,0.9,0.1\n")
    with pytest.raises(UserError, match="row 2"):
        read_predictions(str(tmp_path / "bad.csv"), "first")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="does not start with"):
        read_predictions(str(tmp_path / "other.csv"), "first")
