"""Scores over time: a window that slides over a long video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ezclip.explanation.compare import explain_clip
from ezclip.predictor import Predictor
from ezclip.types import Prediction
from ezclip.video.windows import windows

Sentences = Callable[[Predictor], dict[str, list[str]] | None]


@dataclass(frozen=True, eq=False)
class Moment:
    """One window under each model.

    Attributes:
        start: seconds of its first frame.
        end: seconds of its last frame.
        predictions: model -> ranking, best first.
        middle: uint8 (H, W, 3), its middle frame.
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
        heat = explain_clip(predictors[-1]).heat[middle]
        yield Moment(float(clip.seconds[0]), float(clip.seconds[-1]), found, clip.images[middle], heat)
