"""A long video as overlapping windows, decoded once from start to end in constant memory, in a decoding process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ezclip.errors import VideoError
from ezclip.types import Clip
from ezclip.video.decode import iterate
from ezclip.video.sampling import SHORTEST

MOST_FRAMES = 30 * 60 * 60


def windows(path: str | Path, *, T: int, seconds: float, step: float) -> Iterator[Clip]:
    """Windows of ``seconds``, one every ``step``, each with T frames evenly spread over it.

    Only frames at the sampling times are kept, so memory holds one window whatever the video's length. The last window
    may be shorter if the video ends; a video shorter than a window gives one.

    Args:
        path: a video file.
        T: frames of each window.
        seconds: length of a window, at least 0.1.
        step: from the start of one window to the next, at least 0.1.

    Raises:
        VideoError: not a readable video, or a length below 0.1.
    """
    if seconds < SHORTEST or step < SHORTEST:
        raise VideoError(f"Windows of {seconds} s every {step} s are too short; both must be at least {SHORTEST} s.")
    name = Path(path).name
    held: deque[tuple[int, float, np.ndarray]] = deque()
    start: float | None = None
    given = 0

    def window(begin: float) -> Clip:
        inside = [row for row in held if row[1] >= begin - 1e-6] or list(held)
        times = np.array([time for _, time, _ in inside])
        centres = begin + seconds * (np.arange(T) + 0.5) / T
        picked = [inside[int(np.abs(times - centre).argmin())] for centre in centres]
        return Clip(
            name,
            np.stack([image for _, _, image in picked]),
            np.array([index for index, _, _ in picked], np.int64),
            np.array([time for _, time, _ in picked]),
            total=picked[-1][0] + 1,
        )

    last_kept = -np.inf
    for index, (image, time) in enumerate(iterate(path, limit=MOST_FRAMES)):
        start = time if start is None else start
        while held and time >= start + given * step + seconds:
            yield window(start + given * step)
            given += 1
        begin = start + given * step
        while held and held[0][1] < begin - 1e-6:
            held.popleft()
        # Twice as many frames as a window needs, none from between two windows.
        if time >= begin - 1e-6 and (not held or time - last_kept >= seconds / (2 * T) - 1e-6):
            held.append((index, time, image))
            last_kept = time
    if start is None:
        raise VideoError(f"No frame of {name} can be decoded; choose another video.")
    if held and (given == 0 or held[-1][1] - (start + given * step) > seconds / 2):
        yield window(start + given * step)
