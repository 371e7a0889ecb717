"""Overlapping windows of a long video, decoded once from start to end in constant memory, in a decoding process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ezclip.errors import VideoError
from ezclip.types import Clip
from ezclip.video.decode import iterate
from ezclip.video.sampling import MIN_SECONDS

MAX_FRAMES = 30 * 60 * 60


def windows(path: str | Path, *, T: int, seconds: float, step: float) -> Iterator[Clip]:
    """Windows of ``seconds``, one every ``step``, each with T frames evenly spread over it.

    Frames are kept at twice the sampling rate and for one window only, so memory does not grow with the video's length.
    The last window may be shorter if the video ends; a video shorter than a window gives one.

    Args:
        path: a video file.
        T: frames per window.
        seconds: length of a window, at least 0.1.
        step: seconds from the start of one window to the next, at least 0.1.

    Raises:
        VideoError: not a readable video, or ``seconds`` or ``step`` is below 0.1.
    """
    if seconds < MIN_SECONDS or step < MIN_SECONDS:
        raise VideoError(f"Windows of {seconds} s every {step} s are too short; both must be at least {MIN_SECONDS} s.")
    name = Path(path).name
    buffer: deque[tuple[int, float, np.ndarray]] = deque()
    start: float | None = None
    count = 0

    def window(begin: float) -> Clip:
        rows = [row for row in buffer if row[1] >= begin - 1e-6] or list(buffer)
        times = np.array([time for _, time, _ in rows])
        centres = begin + seconds * (np.arange(T) + 0.5) / T
        indices, nearest, images = zip(*[rows[int(np.abs(times - centre).argmin())] for centre in centres])
        return Clip(name, np.stack(images), np.array(indices, np.int64), np.array(nearest), total=indices[-1] + 1)

    last_kept = -np.inf
    for index, (image, time) in enumerate(iterate(path, limit=MAX_FRAMES)):
        start = time if start is None else start
        while buffer and time >= start + count * step + seconds:
            yield window(start + count * step)
            count += 1
        begin = start + count * step
        while buffer and buffer[0][1] < begin - 1e-6:
            buffer.popleft()
        # Twice as many frames as a window needs, and none between two windows.
        if time >= begin - 1e-6 and (not buffer or time - last_kept >= seconds / (2 * T) - 1e-6):
            buffer.append((index, time, image))
            last_kept = time
    if start is None:
        raise VideoError(f"No frame of {name} can be decoded; choose another video.")
    if buffer and (count == 0 or buffer[-1][1] - (start + count * step) > seconds / 2):
        yield window(start + count * step)
