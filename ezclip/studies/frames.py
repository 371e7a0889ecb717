"""Frames of several clips under two models in one plane (Fig. 8)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from ezclip.errors import UserError
from ezclip.explanation.projection import PROJECTIONS, Projection
from ezclip.figures import charts
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.declaration import NO_CLIP, Alias, Baseline, ClipFiles, Model, ModelsResult, Study
from ezclip.studies.host import Host
from ezclip.types import Clip, Document, Method, MotionStatistics

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

MOST_CLIPS = 8
PHANTOM = "Phantom share: the fraction of Var + C that remains in a static copy of the clip."
POINT = ("model", "clip", "frame", "seconds", "x", "y")
_PARTS: dict[Method, set[str]] = {
    "clip": set(),
    "base": {"adapters"},
    "motion": {"adapters", "the motion loss"},
    "prompts": {"adapters", "temporal prompts"},
    "ezclip": {"adapters", "temporal prompts", "the motion loss"},
}


@dataclass(frozen=True)
class CompareFrames(Study):
    """Project the frames of clips into a plane, two models in one fit (Fig. 8).

    Example: python -m ezclip frames a.mp4 b.mp4 --out plane --baseline tabletop/prompts --model tabletop/ezclip
    """

    verb: ClassVar[str] = "frames"
    old_flags: ClassVar[dict[str, str]] = {"--first": "--baseline", "--second": "--model", "--method": "--projection"}
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("project"),)
    clips: ClipFiles = ()
    model: Model = "tabletop/ezclip"
    baseline: Baseline = "tabletop/prompts"
    projection: Annotated[Projection, Parameter("The projection.", choices=PROJECTIONS)] = "t-SNE"

    def run(self, host: Host) -> Steps[FramePlane]:
        """Embed the frames of every clip with both models and project them in one fit."""
        if not self.clips:
            raise UserError(NO_CLIP)
        if self.model == self.baseline:
            raise UserError(f"{self.model} was chosen twice; choose two different models.")
        predictors = list((yield from host.predictors(self.models())).values())
        counts = sorted({p.model.num_frames for p in predictors})
        if len(counts) > 1:
            raise UserError(f"The models take {' and '.join(map(str, counts))} frames; choose a pair of equal T.")
        clips: dict[str, Clip] = {}
        for path in self.clips:
            clip = yield from host.clip(path, counts[0])
            clips.setdefault(clip.source, clip)
        return (yield from project_frames(self, host, predictors, list(clips.values())))


def project_frames(
    study: CompareFrames, host: Host, predictors: list[Predictor], clips: list[Clip]
) -> Steps[FramePlane]:
    """Embed the frames of decoded clips and project them; raises UserError for too many clips, or unequal widths."""
    from ezclip.explanation.projection import project, together

    if not 1 <= len(clips) <= MOST_CLIPS:
        raise UserError(f"{len(clips)} clips were chosen; 1 to {MOST_CLIPS} fit in one picture.")
    embeddings: dict[str, np.ndarray] = {}
    motion: list[list[MotionStatistics]] = []
    for m, predictor in enumerate(predictors):
        rows, statistics = [], []
        for c, clip in enumerate(clips):
            yield Progress((m + c / len(clips)) / len(predictors), f"{predictor.name}: embedding {clip.name}")
            encoded = host.encode(predictor, clip)
            rows.append(encoded.frames[0].cpu().numpy())
            statistics.append(predictor.motion(encoded))
        embeddings[predictor.name] = np.concatenate(rows)
        motion.append(statistics)
    yield Progress(1.0, f"projecting with {study.projection}")
    plane = project(together(embeddings), study.projection)
    identities, size = [p.identity for p in predictors], predictors[-1].model.image_size
    return FramePlane(
        study, identities, plane.points, clips, plane.method, plane.trustworthiness, motion, differ(*predictors), size
    )


@dataclass(frozen=True, eq=False)
class FramePlane(ModelsResult[CompareFrames]):
    """Frame embeddings projected in one fit."""

    points: np.ndarray  # (models * clips * T, 2), models first, then clips, then frames in time order
    clips: list[Clip]  # the clips, each with its T frames
    method: str  # the projection with its settings
    trustworthiness: float  # in [0, 1], NaN for too few points
    motion: list[list[MotionStatistics]]  # [model][clip]: spread of the clip's frames and of its static copy
    difference: str  # how the two models differ, as text
    image_size: int  # S of the model, for pictures of the frames

    def of(self, model: int, clip: int) -> np.ndarray:
        """(T, 2), one clip under one model."""
        return self.points.reshape(len(self.models), len(self.clips), -1, 2)[model, clip]

    def rows(self) -> list[list[str | float]]:
        """model, clip with its number, frame from 1, seconds, x, y for each point."""
        return [
            [name, f"{c + 1}. {clip.name}", t + 1, round(float(clip.seconds[t]), 4), float(x), float(y)]
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            for t, (x, y) in enumerate(self.of(m, c))
        ]

    def spread(self) -> list[tuple[str, str, list[float], float | None]]:
        """model, clip, [Var, that of the static copy, C, that of the static copy], phantom share."""
        values = attrgetter("variance", "frozen_variance", "central_difference", "frozen_central_difference")
        return [
            (name, clip.name, list(values(s)), phantom_share(s))
            for name, of_model in zip(self.models, self.motion, strict=True)
            for clip, s in zip(self.clips, of_model, strict=True)
        ]

    def still(self) -> list[str]:
        """Sentences on clips whose frames all coincide."""
        return [
            f"All frames of {clip.name} coincide under {name}."
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            if np.ptp(self.of(m, c), axis=0).max() < 1e-6
        ]

    @property
    def trust(self) -> str:
        """Trustworthiness in words."""
        return "too few points" if np.isnan(self.trustworthiness) else f"{self.trustworthiness:.2f}"

    def as_json(self) -> Document:
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

    def text(self) -> str:
        """Models, trustworthiness and what coincides."""
        lead = f"Frames of {len(self.clips)} clips under {' and '.join(self.models)}; trustworthiness {self.trust}."
        return " ".join([lead, *self.still()])

    def report(self) -> Report:
        """The plane, its points and the spread of each clip."""
        rows, title = self.rows(), f"{self.method}, one fit; {self.difference}"
        panels, groups = [str(r[0]) for r in rows], [str(r[1]) for r in rows]
        plane = charts.plane(self.points, panels, groups, title=title, trajectories=True)
        columns = ["model", "clip", "Var", "Var of a static copy", "C", "C of a static copy", "phantom share"]
        spread = [[*where, *values, "no spread" if share is None else share] for *where, values, share in self.spread()]
        note = "One colour per clip, joined in time order; 1 marks the first frame."
        parts = [
            Picture("plane", "Frames in one plane (Fig. 8)", plane, note),
            Table("points", "Points", list(POINT), rows, on_page=False),
            Table("spread", "Spread of the frames (Eq. 4, 5)", columns, spread, PHANTOM),
        ]
        return self._report("Frame embeddings", self.text(), parts, clips=", ".join(clip.name for clip in self.clips))


def phantom_share(motion: MotionStatistics) -> float | None:
    """Var + C of the static copy as a fraction of the clip's own; None where the clip's frames have no spread."""
    total = motion.variance + motion.central_difference
    return (motion.frozen_variance + motion.frozen_central_difference) / total if total > 1e-6 else None


def differ(first: Predictor, second: Predictor) -> str:
    """How two models differ, as text."""
    import torch

    if not torch.equal(*(p.model.vision.conv1.weight for p in (first, second))):  # the first layer of CLIP
        return "the two stand on different backbones"
    methods: list[Method] = [p.model.variant for p in (first, second)]
    if any(method not in _PARTS for method in methods):
        return f"the two are of the methods {' and '.join(methods)}"
    apart = sorted(_PARTS[methods[0]] ^ _PARTS[methods[1]])
    data = (first.identity.data, second.identity.data)
    if all(data) and data[0] != data[1]:
        apart.append("the clips that they were trained on")
    if not apart:
        return "two models of the same variant"
    return f"the two differ by {' and '.join(apart)}{' alone' if len(apart) == 1 else ''}"
