"""Indexes of short videos: complete, shared, interrupted, extended."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file

from ezclip.collection.index import build
from ezclip.collection.layout import read_plan
from ezclip.collection.plan import Stat, plan, scan
from ezclip.errors import ConfigError
from ezclip.predictor import Predictor
from ezclip.progress import finish
from ezclip.types import Clip
from ezclip.video.read import read_clip
from tests.conftest import write_video

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("tabletop/base", device="cpu")


def write_videos(folder: Path, count: int) -> Path:
    """Videos in two folders whose first frames differ, of 9 to 15 frames."""
    for i in range(count):
        path = folder / ("a" if i % 2 else "b") / f"{i:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, count=9 + i % 7, size=(64, 48 + 2 * (i % 5)))
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("films"), 12)


def content(index: Path) -> dict[str, bytes]:
    """Every file of an index except the leftovers of killed writers."""
    return {path.name: path.read_bytes() for path in index.iterdir() if not path.name.startswith(".")}


def test_windows_hold_what_the_model_makes_of_them(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    summary = finish(build(predictor, films, tmp_path / "i", seconds=0.5, step=0.5, shard_size=5))
    rows = [row for n in range(3) for row in parquet.read_table(tmp_path / "i" / f"shard-0000{n}.parquet").to_pylist()]
    videos = torch.cat([load_file(tmp_path / "i" / f"shard-0000{n}.safetensors")["videos"] for n in range(3)])
    assert summary["clips"] == 12 and summary["skipped"] == {} and len(rows) == len(videos) == summary["windows"] > 12
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows) and rows[0]["path"] == "a/0001.mp4"
    assert videos.dtype == torch.half
    torch.testing.assert_close(videos.float().norm(dim=1), torch.ones(len(videos)), atol=2e-3, rtol=0)
    number = [i for i, row in enumerate(rows) if row["path"] == "b/0006.mp4"][1]  # its second window
    row = rows[number]  # of 15 frames, 12 a second
    assert row["start"] == 0.5 and row["end"] == pytest.approx(11 / 12) and set(row["frames"]) == set(range(6, 12))
    clip = read_clip(films / row["path"], lambda _: row["frames"])
    expected = torch.nn.functional.normalize(predictor.encode(clip).frames.mean(1), dim=-1)[0]
    assert float(videos[number].float() @ expected) > 0.999


def test_whole_clips_have_their_length(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    summary = finish(build(predictor, films, tmp_path / "i", seconds=0))
    rows = parquet.read_table(tmp_path / "i" / "shard-00000.parquet").to_pylist()
    assert summary["windows"] == 12 == len(rows)
    assert rows[0]["start"] == 0 and rows[0]["end"] == rows[0]["length"] == pytest.approx(10 / 12, abs=0.01)


def test_frames_are_kept_if_asked_for(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    finish(build(predictor, films, tmp_path / "i", frames=True))
    shard = load_file(tmp_path / "i" / "shard-00000.safetensors")
    assert shard["frames"].shape == (len(shard["videos"]), 8, 128) and shard["frames"].dtype == torch.half
    mean = torch.nn.functional.normalize(shard["frames"].float().mean(1), dim=-1)
    torch.testing.assert_close(mean, shard["videos"].float(), atol=2e-3, rtol=0)
    with pytest.raises(ConfigError, match="another"):
        finish(build(predictor, films, tmp_path / "i"))


def test_a_manifest_and_damaged_files(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    root = tmp_path / "videos"
    shutil.copytree(films, root)
    (root / "bad.mp4").write_text("not a video")
    whole = (root / "a" / "0001.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    listed = ["a/0001.mp4", "bad.mp4", "gone.mp4", "cut.mp4"]
    lines = [json.dumps({"path": path, "label": "x"}) for path in listed]
    (root / "list.jsonl").write_text("\n".join(lines))
    built = finish(build(predictor, root / "list.jsonl", tmp_path / "i"))
    assert (
        built["clips"] == 4 and built["windows"] == 1 and list(built["skipped"]) == ["bad.mp4", "cut.mp4", "gone.mp4"]
    )
    again = finish(build(predictor, root / "list.jsonl", tmp_path / "i"))
    assert again == built
    write_video(root / "gone.mp4")
    assert list(finish(build(predictor, root / "list.jsonl", tmp_path / "i"))["skipped"]) == ["bad.mp4", "cut.mp4"]
    with pytest.raises(ConfigError, match="another model, source or window"):
        finish(build(predictor, root, tmp_path / "i"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no videos"):
        finish(build(predictor, tmp_path / "empty", tmp_path / "j"))


def test_only_new_and_changed_files_are_embedded(
    predictor: Predictor, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "videos", tmp_path / "i"
    shutil.copytree(films, root)
    finish(build(predictor, root, out, shard_size=4))
    before = content(out)
    read: list[str] = []

    def spy(path: Path, *more: object) -> Clip:
        read.append(path.relative_to(root).as_posix())
        return original(path, *more)

    import ezclip.collection.shards as module

    original = module._windows
    monkeypatch.setattr(module, "_windows", spy)
    finish(build(predictor, root, out, shard_size=4))
    assert read == [] and content(out) == before
    write_video(root / "a" / "0001.mp4", count=20)
    write_video(root / "new.mp4")
    (root / "b" / "0000.mp4").unlink()
    summary = finish(build(predictor, root, out, shard_size=4))
    assert read == ["a/0001.mp4", "new.mp4"] and summary["clips"] == 12 == summary["windows"]
    after = content(out)
    assert all(after[name] == data for name, data in before.items() if name.startswith("shard"))
    for path in (root / "a").iterdir():
        path.unlink()
    finish(build(predictor, root, out, shard_size=4))
    assert not (out / "shard-00000.safetensors").exists() and "shard-00003.safetensors" in content(out)
    write_video(root / "last.mp4")
    finish(build(predictor, root, out, shard_size=4))
    assert max(read_plan(out)["shard"].to_pylist()) == 4  # numbers of removed shards are not used again


def test_long_files_are_shared_out(tmp_path: Path) -> None:
    files = {f"{i}": Stat(3 << 30 if i == 1 else 1 << 30, i) for i in range(5)}
    assert plan(tmp_path, files, 3)["shard"].to_pylist() == [0, 0, 1, 1, 1]
    assert plan(tmp_path, files, 3)["shard"].to_pylist() == [0, 0, 1, 1, 1]
    root, videos = scan(ROOT / "assets" / "samples")
    samples = sorted(path.name for path in root.glob("*.mp4"))
    assert root.name == "samples" and len(samples) > 10 and list(videos) == samples


def test_two_processes_share_the_shards(
    predictor: Predictor, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezclip.collection.index.POLL", 0)
    finish(build(predictor, films, tmp_path / "alone", shard_size=2))
    both = [build(predictor, films, tmp_path / "shared", shard_size=2) for _ in range(2)]
    written: list[set[str]] = [set(), set()]
    while any(both):
        for number, steps in enumerate(both):
            try:
                _, _, shard = (next(steps).message if steps else "").partition("left: ")
                written[number] |= {shard} if shard else set()
            except StopIteration as end:
                assert end.value["windows"] == 12
                both[number] = None
    assert len(written[0] | written[1]) == 6 and not written[0] & written[1] and min(map(len, written)) >= 2
    assert content(tmp_path / "shared") == content(tmp_path / "alone")


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(
    predictor: Predictor, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "i"
    out.mkdir()
    names = ("clips.parquet", "shard-00000.parquet", "shard-00002.safetensors")
    left = [out / f".{name}.0123abcd.partial" for name in names]
    foreign = out / ".shard-00001.claim.0123abcd.partial"  # the clock of another process
    for path in (*left, foreign):
        path.write_bytes(b"half")
    finish(build(predictor, films, out, seconds=0, shard_size=5))
    assert foreign.is_file() and not any(path.is_file() for path in left)


def test_duckdb_reads_the_shards(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    summary = finish(build(predictor, films, tmp_path / "i", seconds=0, shard_size=5))
    shards = f"read_parquet('{tmp_path}/i/shard-*.parquet')"
    rows = duckdb.sql(f'SELECT path, "end" FROM {shards} WHERE skipped IS NULL ORDER BY path').fetchall()
    plan = duckdb.sql(f"SELECT path FROM '{tmp_path}/i/clips.parquet' ORDER BY path").fetchall()
    assert len(rows) == summary["clips"] and plan == [(path,) for path, _ in rows]
    assert all(end > 0 for _, end in rows)


def start(films: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ezclip", "index", films, "--out", out, "--shard-size", "4", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def index_in_spite_of_kills(films: Path, out: Path, kills: int, shards: int) -> None:
    """Kill the command each time it has finished more shards, then let it complete."""
    for number in range(1, kills + 1):
        process = start(films, out)
        while len(list(out.glob("shard-*.safetensors"))) < number * shards // (kills + 1):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(films, out).wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "kills"), [pytest.param(60, 3, id="quick"), pytest.param(2000, 10, marks=pytest.mark.soak, id="full")]
)
def test_an_index_built_despite_kills_is_that_of_an_unbroken_run(count: int, kills: int, tmp_path: Path) -> None:
    films = write_videos(tmp_path / "films", count)
    (films / "bad.mp4").write_text("not a video")
    began = time.monotonic()
    assert start(films, tmp_path / "unbroken").wait() == 0
    alone = time.monotonic() - began
    index_in_spite_of_kills(films, tmp_path / "broken", kills, count // 4)
    unbroken = content(tmp_path / "unbroken")
    assert len(unbroken) == 2 + 2 * (count // 4 + 1)
    assert content(tmp_path / "broken") == unbroken
    began = time.monotonic()
    both = [start(films, tmp_path / "shared") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    shared = time.monotonic() - began
    print(f"one process {alone:.1f} s, two {shared:.1f} s, {alone / shared:.2f} times as fast")
    assert content(tmp_path / "shared") == unbroken
