"""Tests 1 to 9 of docs/RELIABILITY.md: decoding. ``pytest -m soak`` runs the long ones in full."""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
import torchvision  # noqa: F401 - decoders and torchvision in one process have been seen to hang

from ezclip.predictor import Predictor
from ezclip.types import Clip
from ezclip.video.read import read_clip
from ezclip.video.worker import SECONDS, pool
from tests.conftest import SOON, write_video
from tests.reliability import materials
from tests.reliability.reading import EIGHT, attempt

SIZES = [pytest.param(0.02, id="quick"), pytest.param(1.0, marks=pytest.mark.soak, id="full")]


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, str(2 * SOON))


def kind_of(sentence: str, path: Path) -> str:
    """An error message without the parts that differ between files."""
    assert "\n" not in sentence and str(path.parent) not in sentence and "Traceback" not in sentence
    return re.sub(r"\d[\d,x.]*|\(\w+\)|uses \S+", "#", sentence.replace(path.name, "NAME"))


def tried(paths: Iterator[Path]) -> tuple[Counter[str], list[float]]:
    """Kinds of outcomes of decoding files, and the seconds of each."""
    kinds, seconds = Counter[str](), []
    for path in paths:
        began = time.monotonic()
        answer = attempt(path)
        seconds.append(time.monotonic() - began)
        kinds["decoded" if isinstance(answer, Clip) else kind_of(answer, path)] += 1
    return kinds, seconds


def check_kinds(kinds: Counter[str], seconds: list[float]) -> None:
    print(dict(kinds), f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.2f} s")
    assert not [kind for kind in kinds if "crash" in kind or "longer than" in kind]
    assert len(kinds) <= 1 + 8
    assert statistics.median(seconds) < 1 and max(seconds) < SOON


