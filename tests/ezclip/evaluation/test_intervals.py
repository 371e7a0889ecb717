"""Bootstrap and Wilson intervals."""

import numpy as np

from ezclip.evaluation.metrics import mean_interval


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        found = mean_interval(rng.normal(1, 1, 40), resamples=400, seed=i)
        hits += found.low <= 1 <= found.high
    assert 0.88 < hits / 200 < 0.99
    assert mean_interval(np.array([])).n == 0
