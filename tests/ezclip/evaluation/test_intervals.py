"""Bootstrap and Wilson intervals."""

import numpy as np
import pytest

from ezclip.evaluation.metrics import grouped_interval, mean_interval


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        interval = mean_interval(rng.normal(1, 1, 40), resamples=400, seed=i)
        hits += interval.low <= 1 <= interval.high
    assert 0.88 < hits / 200 < 0.99
    assert mean_interval(np.array([])).n == 0


def test_grouped_interval_draws_whole_groups() -> None:
    values, groups = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])
    assert grouped_interval(values, groups).bar == (0.75, 0.0, 1.0)  # both draws of one group: probability 1/4
    assert grouped_interval(values, np.zeros(4, int)).bar == (0.75, 0.75, 0.75)
    many = np.random.default_rng(0).normal(size=400)
    alone, clips = grouped_interval(many, np.arange(400)), mean_interval(many)
    assert alone.low == pytest.approx(clips.low, abs=0.02) and alone.high == pytest.approx(clips.high, abs=0.02)