@pytest.mark.parametrize("share", SIZES)
def test_01_mutants(share: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sources = [path.read_bytes() for path in materials.sources(tmp_path)]

    def mutants() -> Iterator[Path]:
        for i in range(round(5000 * share)):
            kind = list(materials.CONTAINERS)[i % len(sources)]
            data = materials.mutant(sources[i % len(sources)], rng)
            yield materials.write_bytes(tmp_path / f"mutant.{kind}", data)

    kinds, seconds = tried(mutants())
    check_kinds(kinds, seconds)
    assert 0.2 < kinds["decoded"] / len(seconds) < 0.9, "the mutants are damaged, but not all of them hopelessly"


@pytest.mark.slow
@pytest.mark.parametrize("share", SIZES)
def test_02_cuts(share: float, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for image in np.random.default_rng(0).integers(0, 255, (24, 240, 320, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    data = (tmp_path / "whole.mp4").read_bytes()
    places = [*range(4096), *np.linspace(4096, len(data) - 1, 500, dtype=int)]
    cuts = places[:: round(1 / share)]
    kinds, seconds = tried(materials.write_bytes(tmp_path / "cut.mp4", data[:place]) for place in cuts)
    check_kinds(kinds, seconds)


def test_03_odd_files(tmp_path: Path) -> None:
    files = materials.odd_files(tmp_path)
    wrong = {}
    for name, (path, expected) in files.items():
        answer = attempt(path)
        if isinstance(expected, str):
            right = isinstance(answer, str) and expected in answer
        else:
            right = isinstance(answer, Clip) and answer.total == expected and len(answer) == 8
        if not right:
            wrong[name] = answer if isinstance(answer, str) else answer.total
    assert len(files) >= 50
    assert not wrong


@pytest.mark.parametrize("share", [pytest.param(0.08, id="quick"), pytest.param(1.0, marks=pytest.mark.soak)])
def test_04_frames_equal_brute_force(share: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    equal = 0
    videos = round(200 * share)
    for i in range(videos):
        kind, arguments = list(materials.CONTAINERS.items())[i % len(materials.CONTAINERS)]
        path = write_video(tmp_path / f"{i}.{kind}", **(arguments | {"count": int(rng.integers(1, 90))}))
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            full = [(frame.to_ndarray(format="rgb24"), frame.time) for frame in container.decode(video=0)]
        clip = read_clip(path, EIGHT)
        assert clip.total == len(full)
        for index, image, seconds in zip(EIGHT(len(full)), clip.images, clip.seconds, strict=True):
            equal += np.array_equal(image, full[index][0]) and seconds == full[index][1]
    assert equal == 8 * videos


def test_05_rotation_changes_no_probability(tmp_path: Path) -> None:
    """The pixels of each file are rotated without loss, and its header rotates them back."""
    predictor = Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.float32)
    images = np.random.default_rng(5).integers(0, 255, (12, 48, 64, 3), np.uint8)
    scores = []
    for turn in (0, 90, 180, 270):
        path = tmp_path / f"plain{turn}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=12, options={"qp": "0"})
            turned = [np.ascontiguousarray(np.rot90(image, turn // 90)) for image in images]
            stream.height, stream.width = turned[0].shape[:2]
            stream.pix_fmt = "yuv444p"
            for image in turned:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        predictor.set_video(materials.rotated(path, tmp_path / f"turned{turn}.mp4", turn))
        scores.append([p.score for p in sorted(predictor.score(["a", "b", "c"]), key=lambda p: p.label)])
    np.testing.assert_allclose(scores, [scores[0]] * 4, atol=1e-6)


def test_06_short_videos_repeat_frames(tmp_path: Path) -> None:
    for count in range(1, 8):
        clip = read_clip(write_video(tmp_path / f"{count}.mp4", count=count), EIGHT)
        assert clip.indices.tolist() == [int(t * count / 8) for t in range(8)]
    began = time.monotonic()
    assert isinstance(attempt(materials.write_nothing(tmp_path / "none.mp4")), str)
    assert time.monotonic() - began < SOON


@pytest.mark.slow
def test_07_bombs(tmp_path: Path) -> None:
    gif = write_video(tmp_path / "small.gif", count=2, codec="gif", pix_fmt="rgb8")
    bombs = [
        materials.with_size(gif, tmp_path / "huge.gif", 16000, 16000),
        materials.many_frames(tmp_path / "many.mp4", 250_000),
        materials.many_frames(tmp_path / "many.mkv", 250_000),
        write_video(tmp_path / "long.mp4", count=4, times=[0, 1, 2, 86_400 * 12]),
        materials.slow_bomb(tmp_path / "slow.webm"),
        materials.slow_bomb(tmp_path / "slow.mp4"),
        materials.write_bytes(tmp_path / "nested.mkv", gif.read_bytes()[:50] + (tmp_path / "long.mp4").read_bytes()),
    ]
    attempt(gif)  # starts the process
    with pool().lease(lambda _: None) as worker:
        process = psutil.Process(worker.process.pid)
    before = peak(process.pid)
    for bomb in bombs:
        began = time.monotonic()
        answer = attempt(bomb)
        assert isinstance(answer, str), bomb.name
        print(bomb.name, answer, f"{time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < SOON, bomb.name
        assert process.is_running(), bomb.name
    assert peak(process.pid) - before < 300


def peak(pid: int) -> float:
    """The largest resident memory of a process so far, MiB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def test_08_what_is_no_video(tmp_path: Path) -> None:
    """The file in lists and playlists is a pipe: opening it would block until there is a writer."""
    neighbour = tmp_path / "neighbour.mp4"
    os.mkfifo(neighbour)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)
        files = materials.not_videos(tmp_path, neighbour, server.getsockname()[1])
        link = tmp_path / "link.mp4"
        link.symlink_to("/etc/passwd")
        for path in [*files, link]:
            began = time.monotonic()
            assert isinstance(attempt(path), str), path.name
            assert time.monotonic() - began < SOON
            with pytest.raises(OSError, match="No such device"):  # nothing reads the pipe
                os.open(neighbour, os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(TimeoutError):
            server.accept()
        playlist = str(tmp_path / "playlist_web.m3u8")
        with pytest.raises(av.FFmpegError):  # a reader with network access calls the server
            av.open(playlist, timeout=0.5, options={"protocol_whitelist": "file,http,tcp"})
        server.accept()[0].close()
    assert len(files) >= 40


def test_09_the_extension_does_not_decide(tmp_path: Path) -> None:
    same = 0
    for path in materials.sources(tmp_path):
        for suffix in (".mp4", ".avi"):
            other = Path(shutil.copy(path, tmp_path / f"{path.suffix[1:]}_as{suffix}"))
            same += np.array_equal(read_clip(path, EIGHT).images, read_clip(other, EIGHT).images)
    assert same == 16
