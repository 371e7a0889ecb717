"""Tests 28 to 33 of docs/RELIABILITY.md: training that is interrupted, and data that is damaged."""

# ruff: noqa: F811 - the fixture of test_loop

import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ezclip.config import TrainConfig
from ezclip.errors import CheckpointError, ConfigError
from ezclip.progress import finish
from ezclip.training.loop import train
from tests.ezclip.training.test_loop import ROOT, config, metrics  # noqa: F401 - config is a fixture
from tests.ezclip.training.test_step import NO_MEMORY
from tests.reliability.materials import write_bytes


@pytest.mark.slow
def test_28_resume_equals_an_unbroken_run(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in its next 20 losses."""
    unbroken = replace(config, out=str(tmp_path / "unbroken"), steps=24)
    finish(train(unbroken))
    broken = replace(unbroken, out=str(tmp_path / "broken"))

    class Kill(Exception):
        pass

    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise Kill

    monkeypatch.setattr("ezclip.training.records.Journal.write", _calling(stop))
    with pytest.raises(Kill):
        finish(train(broken))
    monkeypatch.undo()
    finish(train(replace(broken, keep=2, cache=str(tmp_path / "cache")), resume=True))
    for name in ("adapter.safetensors",):
        expected, actual = ((Path(c.out) / "model" / name).read_bytes() for c in (unbroken, broken))
        assert expected == actual
    expected, actual = ([m["loss"] for m in metrics(run.out)] for run in (unbroken, broken))
    assert expected == actual and len(expected) - 3 >= 20, "it went on after step 3"
    with pytest.raises(ConfigError, match="another configuration, different in lr"):
        finish(train(replace(broken, lr=1.0), resume=True))


def _calling(before):  # type: ignore[no-untyped-def]
    from ezclip.training.records import Journal

    write = Journal.write

    def both(self, step, values):  # type: ignore[no-untyped-def]
        before(step, values)
        write(self, step, values)

    return both


@pytest.mark.slow
def test_33_broken_videos_are_listed_and_too_many_stop_the_run(config: TrainConfig, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in Path(config.data).read_text().splitlines()]
    for row in rows:
        row["path"] = str(Path(config.data).parent / row["path"])
    for name in ("bad.mp4", "worse.mp4"):
        (tmp_path / name).write_text("not a video")
    broken = [{**rows[0], "path": str(tmp_path / name)} for name in ("bad.mp4", "worse.mp4")]
    one_percent = [*(rows * 7)[:198], *broken]
    listed = tmp_path / "some.jsonl"
    listed.write_text("\n".join(json.dumps(row) for row in one_percent) + "\n")
    one_pass = {"batch_size": 4, "steps": 50, "cache": None, "validation": None}
    run = replace(config, out=str(tmp_path / "run"), data=str(listed), **one_pass)
    assert finish(train(run))["training"]["broken"] == 2
    skipped = (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["path"] for line in skipped) == [row["path"] for row in broken]
    worse = tmp_path / "most.jsonl"
    worse.write_text(
        "\n".join(json.dumps({**r, "path": str(tmp_path / f"{i}.mp4")}) for i, r in enumerate(rows)) + "\n"
    )
    with pytest.raises(ConfigError, match="can be read|cannot be read"):
        finish(train(replace(run, data=str(worse), out=str(tmp_path / "run2"))))


@pytest.mark.slow
@pytest.mark.parametrize("times", [pytest.param(2, id="quick"), pytest.param(20, marks=pytest.mark.soak, id="full")])
def test_30_killed_at_any_moment_and_resumed(config: TrainConfig, tmp_path: Path, times: int) -> None:
    """kill -9 at random moments. The weights equal the unbroken run's bit by bit."""
    rng = random.Random(0)
    steps = 40
    settings = {**asdict(config), "steps": steps, "eval_every": 1, "validation": None}
    outs = [tmp_path / name for name in ("unbroken", "killed")]
    for out in outs:
        (tmp_path / f"{out.name}.yaml").write_text(yaml.safe_dump(settings | {"out": str(out)}))

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ezclip", "train", "--config", str(tmp_path / f"{out.name}.yaml")]
        return subprocess.Popen([*command, "--resume", "auto"], cwd=ROOT, stdout=subprocess.DEVNULL)

    def steps_of(out: Path) -> int:
        path = out / "metrics.jsonl"
        return path.read_text().count("\n") if path.exists() else 0

    assert start(outs[0]).wait() == 0
    kills = 0
    while kills < times:
        if steps_of(outs[1]) >= steps - 2:
            shutil.rmtree(outs[1])
        running, goal = start(outs[1]), steps_of(outs[1]) + rng.randrange(1, 8)
        while running.poll() is None and steps_of(outs[1]) < goal:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.2)
        if running.poll() is None:
            running.kill()
            kills += 1
        running.wait()
    assert start(outs[1]).wait() == 0
    expected, actual = ((out / "model" / "adapter.safetensors").read_bytes() for out in outs)
    assert expected == actual
    assert [m["loss"] for m in metrics(str(outs[0]))] == [m["loss"] for m in metrics(str(outs[1]))]
    assert not list(outs[1].rglob("*.partial")), "a half-written file was left"


