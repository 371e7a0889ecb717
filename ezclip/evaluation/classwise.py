"""Two models on the same clips, class by class (Fig. 5): differences with intervals, and what was confused before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from ezclip.errors import UserError
from ezclip.evaluation.metrics import mean_interval
from ezclip.evaluation.run import Evaluation
from ezclip.types import Document


@dataclass(frozen=True)
class Difference:
    """A difference of top-1 accuracies, second model minus first.

    Attributes:
        label: class, or "all classes".
        n: number of clips.
        first: top-1 of the first model, in [0, 1].
        second: of the second model.
        low: lower end of the 95 % paired bootstrap interval of the difference.
        high: its upper end.
        p: of McNemar's exact test on the clips that only one of the two got right.
    """

    label: str
    n: int
    first: float
    second: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """Second minus first, in [-1, 1]."""
        return self.second - self.first


def paired(label: str, first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two models clip by clip; bool (n,) each, whether it is right, the clips in the same order."""
    gain = second.astype(int) - first.astype(int)
    interval = mean_interval(gain)
    won, lost = int((gain > 0).sum()), int((gain < 0).sum())
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return Difference(label, len(gain), float(first.mean()), float(second.mean()), interval.low, interval.high, p)


@dataclass(frozen=True)
class Comparison:
    """Class-wise comparison of two models.

    Attributes:
        models: ids of the first and the second model.
        overall: over all clips.
        classes: one a class, largest gain first.
        fixed: (class, the first model's prediction, clips) that the second model gets right.
        created: (class, the second model's prediction, clips) that the first model got right.
    """

    models: tuple[str, str]
    overall: Difference
    classes: list[Difference]
    fixed: list[tuple[str, str, int]]
    created: list[tuple[str, str, int]]

    @property
    def verdict(self) -> str:
        """One sentence on the overall difference."""
        first, second = self.models
        d = self.overall
        span = f"{100 * d.difference:+.1f} points, 95 % interval {100 * d.low:+.1f} to {100 * d.high:+.1f}"
        if d.low <= 0 <= d.high:
            return f"{second} and {first} do not differ significantly ({span})."
        return f"{second if d.difference > 0 else first} is ahead ({span}; McNemar p = {d.p:.2g})."

    def as_json(self) -> Document:
        """Plain values for report.json."""
        return {
            "models": list(self.models),
            "overall": vars(self.overall) | {"difference": self.overall.difference},
            "classes": [vars(d) | {"difference": d.difference} for d in self.classes],
            "fixed": [list(row) for row in self.fixed],
            "created": [list(row) for row in self.created],
        }


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Class-wise differences of two evaluations of the same clips.

    Raises:
        UserError: the two did not see the same clips or classes.
    """
    if first.labels != second.labels or [r.short_name for r in first.rows] != [r.short_name for r in second.rows]:
        raise UserError("The two evaluations differ in clips or class names; run both on the same list.")
    labels = np.array(first.labels)
    truth = np.array([row.label for row in first.rows])
    said = [labels[e.scores.argmax(dim=1).numpy()] for e in (first, second)]
    right = [answers == truth for answers in said]
    classes = [paired(label, *(r[truth == label] for r in right)) for label in labels if (truth == label).any()]
    fixed = Counter(zip(truth[~right[0] & right[1]], said[0][~right[0] & right[1]], strict=True))
    created = Counter(zip(truth[right[0] & ~right[1]], said[1][right[0] & ~right[1]], strict=True))
    return Comparison(
        (first.model, second.model),
        paired("all classes", *right),
        sorted(classes, key=lambda d: -d.difference),
        [(str(a), str(b), n) for (a, b), n in fixed.most_common()],
        [(str(a), str(b), n) for (a, b), n in created.most_common()],
    )


def top_changed(comparison: Comparison, count: int = 8) -> list[str]:
    """The classes that changed most, for the embedding map."""
    return [d.label for d in sorted(comparison.classes, key=lambda d: -abs(d.difference))[:count]]
