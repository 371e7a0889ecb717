"""Confidence intervals of means and shares over clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: of the values.
        low: lower end.
        high: upper end.
        n: number of values.
    """

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean and percentile bootstrap interval over clips; (n,) -> Interval, all NaN where n = 0."""
    values = np.asarray(values, float)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < 2:
        return Interval(mean, mean, mean, len(values))
    drawn = bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=resamples, method="percentile", rng=np.random.default_rng(seed)
    )
    low, high = map(float, drawn.confidence_interval)
    return Interval(mean, low, high, len(values))


def share_interval(hits: int, n: int) -> Interval:
    """``hits`` of ``n`` clips, n at least 1, with the 95 % Wilson interval, which also holds for few clips."""
    low, high = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Interval(hits / n, float(low), float(high), n)