@pytest.mark.slow
def test_28_resume_in_the_middle_of_an_epoch_with_workers(config: TrainConfig, tmp_path: Path) -> None:
    """A run that is stopped and resumed after each step writes the losses of an uninterrupted one."""
    settings = replace(config, eval_every=1, steps=5, validation=None, cache=None, augmentation="release")
    for workers in (0, 2):
        whole = replace(settings, out=str(tmp_path / f"whole{workers}"), workers=workers)
        finish(train(whole))
        parts = replace(whole, out=str(tmp_path / f"parts{workers}"))
        for _ in range(5):
            steps = train(parts, resume=True)
            for _ in steps:
                break
            steps.close()
        finish(train(parts, resume=True))
        adapters = [(Path(run.out) / "model" / "adapter.safetensors").read_bytes() for run in (whole, parts)]
        assert adapters[0] == adapters[1]
        assert [m["loss"] for m in metrics(whole.out)] == [m["loss"] for m in metrics(parts.out)]


@pytest.mark.slow
def test_29_a_seed_decides_everything(config: TrainConfig, tmp_path: Path) -> None:
    runs = [replace(config, out=str(tmp_path / str(i)), steps=3, seed=seed) for i, seed in enumerate((1, 1, 2))]
    for run in runs:
        finish(train(run))
    one, same, other = ((Path(run.out) / "metrics.jsonl").read_bytes() for run in runs)
    assert one == same != other


