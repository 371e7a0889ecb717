"""Reads videos and stills in separate decoding processes, so that untrusted files cannot crash or block the caller.

An answer of a decoder may take at most EZCLIP_DECODE_SECONDS (default 60 s) and 1.5 GiB in addition to the frames.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ezclip.progress import Report, silent
from ezclip.types import Clip, Document, Frames
from ezclip.video.worker import pool

log = logging.getLogger(__name__)

Choose = Callable[[int], list[int]]  # from the number of frames in a video to frame indices, repeats allowed


def read_frames(path: str | Path, choose: Choose, *, side: int | None = None, report: Report = silent) -> Frames:
    """Decode the distinct frames that ``choose`` selects; if one is damaged, select again among the decodable ones.

    Args:
        path: see ``video.decode.Decoder``.
        choose: from the number of frames to frame indices.
        side: frames are downscaled to this long side in pixels; None keeps their size.
        report: receives the fraction done; if it raises, decoding stops at once.

    Raises:
        VideoError: the video is not readable or exceeds a limit; the message says what to do.
    """
    return _read(path, choose, report, side)[0]


def read_clip(path: str | Path, choose: Choose, *, report: Report = silent) -> Clip:
    """Like ``read_frames``, with frames in the order and multiplicity of ``choose``."""
    frames, indices = _read(path, choose, report)
    return frames.select(indices)


def _read(path: str | Path, choose: Choose, report: Report, side: int | None = None) -> tuple[Frames, list[int]]:
    with pool().lease(report) as worker:
        total = worker.open(Path(path).name, path, "frames", side, report=report)
        indices = list(choose(total))
        answer = worker.send(indices, report)
        if isinstance(answer, int):  # a selected frame is damaged; the answer is the number of decodable frames
            indices = list(choose(answer))
            answer = worker.send(indices, report)
    if answer.lost:
        log.warning("%s: %d of %d frames could not be decoded", answer.name, answer.lost, answer.lost + answer.total)
    return answer, indices


class Windows:
    """Sliding windows over a video, see ``video.windows.windows``; the caller must close them."""

    def __init__(self, path: str | Path, *, T: int, seconds: float, step: float):
        self._lease = pool().lease(silent)
        self._worker = self._lease.__enter__()
        try:
            self._first = self._worker.open(Path(path).name, path, "sliding_windows", T, seconds, step, report=silent)
        except BaseException:
            self.close()
            raise

    def next(self, report: Report = silent) -> Clip | None:
        """The next window; None after the last one."""
        first, self._first = self._first, None
        return first or self._worker.send(None, report)

    def close(self) -> None:
        """Return the decoder to the pool."""
        self._lease.__exit__(None, None, None)


def read_picture(path: str | Path, name: str, *, report: Report = silent) -> np.ndarray:
    """Read a still, upright, as uint8 RGB (H, W, 3), see ``video.pictures.read_picture``."""
    with pool().lease(report) as worker:
        return worker.open(name, path, "picture", name, report=report)


def describe(path: str | Path, *, report: Report = silent) -> Document:
    """{"seconds": duration or None, "playable": in browsers}, see ``video.playback.describe``."""
    with pool().lease(report) as worker:
        return worker.open(Path(path).name, path, "description", report=report)


def write_playable(path: str | Path, out: str | Path, limit: int, *, report: Report = silent) -> None:
    """Write an mp4 that browsers can play, see ``video.playback.write_playable``."""
    with pool().lease(report) as worker:
        worker.open(Path(path).name, path, "playable_copy", os.path.abspath(out), limit, report=report)
