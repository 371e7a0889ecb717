"""Frames of several clips under two models in one plane (Fig. 8)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ezclip.errors import UserError
from ezclip.evaluation.report import Picture, Report, Table
from ezclip.explanation.projection import Projection, project, together
from ezclip.figures import charts
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Predictor
from ezclip.types import Clip, MotionStatistics

MOST_CLIPS = 8
FREE = nullcontext()
PHANTOM = "Phantom share: how much of Var + C a frozen copy of the clip shows, in which nothing moves."
POINT = ("model", "clip", "frame", "seconds", "x", "y")
_PARTS: dict[str, set[str]] = {
    "clip": set(),
    "base": {"adapters"},
    "motion": {"adapters", "the motion loss"},
    "prompts": {"adapters", "temporal prompts"},
    "ezclip": {"adapters", "temporal prompts", "the motion loss"},
}


@dataclass(frozen=True, eq=False)
class Layout:
    """Frame embeddings laid out in one fit.

    Attributes:
        points: (models * clips * T, 2), models first, then clips, then frames in time order.
        models: names of the two models.
        clips: the clips, each with its T frames.
        method: how the points were found.
        trustworthiness: in [0, 1], NaN for too few points.
        motion: [model][clip]: spread of the clip's frames and of its frozen copy.
        difference: what the two models differ in, in words.
    """

    points: np.ndarray
    models: list[str]
    clips: list[Clip]
    method: str
    trustworthiness: float
    motion: list[list[MotionStatistics]]
    difference: str

    def of(self, model: int, clip: int) -> np.ndarray:
        """(T, 2), one clip under one model."""
        T = len(self.clips[0])
        start = (model * len(self.clips) + clip) * T
        return self.points[start : start + T]

    def rows(self) -> list[list[Any]]:
        """model, clip with its number, frame from 1, seconds, x, y for each point."""
        return [
            [name, f"{c + 1}. {clip.name}", t + 1, round(float(clip.seconds[t]), 4), float(x), float(y)]
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            for t, (x, y) in enumerate(self.of(m, c))
        ]

    def spread(self) -> list[list[Any]]:
        """model, clip, Var and C with those of the frozen copy, and the phantom share, for each model and clip."""
        return [
            [name, clip.name, s.variance, s.frozen_variance, s.central_difference, s.frozen_central_difference]
            + [phantom_share(s)]
            for name, of_model in zip(self.models, self.motion, strict=True)
            for clip, s in zip(self.clips, of_model, strict=True)
        ]

    def still(self) -> list[str]:
        """Sentences on clips whose frames all lie on one point."""
        return [
            f"All frames of {clip.name} are one point under {name}."
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            if np.ptp(self.of(m, c), axis=0).max() < 1e-6
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes null."""
        return {
            "models": self.models,
            "clips": [clip.name for clip in self.clips],
            "method": self.method,
            "difference": self.difference,
            "notes": self.still(),
            "trustworthiness": None if np.isnan(self.trustworthiness) else self.trustworthiness,
            "points": [dict(zip(POINT, row, strict=True)) for row in self.rows()],
            "motion": [[asdict(s) | {"phantom_share": phantom_share(s)} for s in of_model] for of_model in self.motion],
        }

    def report(self, provenance: dict[str, str]) -> Report:
        """The plane, its points and the spread of each clip; ``provenance`` says what made them."""
        rows = self.rows()
        title = f"{self.method}, one fit; {self.difference}"
        plane = charts.plane(self.points, [r[0] for r in rows], [r[1] for r in rows], title=title, trajectories=True)
        columns = ["model", "clip", "Var", "Var of a frozen copy", "C", "C of a frozen copy", "phantom share"]
        spread = [[*row[:-1], "no spread" if row[-1] is None else row[-1]] for row in self.spread()]
        trust = "too few points" if np.isnan(self.trustworthiness) else f"{self.trustworthiness:.2f}"
        lead = f"Frames of {len(self.clips)} clips under {' and '.join(self.models)}; trustworthiness {trust}."
        lead = " ".join([lead, *self.still()])
        note = "One colour a clip, joined in time order; 1 marks the first frame."
        parts = [
            Picture("plane", "Frames in one plane (Fig. 8)", plane, note),
            Table("points", "Points", list(POINT), rows, on_page=False),
            Table("spread", "Spread of the frames (Eq. 4, 5)", columns, spread, PHANTOM),
        ]
        return Report("Frame embeddings", lead, self.as_json(), provenance, parts)


def phantom_share(motion: MotionStatistics) -> float | None:
    """Var + C of the frozen copy, as a share of the clip's own; None where the clip's frames do not spread at all."""
    total = motion.variance + motion.central_difference
    return (motion.frozen_variance + motion.frozen_central_difference) / total if total > 1e-6 else None


def lay_out(
    predictors: list[Predictor],
    clips: list[Clip],
    method: Projection = "t-SNE",
    tick: Callable[[float], None] = lambda _: None,
    lock: AbstractContextManager[Any] = FREE,
) -> Layout:
    """Embed the frames of every clip with each model and project them in one fit.

    Args:
        predictors: the two models.
        clips: each with the models' T frames.
        method: the projection.
        tick: hears the share of the clips that are embedded and may raise to stop.
        lock: held while a model works.

    Raises:
        UserError: no clip, too many, or models that see different numbers of frames or embed in different widths.
    """
    if not 1 <= len(clips) <= MOST_CLIPS:
        raise UserError(f"{len(clips)} clips were chosen; 1 to {MOST_CLIPS} fit in one picture.")
    if len({p.name for p in predictors}) < len(predictors):
        raise UserError(f"{predictors[0].name} was chosen twice; choose two different models.")
    counts = {p.model.num_frames for p in predictors}
    if len(counts) > 1:
        raise UserError(f"The models see {' and '.join(map(str, sorted(counts)))} frames; choose a pair of equal T.")
    rows, motion = [], []
    for m, predictor in enumerate(predictors):
        statistics, own = [], []
        for c, clip in enumerate(clips):
            tick((m + c / len(clips)) / len(predictors))
            with lock:
                predictor.set_video(clip)
                own.append(predictor.frames[0].cpu().numpy())
                statistics.append(predictor.motion())
        rows.append(own)
        motion.append(statistics)
    by_model = {p.name: np.concatenate(own) for p, own in zip(predictors, rows, strict=True)}
    flat = project(together(by_model), method)
    names = [p.name for p in predictors]
    return Layout(flat.points, names, clips, flat.method, flat.trustworthiness, motion, differ(*predictors))


def differ(first: Predictor, second: Predictor) -> str:
    """What two models differ in, in words."""
    if not same_backbone(first.model, second.model):
        return "the two stand on different backbones"
    apart = sorted(_PARTS[first.model.variant] ^ _PARTS[second.model.variant])
    if first.data and second.data and first.data != second.data:
        apart.append("the clips that they were trained on")
    if not apart:
        return "two models of the same variant"
    return f"the two differ by {' and '.join(apart)}{' alone' if len(apart) == 1 else ''}"


def same_backbone(first: EZCLIP, second: EZCLIP) -> bool:
    """Whether two models stand on one CLIP, by the weights of its first layer."""
    weights = [model.vision.conv1.weight for model in (first, second)]
    return weights[0].shape == weights[1].shape and torch.equal(*weights)
