"""Segments: bounds, order, symmetry."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ezclip.video.sampling import random_in_segments, segment_centres


@given(st.integers(1, 2000), st.integers(1, 64))
def test_indices_lie_in_the_video_in_order(total: int, T: int) -> None:
    rng = np.random.default_rng(total)
    for chosen in (segment_centres(total, T), random_in_segments(total, T, rng)):
        assert len(chosen) == T
        assert chosen == sorted(chosen)
        assert 0 <= chosen[0] and chosen[-1] < total


@given(st.integers(1, 16), st.integers(0, 10))
def test_centres_are_symmetric_in_time_for_odd_segments(T: int, k: int) -> None:
    total = T * (2 * k + 1)
    chosen = segment_centres(total, T)
    assert [total - 1 - i for i in reversed(chosen)] == chosen


def test_each_draw_stays_in_its_segment() -> None:
    draws = np.array([random_in_segments(40, 8, np.random.default_rng(i)) for i in range(300)])
    assert np.array_equal(draws.min(0), np.arange(8) * 5)
    assert np.array_equal(draws.max(0), np.arange(8) * 5 + 4)
