"""Videos of the classes on which two models differ most, both models in one plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ezclip.data.manifest import Row
from ezclip.evaluation.run import Evaluation
from ezclip.explanation.projection import project, together
from ezclip.figures import charts
from ezclip.figures.report import Picture
from ezclip.types import Document


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Video embeddings (means over frames) of two models, projected in one fit.

    Attributes:
        models: the two names.
        rows: n clips.
        points: (2, n, 2), by model and clip.
        silhouette: model -> how well its embedding separates the classes, in [-1, 1]; None for fewer than two classes
            or for classes of one clip each.
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
        """Labels in the order of the clips, each once."""
        return list(dict.fromkeys(row.label for row in self.rows))

    @property
    def note(self) -> str:
        """The figure's quality measures."""
        told = ", ".join(f"{name} {_told(value)}" for name, value in self.silhouette.items())
        return f"Silhouette of the classes in the embedding: {told}. Trustworthiness: {_told(self.trustworthiness)}."

    def picture(self) -> Picture:
        """One panel a model, one colour a class."""
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


def _told(value: float | None) -> str:
    return "too few clips" if value is None else f"{value:.2f}"


def read_class_map(data: Document, models: Sequence[str]) -> ClassMap:
    """The map from ``as_json``, its two models in this order."""
    clips = data["clips"]
    return ClassMap(
        list(models),
        [Row(Path(clip["clip"]), clip["label"]) for clip in clips],
        np.array([[clip[name] for clip in clips] for name in models]),
        {name: data["silhouette"][name] for name in models},
        data["method"],
        data["trustworthiness"],
    )


def map_classes(first: Evaluation, second: Evaluation, wanted: list[str]) -> ClassMap:
    """Project the clips of the ``wanted`` classes under two models that saw the same clips.

    Raises:
        UserError: embeddings of different width.
    """
    from sklearn.metrics import silhouette_score

    own = [i for i, row in enumerate(first.rows) if row.label in wanted]
    rows = [first.rows[i] for i in own]
    videos = [e.frames[own].mean(dim=1).numpy() for e in (first, second)]
    flat = project(together({e.model: v for e, v in zip((first, second), videos, strict=True)}))
    labels = [row.label for row in rows]
    silhouette: dict[str, float | None] = {first.model: None, second.model: None}
    if 2 <= len(set(labels)) < len(rows):
        for name, values in zip(silhouette, videos, strict=True):
            unit = values / np.linalg.norm(values, axis=1, keepdims=True)
            silhouette[name] = float(silhouette_score(unit, labels))
    points = flat.points.reshape(2, len(rows), 2)
    trust = None if np.isnan(flat.trustworthiness) else flat.trustworthiness
    return ClassMap([first.model, second.model], rows, points, silhouette, flat.method, trust)
