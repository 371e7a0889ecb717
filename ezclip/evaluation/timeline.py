"""Scores over time: a window that slides over a long video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ezclip.evaluation.report import Picture, Report, Table
from ezclip.explanation.compare import explain_clip, shared_frames
from ezclip.figures import charts
from ezclip.figures.maps import draw_thumbnails, overlay, square
from ezclip.predictor import Predictor
from ezclip.types import Prediction
from ezclip.video.windows import windows

SIDE = 96
TOP = 5  # predictions of each window in report.json; its table has all
THUMBNAILS = 24  # in the report
Sentences = Callable[[Predictor], dict[str, list[str]] | None]


@dataclass(frozen=True, eq=False)
class Window:
    """How models see one window, whatever they are asked.

    Attributes:
        start: seconds of its first frame.
        end: seconds of its last frame.
        videos: model -> (1, 1, E), the mean of its frame embeddings, float32.
        middle: uint8 (96, 96, 3), its middle frame, cropped to a square.
        heat: (grid, grid), rollout of the last model on the middle frame.
    """

    start: float
    end: float
    videos: dict[str, Tensor]
    middle: np.ndarray
    heat: np.ndarray


@dataclass(frozen=True, eq=False)
class Moment:
    """What each model says of one window.

    Attributes:
        start: see ``Window``.
        end: see ``Window``.
        labels: C class names, the same list for all windows.
        scores: model -> (C, 2), score and logit of each label; a long video has many windows.
        middle: see ``Window``.
        heat: see ``Window``.
    """

    start: float
    end: float
    labels: list[str]
    scores: dict[str, np.ndarray]
    middle: np.ndarray
    heat: np.ndarray

    def ranked(self, model: str, top_k: int | None = None) -> list[Prediction]:
        """The best ``top_k`` predictions of a model, best first."""
        order = np.argsort(-self.scores[model][:, 0], kind="stable")[:top_k]
        return [Prediction(self.labels[i], *map(float, self.scores[model][i])) for i in order]

    def score(self, model: str, label: str) -> float:
        """What a model gives a label, in [0, 1]."""
        return float(self.scores[model][self.labels.index(label), 0])

    def as_json(self, top_k: int | None = None) -> dict[str, Any]:
        """Times and the best ``top_k`` predictions of each model."""
        best = {name: [vars(p) for p in self.ranked(name, top_k)] for name in self.scores}
        return {"start": round(self.start, 4), "end": round(self.end, 4), "predictions": best}


def scan(predictors: list[Predictor], path: str | Path, *, seconds: float, step: float) -> Iterator[Window]:
    """Slide a window over a video under each model; of the frames, memory holds one window.

    Args:
        predictors: of equal T where they have prompts; the last one's attention is shown.
        path: a video file.
        seconds: length of a window.
        step: from the start of one window to the next.

    Raises:
        VideoError: not a readable video, or lengths below 0.1 s.
    """
    T = max(shared_frames(predictors[-1], other) for other in predictors)
    for clip in windows(path, T=T, seconds=seconds, step=step):
        videos = {}
        for predictor in predictors:
            predictor.set_video(clip, keep=False)
            videos[predictor.name] = predictor.frames.mean(dim=1, keepdim=True)
        middle = len(clip) // 2
        picture = square(clip.images[middle][None], SIDE)[0]
        heat = explain_clip(predictors[-1]).heat[middle]
        yield Window(float(clip.seconds[0]), float(clip.seconds[-1]), videos, picture, heat)


def score_window(
    window: Window, predictors: list[Predictor], labels: list[str], sentences: Sentences = lambda _: None
) -> Moment:
    """What each model says of a window.

    Args:
        window: of ``scan``.
        predictors: that ``scan`` was given.
        labels: C class names.
        sentences: the texts that stand for the labels under a predictor; None for its own templates.
    """
    found = {}
    for predictor in predictors:
        ranked = predictor.rank(window.videos[predictor.name], labels, sentences(predictor))
        by_label = {p.label: (p.score, p.logit) for p in ranked}
        found[predictor.name] = np.array([by_label[label] for label in labels])
    return Moment(window.start, window.end, labels, found, window.middle, window.heat)


def winners(moments: list[Moment], model: str, most: int = 5) -> list[str]:
    """The labels that won most windows under a model, the most frequent first."""
    return [label for label, _ in Counter(m.ranked(model, 1)[0].label for m in moments).most_common(most)]


def heat_limit(moments: list[Moment]) -> float:
    """Upper end of the colour scale of all windows' heat."""
    return max(float(np.percentile([m.heat.max() for m in moments], 95)), 1e-12)


def thumbnail(moment: Moment, limit: float) -> np.ndarray:
    """uint8 (96, 96, 3), the window's middle frame under its heat."""
    return overlay(moment.middle[None], moment.heat[None], limit)[0]


def evenly(moments: list[Moment], most: int) -> list[Moment]:
    """At most ``most`` of the windows, evenly spread, the first and the last among them."""
    if len(moments) <= most:
        return moments
    return [moments[i] for i in np.linspace(0, len(moments) - 1, most).round().astype(int)]


def timeline_report(moments: list[Moment], provenance: dict[str, str]) -> Report:
    """Scores over time of the labels that won under each model; ``provenance`` says what made them."""
    models, labels = list(moments[0].scores), moments[0].labels
    rows = [[name, m.start, m.end, *m.scores[name][:, 0].tolist()] for name in models for m in moments]
    starts = [m.start for m in moments]
    parts: list[Picture | Table] = []
    for i, name in enumerate(models):
        won = winners(moments, name)
        lines = {label: (starts, [100 * m.score(name, label) for m in moments]) for label in won}
        figure = charts.curves(lines, title=name, x_label="start of the window, s", y_label="score, %")
        parts.append(Picture(f"scores_{i + 1}", f"Scores of {name}", figure, "The labels that won most windows."))
    shown, limit = evenly(moments, THUMBNAILS), heat_limit(moments)
    pictures = [(f"{m.start:.1f} s", thumbnail(m, limit)) for m in shown]
    note = f"The middle frame of {len(shown)} of {len(moments)} windows with its rollout, on one colour scale."
    parts.append(Picture("attention", f"Attention of {models[-1]}", draw_thumbnails(pictures), note))
    columns = ["model", "start", "end", *labels]
    parts.append(Table("windows", "Every window", columns, rows, on_page=False))
    lead = f"{len(moments)} windows from {starts[0]:.2f} to {moments[-1].end:.2f} s."
    data = {"windows": [m.as_json(TOP) for m in moments]}
    return Report("Scores over time", lead, data, provenance, parts)
