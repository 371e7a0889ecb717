"""Means of accuracies, by hand."""

import pytest

from ezclip.evaluation.metrics import harmonic_mean


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert harmonic_mean(0.0, 0.3) == 0.0
