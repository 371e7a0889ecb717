"""Scores over time: a window that slides over a long video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ezclip.evaluation.report import Picture, Report, Table
from ezclip.explanation.compare import explain_clip
from ezclip.figures import charts
from ezclip.figures.maps import square
from ezclip.predictor import Predictor
from ezclip.types import Prediction
from ezclip.video.windows import windows

SIDE = 128
Sentences = Callable[[Predictor], dict[str, list[str]] | None]


@dataclass(frozen=True, eq=False)
class Moment:
    """One window under each model.

    Attributes:
        start: seconds of its first frame.
        end: seconds of its last frame.
        predictions: model -> ranking, best first.
        middle: uint8 (128, 128, 3), its middle frame, cropped to a square.
        heat: (grid, grid), rollout of the last model on the middle frame.
    """

    start: float
    end: float
    predictions: dict[str, list[Prediction]]
    middle: np.ndarray
    heat: np.ndarray

    def as_json(self, top_k: int) -> dict[str, Any]:
        """Times and the best ``top_k`` predictions of each model."""
        best = {name: [vars(p) for p in ranked[:top_k]] for name, ranked in self.predictions.items()}
        return {"start": round(self.start, 4), "end": round(self.end, 4), "predictions": best}


def scan(
    predictors: list[Predictor],
    path: str | Path,
    labels: list[str],
    *,
    seconds: float,
    step: float,
    sentences: Sentences = lambda _: None,
) -> Iterator[Moment]:
    """Score each window of a video under each model; memory holds one window.

    Args:
        predictors: of equal T where they have prompts; the last one's attention is shown.
        path: a video file.
        labels: C class names.
        seconds: length of a window.
        step: from the start of one window to the next.
        sentences: the texts that stand for the labels under a predictor; None for its own templates.

    Raises:
        VideoError: not a readable video, or lengths below 0.1 s.
    """
    for clip in windows(path, T=predictors[-1].model.num_frames, seconds=seconds, step=step):
        found = {}
        for predictor in predictors:
            predictor.set_video(clip)
            found[predictor.name] = predictor.score(labels, sentences(predictor))
        middle = len(clip) // 2
        picture = square(clip.images[middle][None], SIDE)[0]
        heat = explain_clip(predictors[-1]).heat[middle]
        yield Moment(float(clip.seconds[0]), float(clip.seconds[-1]), found, picture, heat)


def winners(moments: list[Moment], model: str, most: int = 5) -> list[str]:
    """The labels that won most windows under a model, the most frequent first."""
    return [label for label, _ in Counter(m.predictions[model][0].label for m in moments).most_common(most)]


def timeline_report(moments: list[Moment], provenance: dict[str, str]) -> Report:
    """Scores over time of the labels that won under each model; ``provenance`` says what made them."""
    models = list(moments[0].predictions)
    rows = [
        [name, m.start, m.end, p.label, p.score]
        for name in models
        for m in moments
        for p in sorted(m.predictions[name], key=lambda p: p.label)
    ]
    starts = [m.start for m in moments]
    parts: list[Picture | Table] = []
    for i, name in enumerate(models):
        scores = [{p.label: 100 * p.score for p in m.predictions[name]} for m in moments]
        lines = {label: (starts, [row[label] for row in scores]) for label in winners(moments, name)}
        figure = charts.curves(lines, title=name, x_label="start of the window, s", y_label="score, %")
        parts.append(Picture(f"scores_{i + 1}", f"Scores of {name}", figure, "The labels that won most windows."))
    columns = ["model", "start", "end", "label", "score"]
    parts.append(Table("windows", "Every window", columns, rows, on_page=False))
    lead = f"{len(moments)} windows from {starts[0]:.2f} to {moments[-1].end:.2f} s."
    data = {"windows": [m.as_json(len(m.predictions[models[0]])) for m in moments]}
    return Report("Scores over time", lead, data, provenance, parts)
