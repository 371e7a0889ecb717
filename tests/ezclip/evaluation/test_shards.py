"""Embeddings on disk: shards that a rerun completes and several processes write."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ezclip.cli import main
from ezclip.data.manifest import Row, read_rows
from ezclip.evaluation.embed import Encoder, ViewCount
from ezclip.evaluation.shards import read_shards, write_shards
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.progress import finish
from tests.conftest import make_model, write_video
from tests.ezclip.evaluation.conftest import ROWS, run_json

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_shards_hold_what_the_videos_hold_and_are_completed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "embedded"
    arguments = ("embed", str(manifest), "--out", str(out), "--shard-size", "7", "--workers", "1")
    index = run_json(capsys, *arguments)
    count = len(read_rows(manifest))
    assert 0 <= index["device_waits"] < 1
    assert (index["clips"], index["shards"]) == (count, -(-count // 7))
    from_videos = run_json(capsys, "evaluate", "--data", str(manifest))
    assert run_json(capsys, "evaluate", "--data", str(out)) == from_videos
    assert from_videos["n"] == count - 1 and list(from_videos["skipped"]) == ["val/bad.mp4"]

    intact, lost = (out / f"shard-0000{i}.safetensors" for i in (0, 1))
    content, when = lost.read_bytes(), intact.stat().st_mtime_ns
    lost.unlink()
    left = [out / f".shard-00001.{kind}.0123abcd.partial" for kind in ("parquet", "safetensors")]
    for path in left:
        path.write_bytes(b"of a save that was killed")
    assert main(["evaluate", "--data", str(out)]) == 2
    assert "lacks shard-00001.safetensors" in capsys.readouterr().err
    run_json(capsys, *arguments)
    assert not any(path.is_file() for path in left)
    assert lost.read_bytes() == content and intact.stat().st_mtime_ns == when

    assert main(["evaluate", "--data", str(out), "--model", "tabletop/base"]) == 2
    assert "embeddings of tabletop/ezclip" in capsys.readouterr().err
    assert main([*arguments, "--model", "tabletop/base"]) == 2
    assert "another model" in capsys.readouterr().err

    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m"]
    arguments = (*arguments[:3], str(tmp_path / "two"), *arguments[4:])
    done = subprocess.run([*launch, "ezclip", *arguments, "--device", "cpu"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    identity = Predictor.load("tabletop/ezclip", device="cpu").identity
    for one, other in zip(read_shards(out, identity), read_shards(tmp_path / "two", identity), strict=True):
        assert one.rows == other.rows and torch.equal(one.frames, other.frames)


def test_clips_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    """Two clips share folder and file name; only one of them is broken."""
    rows = []
    for top in ("first", "second"):
        (tmp_path / top / "waving").mkdir(parents=True)
        rows.append({"path": f"{top}/waving/1.mp4", "label": "waving"})
    write_video(tmp_path / "first" / "waving" / "1.mp4", count=9)
    (tmp_path / "second" / "waving" / "1.mp4").write_text("not a video")
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predictor = Predictor.load("tabletop/base", device="cpu")
    header = {"model": predictor.name, "weights": predictor.identity.weights}
    finish(write_shards(predictor, read_rows(tmp_path / "list.jsonl"), tmp_path / "out", header))
    (part,) = read_shards(tmp_path / "out", predictor.identity)
    assert [row.path.parts[-3] for row in part.rows] == ["first"] and len(part.frames) == 1
    assert [row.path.parts[-3] for row, _ in part.skipped] == ["second"]


@pytest.mark.parametrize("given, batch, first", [(None, 64 // 2, 64), (4, 4, 4)])
def test_the_batch_size_is_automatic_by_default(
    given: int | None, batch: int, first: int, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def embedding(predictor: Predictor, rows: list[Row], *, batch_size: int, encoder: Encoder, **_: object) -> list:
        sizes.append((batch_size, encoder.size))
        return []

    monkeypatch.setattr("ezclip.evaluation.shards.automatic_size", lambda _: 64)
    monkeypatch.setattr("ezclip.evaluation.shards.embed", embedding)
    predictor = Predictor(make_model(backbone, "base"), "tiny")
    finish(write_shards(predictor, ROWS, tmp_path / "out", {}, batch_size=given, views=ViewCount(2, 1)))
    assert sizes == [(batch, first)]
