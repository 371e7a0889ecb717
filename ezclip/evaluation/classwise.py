"""Class-wise comparison of two models on the same clips (Fig. 5): accuracies, confusions, and a joint projection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.metrics import mean_interval
from ezclip.evaluation.run import Evaluation
from ezclip.explanation.projection import project, stack_embeddings
from ezclip.figures import charts
from ezclip.figures.report import Picture
from ezclip.types import Document


@dataclass(frozen=True)
class Difference:
    """A difference of top-1 accuracies, second model minus first.

    Attributes:
        label: class, or "all classes".
        n: number of clips.
        first: top-1 of the first model, in [0, 1].
        second: top-1 of the second model.
        low: lower end of the 95 % paired bootstrap interval of the difference.
        high: upper end of that interval.
        p: p-value of McNemar's exact test.
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


def paired_difference(label: str, first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two models on the same clips; ``first`` and ``second`` are bool (n,), True where a model is correct."""
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
        overall: difference over all clips.
        classes: difference of each class, largest gain first.
        fixed: (class, the first model's wrong prediction, number of clips) that the second model gets right.
        created: (class, the second model's wrong prediction, number of clips) that the first model gets right.
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
    """Compare two evaluations of the same clips class by class.

    Raises:
        UserError: the evaluations differ in clips or classes.
    """
    if first.labels != second.labels or [r.short_name for r in first.rows] != [r.short_name for r in second.rows]:
        raise UserError("The two evaluations differ in clips or class names; run both on the same list.")
    labels = np.array(first.labels)
    truth = np.array([row.label for row in first.rows])
    predictions = [labels[e.scores.argmax(dim=1).numpy()] for e in (first, second)]
    correct = [predicted == truth for predicted in predictions]
    classes = [paired_difference(label, *(c[truth == label] for c in correct)) for label in labels if label in truth]
    gained, lost = ~correct[0] & correct[1], correct[0] & ~correct[1]
    fixed = Counter(zip(truth[gained], predictions[0][gained], strict=True))
    created = Counter(zip(truth[lost], predictions[1][lost], strict=True))
    return Comparison(
        (first.model, second.model),
        paired_difference("all classes", *correct),
        sorted(classes, key=lambda d: -d.difference),
        [(str(a), str(b), n) for (a, b), n in fixed.most_common()],
        [(str(a), str(b), n) for (a, b), n in created.most_common()],
    )


@dataclass(frozen=True)
class ChangedClip:
    """A clip that only one of two models gets right.

    Attributes:
        row: index into the evaluations' rows.
        label: true class.
        first: prediction of the first model.
        second: prediction of the second model.
        margin: the second model's margin minus the first's, in [-2, 2], not negative where ``fixed``. A model's margin
            is the score of the true class minus the highest other score.
    """

    row: int
    label: str
    first: str
    second: str
    margin: float

    @property
    def fixed(self) -> bool:
        """Whether the second model is correct."""
        return self.second == self.label


def changed_clips(first: Evaluation, second: Evaluation) -> list[ChangedClip]:
    """The clips that only one of two models gets right, largest change of margin first; both have the same rows."""
    if not first.rows:
        return []
    margins, predictions = [], []
    for e in (first, second):
        index, scores = np.arange(len(e.rows)), e.scores.numpy().astype(float)
        others = scores.copy()
        others[index, e.targets] = 0
        margins.append(scores[index, e.targets] - others.max(axis=1))
        predictions.append([e.labels[i] for i in scores.argmax(axis=1)])
    change = margins[1] - margins[0]
    changed = np.flatnonzero(first.correct != second.correct)
    return [
        ChangedClip(int(i), first.rows[i].label, predictions[0][i], predictions[1][i], float(change[i]))
        for i in changed[np.argsort(-np.abs(change[changed]), kind="stable")]
    ]


def top_changed(comparison: Comparison) -> list[str]:
    """The eight classes that changed most, for the embedding map."""
    return [d.label for d in sorted(comparison.classes, key=lambda d: -abs(d.difference))[:8]]


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Video embeddings (means over frames) of two models, projected jointly to 2D.

    Attributes:
        models: ids of the two models.
        rows: n clips.
        points: (2, n, 2), coordinates by model and clip.
        silhouette: model -> silhouette score of the classes in its embedding space, in [-1, 1]; None for fewer than two
            classes or for classes of one clip each.
        method: the projection with its settings.
        trustworthiness: in [0, 1], None for too few points.
    """

    models: list[str]
    rows: list[Row]
    points: np.ndarray
    silhouette: dict[str, float | None]
    method: str
    trustworthiness: float | None

    @property
    def classes(self) -> list[str]:
        """Distinct labels in the order of the clips."""
        return list(dict.fromkeys(row.label for row in self.rows))

    @property
    def note(self) -> str:
        """The figure's quality measures."""
        scores = ", ".join(f"{name} {_format(value)}" for name, value in self.silhouette.items())
        return (
            f"Silhouette of the classes in the embedding: {scores}. Trustworthiness: {_format(self.trustworthiness)}."
        )

    def picture(self) -> Picture:
        """A scatter plot with one panel per model and one colour per class."""
        labels = [row.label for row in self.rows]
        figure = charts.plane(
            self.points.reshape(-1, 2),
            [name for name in self.models for _ in labels],
            labels * 2,
            title=f"{self.method}, one fit for both models",
        )
        return Picture("class_map", f"Videos of the {len(self.classes)} classes that changed most", figure, self.note)

    def as_json(self) -> Document:
        """Plain values."""
        return {
            "classes": self.classes,
            "method": self.method,
            "silhouette": self.silhouette,
            "trustworthiness": self.trustworthiness,
            "clips": [
                {"clip": row.short_name, "label": row.label}
                | {name: self.points[m, i].tolist() for m, name in enumerate(self.models)}
                for i, row in enumerate(self.rows)
            ],
        }


def _format(value: float | None) -> str:
    return "too few clips" if value is None else f"{value:.2f}"


def read_class_map(data: Document, models: Sequence[str]) -> ClassMap:
    """Restore a map from ``as_json``, with the two models in the given order."""
    clips = data["clips"]
    return ClassMap(
        list(models),
        [Row(Path(clip["clip"]), clip["label"]) for clip in clips],
        np.array([[clip[name] for clip in clips] for name in models]),
        {name: data["silhouette"][name] for name in models},
        data["method"],
        data["trustworthiness"],
    )


def map_classes(first: Evaluation, second: Evaluation, classes: list[str]) -> ClassMap:
    """Project the clips of ``classes`` jointly under two models that were evaluated on the same clips.

    Raises:
        UserError: the models' embeddings differ in width.
    """
    from sklearn.metrics import silhouette_score

    selected = [i for i, row in enumerate(first.rows) if row.label in classes]
    rows = [first.rows[i] for i in selected]
    videos = [e.frames[selected].mean(dim=1).numpy() for e in (first, second)]
    flat = project(stack_embeddings({e.model: v for e, v in zip((first, second), videos, strict=True)}))
    labels = [row.label for row in rows]
    silhouette: dict[str, float | None] = {first.model: None, second.model: None}
    if 2 <= len(set(labels)) < len(rows):
        for name, values in zip(silhouette, videos, strict=True):
            unit = values / np.linalg.norm(values, axis=1, keepdims=True)
            silhouette[name] = float(silhouette_score(unit, labels))
    points = flat.points.reshape(2, len(rows), 2)
    trust = None if np.isnan(flat.trustworthiness) else flat.trustworthiness
    return ClassMap([first.model, second.model], rows, points, silhouette, flat.method, trust)
