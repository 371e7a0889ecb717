"""Confidence intervals of means and shares over clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


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
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def share_interval(hits: int, n: int) -> Interval:
    """``hits`` of ``n`` clips, n at least 1, with the 95 % Wilson interval, which also holds for few clips."""
    low, high = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Interval(hits / n, float(low), float(high), n)
