"""Sparse sampling of frames from T equal segments (TSN), as in the release."""

import numpy as np

MIN_SECONDS = 0.1  # shortest window and step of sliding windows


def segment_centres(total: int, T: int) -> list[int]:
    """The middle frame of each of T segments, for evaluation.

    ``floor(t * total / T + (total / T - 1) / 2)``, the release's ``val_indices`` counted from zero. For T frames or
    fewer, frames repeat: ``floor(t * total / T)``, as in the release.

    Args:
        total: number of frames in the video, at least 1.
        T: number of frames to sample, at least 1.

    Returns:
        T indices in [0, total), not decreasing.
    """
    return segment_points(total, T, 0.5)


def segment_points(total: int, T: int, position: float) -> list[int]:
    """The frame at ``position`` in each of T segments, from 0 (the segment's first frame) to 1 (its last).

    Different positions give several temporal views of one video. Otherwise like ``segment_centres``.
    """
    offset = max(total / T - 1, 0) * position
    return [int(t * total / T + offset) for t in range(T)]


def random_in_segments(total: int, T: int, rng: np.random.Generator) -> list[int]:
    """One uniformly sampled frame from each of T segments, for training.

    For fewer than T frames, frames repeat.

    Args:
        total: number of frames in the video, at least 1.
        T: number of frames to sample, at least 1.
        rng: source of randomness.

    Returns:
        T indices in [0, total), not decreasing.
    """
    length = total / T
    return [min(int(length * (t + u)), total - 1) for t, u in enumerate(rng.random(T))]
