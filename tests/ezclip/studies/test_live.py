"""The newest window of a stream: bounded in size, complete at the end."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ezclip.errors import UserError, VideoError
from ezclip.progress import finish
from ezclip.studies.host import Host
from ezclip.studies.live import MAX_FRAMES, FrameBuffer, ScoreLive, watch
from tests.ezclip.studies.conftest import SAMPLES


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def test_frames_that_come_while_nobody_asks_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def stream(_: str) -> Iterator[tuple[np.ndarray, float]]:
        yield picture(0), 0.0
        asked.wait(10)
        for i in range(1, 201):
            yield picture(i), i / 100

    monkeypatch.setattr("ezclip.studies.live.stream", stream)
    frames = watch("camera", 1)
    first = next(frames)
    assert len(first.frames) == 1
    asked.set()
    time.sleep(0.3)
    *_, last = frames
    assert len(last.frames) <= MAX_FRAMES + 2 and last.frames[-1][1][0, 0, 0] == 200
    assert last.frames[-1][0] - last.frames[0][0] == pytest.approx(1, abs=0.03)
    assert len(first.frames) == 1, "a window does not change once it is given"


def test_a_source_that_breaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(_: str) -> Iterator[tuple[np.ndarray, float]]:
        raise VideoError("it is gone")
        yield

    monkeypatch.setattr("ezclip.studies.live.stream", stream)
    with pytest.raises(VideoError, match="it is gone"):
        next(watch("camera", 1))


def test_a_source_without_a_frame_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezclip.studies.live.stream", lambda _: iter(()))
    with pytest.raises(VideoError, match="camera ended without a frame"):
        next(watch("camera", 1))


@pytest.mark.slow
def test_a_stream_over_the_network() -> None:
    """Another program sends MPEG-TS in real time; the window holds the latest frames."""
    address = "tcp://127.0.0.1:17991"

    def send() -> None:
        for _ in range(300):  # the reader starts a process first
            out = av.open(address, "w", format="mpegts")
            stream = out.add_stream("libx264", rate=25, options={"tune": "zerolatency", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            try:
                out.start_encoding()  # connects
                break
            except OSError:
                time.sleep(0.1)
        with out:
            for i in range(75):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(3 * i))))
                time.sleep(0.02)
            out.mux(stream.encode())

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    windows = list(watch(f"{address}?listen=1", 0.5))
    sender.join(10)
    assert len(windows) > 10
    assert all(w.frames[-1][0] - w.frames[0][0] <= 0.5 for w in windows)
    assert int(windows[-1].frames[-1][1].mean()) > 3 * 70
    assert windows[0].clip(8).images.shape == (8, 48, 64, 3)


def test_the_newest_frames_alone_are_kept(host: Host) -> None:
    live = FrameBuffer()
    for value in range(200):  # 100 per second, a window of one second
        live.add(picture(value), seconds=1, now=value / 100)
    times = [time for time, _ in live.frames]
    assert times[-1] == 1.99 and times[0] == pytest.approx(0.99, abs=0.03), "the whole window"
    assert 30 <= len(times) <= 66 and np.diff(times)[:-1].min() >= 1 / 64
    clip = live.clip(8)
    assert clip.images[-1, 0, 0, 0] == 199 and clip.images[0, 0, 0, 0] in range(97, 103)
    study = ScoreLive(labels="a, b")
    result = study.score(host, live)
    assert set(result.predictions) == {"tabletop/base", "tabletop/ezclip"}
    assert result.caveat.startswith("These are guesses") and result.report().lead.startswith(result.caveat)
    assert result.text().count("guess: ") == 2 and "%" not in result.text()
    drawn = ScoreLive((str(SAMPLES[0]),)).score(host, live)
    assert drawn.caveat == "" and "guess" not in drawn.text() and drawn.text().count("%") == 2 * 31
    live.add(picture(0), seconds=2, now=live.frames[-1][0] + 10)
    assert len(live.frames) == 1, "older than the window"
    live.add(picture(0), seconds=2, now=0.0)
    assert len(live.frames) == 1, "the source started again"
    with pytest.raises(UserError, match="No frame"):
        study.score(host, FrameBuffer())


def test_large_pictures_are_shrunk(host: Host, tmp_path: Path) -> None:
    """64 pictures of 36 megapixels would take 7 GB."""
    paths = []
    for i in range(3):
        Image.new("RGB", (5000, 2500), (i, 0, 0)).save(tmp_path / f"{i}.jpg")
        paths.append(str(tmp_path / f"{i}.jpg"))
    study = ScoreLive(frames=tuple(paths), labels="a, b")
    (window,) = study._windows()
    assert [image.shape for _, image in window.frames] == [(512, 1024, 3)] * 3
    assert len(finish(study.run(host)).predictions) == 2