@pytest.mark.slow
def test_31_a_batch_that_does_not_fit_gives_the_losses_of_one_that_does(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ezclip.model.ezclip import EZCLIP

    settings = replace(config, steps=3, validation=None, drop_path=0.0, prompt_dropout=0.0)
    whole, parts = (replace(settings, out=str(tmp_path / name)) for name in ("whole", "parts"))
    finish(train(whole))
    encode = EZCLIP.encode_video

    def small(model: EZCLIP, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 2:
            raise RuntimeError(NO_MEMORY)
        return encode(model, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(EZCLIP, "encode_video", small)
        finish(train(parts))
    expected, actual = ([m["loss"] for m in metrics(run.out)] for run in (whole, parts))
    assert actual == pytest.approx(expected, abs=1e-5)

    def broken(model: EZCLIP, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("something else")

    monkeypatch.setattr(EZCLIP, "encode_video", broken)
    with pytest.raises(RuntimeError, match="something else"):
        finish(train(replace(parts, out=str(tmp_path / "broken"))))


@pytest.mark.slow
@pytest.mark.parametrize("clip", [1.0, None])
@pytest.mark.parametrize(("what", "bad"), [("loss", math.nan), ("gradient", math.nan), ("gradient", math.inf)])
def test_32_what_is_not_finite_stops_the_run(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, bad: float, clip: float | None
) -> None:
    """The run stops in the step where it occurs and keeps the previous state."""
    from ezclip.training.step import Step

    run = replace(config, out=str(tmp_path / "run"), eval_every=1, validation=None, clip_gradient=clip)
    backward = Step.__call__

    def poisoned(self: Step, number: int, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = backward(self, number, *arguments)
        if number == 3 and what == "gradient":
            next(p.grad for p in self.model.trainable_parameters().values() if p.grad is not None).view(-1)[0] = bad
        return losses | ({"loss": losses["loss"] * bad} if number == 3 and what == "loss" else {})

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", poisoned)
        with pytest.raises(ConfigError, match=f"The {what} is not finite at step 3"):
            finish(train(run))
    assert [m["step"] for m in metrics(run.out)] == [1, 2, 3]
    newest = torch.load(max(Path(run.out).glob("state-*.pt")), weights_only=True)
    assert newest["step"] == 3 and all(value.isfinite().all() for value in newest["trainable"].values())
    finish(train(run, resume=True))
    assert [m["step"] for m in metrics(run.out)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize(("share", "most"), [(0.01, 0.05), (0.2, 0.25)])
def test_33_damaged_sets(config: TrainConfig, tmp_path: Path, share: float, most: float) -> None:
    """Broken, cut, empty and vanished files and a folder without frames: each is listed once, with its reason."""
    rows = [json.loads(line) for line in Path(config.data).read_text().splitlines()]
    for row in rows:
        row["path"] = str(Path(config.data).parent / row["path"])
    good = (rows * 4)[:100]
    whole = Path(rows[0]["path"]).read_bytes()
    (tmp_path / "folder").mkdir()
    damaged = [
        write_bytes(tmp_path / "broken.mp4", b"not a video"),
        write_bytes(tmp_path / "cut.mp4", whole[:300]),
        write_bytes(tmp_path / "empty.mp4", b""),
        tmp_path / "vanished.mp4",
        tmp_path / "folder",
    ]
    bad = [{**rows[0], "path": str(damaged[i % 5])} for i in range(round(share * 100))]
    listed = tmp_path / "listed.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in [*good[len(bad) :], *bad]))
    run = replace(
        config, out=str(tmp_path / "run"), data=str(listed), cache=None, validation=None, batch_size=10, steps=10,
        max_broken=most,
    )  # fmt: skip
    summary = finish(train(run))
    skipped = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    distinct = {row["path"] for row in bad}
    assert {line["path"] for line in skipped} == distinct and len(skipped) == len(distinct)
    assert all(line["error"] for line in skipped) and summary["training"]["broken"] == len(distinct)
    with pytest.raises(ConfigError, match="cannot be read"):
        finish(train(replace(run, out=str(tmp_path / "strict"), max_broken=0.0)))


@pytest.mark.slow
def test_33_more_than_five_percent_stop_the_run(config: TrainConfig, tmp_path: Path) -> None:
    """The default limit, exceeded by 6 of 100."""
    rows = [json.loads(line) for line in Path(config.data).read_text().splitlines()]
    for row in rows:
        row["path"] = str(Path(config.data).parent / row["path"])
    bad = [{**rows[0], "path": str(write_bytes(tmp_path / f"{i}.mp4", b"no video"))} for i in range(6)]
    listed = tmp_path / "listed.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in [*(rows * 4)[:94], *bad]))
    run = replace(config, out=str(tmp_path / "run"), data=str(listed), cache=None, validation=None, batch_size=10)
    with pytest.raises(ConfigError, match="6 of 100 videos cannot be read"):
        finish(train(replace(run, steps=10)))


@pytest.mark.slow
def test_a_damaged_state_falls_back_to_the_one_before(config: TrainConfig, tmp_path: Path) -> None:
    run = replace(config, out=str(tmp_path / "run"), eval_every=2, validation=None)
    finish(train(run))
    states = sorted((tmp_path / "run").glob("state-*.pt"))
    assert len(states) == 2
    finished = (tmp_path / "run" / "model" / "adapter.safetensors").read_bytes()
    states[1].write_bytes(states[1].read_bytes()[:1000])
    finish(train(run, resume=True))
    assert (tmp_path / "run" / "model" / "adapter.safetensors").read_bytes() == finished
    for state in (tmp_path / "run").glob("state-*.pt"):
        state.write_bytes(b"")
    with pytest.raises(CheckpointError, match="None of the states"):
        finish(train(run, resume=True))


@pytest.mark.slow
def test_two_processes_on_one_folder(config: TrainConfig, tmp_path: Path) -> None:
    """The second is refused with an error message, and the first is not disturbed."""
    run = replace(config, out=str(tmp_path / "run"), validation=None)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(asdict(run)))
    first = train(run)
    next(first)
    command = [sys.executable, "-m", "ezclip", "train", "--config", str(tmp_path / "run.yaml")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 2 and "Another process trains into run" in process.stderr
    assert "Traceback" not in process.stderr
    finish(first)


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_the_last_state(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on file sizes simulates the full disk; with space again the run resumes where it was."""
    import resource

    run = replace(config, out=str(tmp_path / "run"), eval_every=2, validation=None)
    steps = train(run)
    for step in steps:
        if step.fraction > 0.5:
            break
    before = sorted((tmp_path / "run").glob("state-*.pt"))
    assert before
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before[-1].stat().st_size // 2, old[1]))
    try:
        with pytest.raises((OSError, RuntimeError)):
            finish(steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert sorted((tmp_path / "run").glob("state-*.pt")) == before
    assert not list((tmp_path / "run").rglob("*.partial"))
    finish(train(run, resume=True))
    assert [m["step"] for m in metrics(run.out)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.cuda
@pytest.mark.slow
def test_28_resume_on_a_gpu(config: TrainConfig, tmp_path: Path) -> None:
    """Within 1e-5 in the default mode."""
    whole, parts = (replace(config, out=str(tmp_path / name), cache=None) for name in ("whole", "parts"))
    finish(train(whole))
    steps = train(parts)
    for step in steps:
        if step.fraction > 0.5:
            break
    steps.close()
    assert list((tmp_path / "parts").glob("state-*.pt"))
    finish(train(parts, resume=True))
    expected, actual = ([m["loss"] for m in metrics(run.out)] for run in (whole, parts))
    assert actual == pytest.approx(expected, abs=1e-5)
