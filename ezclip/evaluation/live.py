"""The newest moments of a camera or a stream: older frames are dropped, so that the delay stays bounded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from ezclip.errors import VideoError
from ezclip.evaluation.analysis import Host, Request, frames_beside, sentences_of, wanted_labels
from ezclip.types import Clip, Prediction
from ezclip.video.stream import stream

MOST_FRAMES = 64  # of a window


@dataclass
class Live:
    """The newest frames, evenly thinned: about 64 over the window, whatever the source's rate.

    Attributes:
        frames: (time in seconds, uint8 RGB picture), the newest last.
    """

    frames: deque[tuple[float, np.ndarray]] = field(default_factory=deque)

    def add(self, image: np.ndarray, seconds: float, now: float | None = None) -> None:
        """Take a frame, seen at ``now`` or this moment, and forget those older than ``seconds``."""
        now = monotonic() if now is None else now
        if self.frames and now < self.frames[-1][0]:  # the source began anew
            self.frames.clear()
        if len(self.frames) > 1 and self.frames[-1][0] - self.frames[-2][0] < seconds / MOST_FRAMES:
            self.frames.pop()
        self.frames.append((now, image))
        while now - self.frames[0][0] > seconds:
            self.frames.popleft()

    def clip(self, T: int) -> Clip:
        """T frames evenly spread over what is held, of the newest frame's size."""
        shape = self.frames[-1][1].shape
        rows = [row for row in self.frames if row[1].shape == shape]
        chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, T).round().astype(int)]
        times = np.array([t - chosen[0][0] for t, _ in chosen])
        return Clip("camera", np.stack([i for _, i in chosen]), np.arange(T), times, total=len(rows))


def score_live(host: Host, request: Request, live: Live) -> dict[str, list[Prediction]]:
    """Rankings of the newest window under baseline and model.

    Raises:
        UserError: class names that cannot be used, or no frame yet.
    """
    names, _ = wanted_labels(request)
    if not live.frames:
        raise VideoError("No frame has come yet.")
    found: dict[str, list[Prediction]] = {}
    model = host.predictor(request.model)
    for name in dict.fromkeys((request.baseline, request.model)):
        predictor = host.predictor(name)
        with host.lock:
            predictor.set_video(live.clip(frames_beside(predictor, model)), keep=False)
            found[name] = predictor.score(names, sentences_of(request, predictor, names))
    return found


def watch(source: str, seconds: float) -> Iterator[Live]:
    """The newest ``seconds`` of a camera, a stream or a file, whenever they are asked for; the last once it ends.

    Frames come in a thread of their own, with the times that the source gives them; a file comes as fast as it decodes.

    Args:
        source: see ``video.stream.stream``.
        seconds: length of the window.

    Raises:
        VideoError: the source cannot be read, or ended without a frame.
    """
    live, lock = Live(), threading.Lock()
    fresh, ended, stop = threading.Event(), threading.Event(), threading.Event()
    failure: list[VideoError] = []

    def read() -> None:
        try:
            for image, time in stream(source):
                with lock:
                    live.add(image, seconds, now=time)
                fresh.set()
                if stop.is_set():
                    return
        except VideoError as error:
            failure.append(error)
        finally:
            ended.set()
            fresh.set()

    threading.Thread(target=read, name="camera", daemon=True).start()
    try:
        while fresh.wait():
            fresh.clear()
            last = ended.is_set()
            if failure:
                raise failure[0]
            with lock:
                held = Live(live.frames.copy())
            if held.frames:
                yield held
            elif last:
                raise VideoError(f"{source} ended without a frame; choose another source.")
            if last:
                return
    finally:
        stop.set()
