"""Tests 10 to 12 of docs/RELIABILITY.md: the processes that decode."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torchvision  # noqa: F401 - decoders and torchvision in one process have been seen to hang

from ezclip.progress import Cancelled
from ezclip.types import Clip
from ezclip.video.read import describe, read_clip, read_frames
from ezclip.video.worker import SECONDS, Pool, pool, remove_abandoned
from tests.conftest import SOON, write_video
from tests.reliability import materials
from tests.reliability.reading import EIGHT, attempt


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, str(2 * SOON))


def deliver(pid: int, number: signal.Signals) -> None:
    """Send a signal to a stopped process, which receives most signals only when it continues."""
    os.kill(pid, number)
    if number != signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
@pytest.mark.parametrize("times", [pytest.param(2, id="quick"), pytest.param(7, marks=pytest.mark.soak, id="full")])
def test_10_a_killed_crashed_or_hanging_decoder(
    number: signal.Signals, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped, so that the request is in flight when the signal arrives."""
    monkeypatch.setenv(SECONDS, "5")
    path = write_video(tmp_path / "clip.mp4")
    for _ in range(times):
        attempt(path)
        with pool().lease(lambda _: None) as worker:
            pid = worker.process.pid
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(0.2, deliver, (pid, number))
        timer.start()
        began = time.monotonic()
        answer = attempt(path)
        assert isinstance(answer, str) and ("longer than 5 s" if number == signal.SIGSTOP else "crash") in answer
        assert time.monotonic() - began < SOON
        timer.join()
        assert isinstance(attempt(path), Clip)


def counts() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), psutil.Process().num_fds()


@pytest.mark.slow
@pytest.mark.parametrize("exits", [pytest.param(16, id="quick"), pytest.param(500, marks=pytest.mark.soak, id="full")])
def test_11_early_exits(exits: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", count=200, size=(640, 480))

    def leave(_: float) -> None:
        raise Cancelled

    def once(_: int) -> None:
        with suppress(Cancelled):
            read_clip(path, EIGHT, report=leave)

    pool().close()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(once, range(8)))
        time.sleep(0.5)
        before = counts()
        list(threads.map(once, range(exits)))
    deadline = time.monotonic() + 10
    while counts()[1] > before[1] + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    after = counts()
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 2
    assert isinstance(attempt(path), Clip)


@pytest.mark.parametrize("videos", [pytest.param(64, id="quick"), pytest.param(2000, marks=pytest.mark.soak)])
def test_12_memory_and_temporary_files_stay_flat(videos: int, tmp_path: Path) -> None:
    sources = materials.sources(tmp_path)
    process = psutil.Process()
    for path in sources * 2:
        attempt(path)
    before = process.memory_info().rss
    for i in range(videos):
        assert isinstance(attempt(sources[i % len(sources)]), Clip)
    growth = (process.memory_info().rss - before) / 2**20
    print(f"{videos} videos, {growth:.1f} MiB")
    assert growth < 50
    for folder in ("/dev/shm", tempfile.gettempdir()):  # noqa: S108
        assert not list(Path(folder).glob(f"ezclip-frames-{os.getpid()}-*"))


def test_cancel_ends_a_decoder_at_once(tmp_path: Path) -> None:
    """Even before the first frame is decoded; and requests queued for a dead process do not wait."""
    path = write_video(tmp_path / "clip.mp4", count=2)
    attempt(path)
    with pool().lease(lambda _: None) as worker:
        os.kill(worker.process.pid, signal.SIGSTOP)
    left = threading.Event()
    threading.Timer(0.3, left.set).start()

    def leave(_: float) -> None:
        if left.is_set():
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        read_frames(path, EIGHT, report=leave)
    assert time.monotonic() - began < SOON
    assert worker.process.poll() == -signal.SIGKILL


def test_a_decoder_ends_with_its_parent(tmp_path: Path) -> None:
    other = Pool()
    with other.lease(lambda _: None) as worker:
        worker.open("clip.mp4", write_video(tmp_path / "clip.mp4"), "description", report=lambda _: None)
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(SOON) == 0


def test_pixels_of_a_killed_process_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezclip.video.worker._shared_folder", lambda: str(tmp_path))
    for name, age in (("999999999-old", 1000), ("999999999-new", 0), (f"{os.getpid()}-mine", 1000)):
        file = materials.write_bytes(tmp_path / f"ezclip-frames-{name}", b"x")
        os.utime(file, (time.time() - age,) * 2)
    remove_abandoned()
    left = {file.name.removeprefix("ezclip-frames-") for file in tmp_path.iterdir()}
    assert left == {"999999999-new", f"{os.getpid()}-mine"}


def test_memory_of_a_decoder_is_limited(tmp_path: Path) -> None:
    assert describe(write_video(tmp_path / "clip.mp4"))["playable"]
    with pool().lease(lambda _: None) as worker:
        limits = Path(f"/proc/{worker.process.pid}/limits").read_text()
    assert re.search(r"Max data size\s+1610612736\s", limits)
