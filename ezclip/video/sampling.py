"""Which frames of a video are used: sparse sampling over T equal segments (TSN), as in the release."""

import numpy as np

SHORTEST = 0.1  # seconds of a window and of a step


def segment_centres(total: int, T: int) -> list[int]:
    """The middle frame of each of T segments, for evaluation.

    ``floor(t * total / T + (total / T - 1) / 2)``, the release's ``val_indices`` counted from zero. A video with T
    frames or fewer repeats frames, ``floor(t * total / T)``, as the release does.

    Args:
        total: number of frames in the video, at least 1.
        T: number of frames to choose, at least 1.

    Returns:
        T indices in [0, total), not decreasing.
    """
    return segment_points(total, T, 0.5)


def segment_points(total: int, T: int, place: float) -> list[int]:
    """The frame at one place in each of T segments: 0 is a segment's first frame, 1 its last, 0.5 its middle.

    Several places give several temporal views of one video. Arguments and result as in ``segment_centres``.
    """
    offset = max(total / T - 1, 0) * place
    return [int(t * total / T + offset) for t in range(T)]


def random_in_segments(total: int, T: int, rng: np.random.Generator) -> list[int]:
    """One frame drawn uniformly from each of T segments, for training.

    A video with fewer than T frames repeats frames.

    Args:
        total: number of frames in the video, at least 1.
        T: number of frames to choose, at least 1.
        rng: source of the draws.

    Returns:
        T indices in [0, total), not decreasing.
    """
    tick = total / T
    return [min(int(tick * (t + u)), total - 1) for t, u in enumerate(rng.random(T))]
