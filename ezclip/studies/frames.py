"""Frames of several clips under two models, projected into one plane (Fig. 8)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ezclip.errors import UserError
from ezclip.explanation.projection import PROJECTIONS, Projection
from ezclip.figures import charts
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.declaration import NO_CLIP, Alias, Baseline, ClipFiles, Model, ModelsResult, Study
from ezclip.studies.host import Host
from ezclip.types import Clip, Document, Method, MotionStatistics, Preprocessing

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

MAX_CLIPS = 8
PHANTOM_NOTE = "Phantom share: the fraction of Var + C, not normalised, that remains in a static copy of the clip."
MIN_SPREAD = 1e-6  # of Var + C; no phantom share is given below
_CURVATURE = ("curvature", "frozen_curvature")
CURVATURE_NOTE = (
    "Curvature: mean angle between successive steps of the embeddings (Henaff et al. 2019); 0 is a straight path."
)
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
    """Project the frames of clips under two models into a plane with one fit (Fig. 8).

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
        """Embed the frames of every clip with both models and project all of them in one fit."""
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
    """Embed and project the frames of decoded clips; raises UserError for too many clips or unequal embedding sizes."""
    from ezclip.explanation.projection import project, stack_embeddings
    from ezclip.model.spread import curvature

    if not 1 <= len(clips) <= MAX_CLIPS:
        raise UserError(f"{len(clips)} clips were chosen; 1 to {MAX_CLIPS} fit in one picture.")
    embeddings: dict[str, np.ndarray] = {}
    motion: list[list[MotionStatistics]] = []
    curvatures: list[list[tuple[float, float]]] = []
    for m, predictor in enumerate(predictors):
        frames, copies, statistics, angles = [], [], [], []
        for c, clip in enumerate(clips):
            yield Progress((m + c / len(clips)) / len(predictors), f"{predictor.name}: embedding {clip.name}")
            encoded = host.encode(predictor, clip)
            frames.append(encoded.frames[0].cpu().numpy())
            copies.append(encoded.static[0].cpu().numpy())
            statistics.append(predictor.motion(encoded))
            angles.append((float(curvature(encoded.frames)), float(curvature(encoded.static))))
        embeddings[predictor.name] = np.concatenate(frames + copies)
        motion.append(statistics)
        curvatures.append(angles)
    yield Progress(1.0, f"projecting with {study.projection}")
    plane = project(stack_embeddings(embeddings), study.projection)
    moving, still = np.moveaxis(plane.points.reshape(len(predictors), 2, -1, 2), 1, 0)  # (models, clips * T, 2) each
    return FramePlane(
        study,
        [p.identity for p in predictors],
        moving.reshape(-1, 2),
        still.reshape(-1, 2),
        clips,
        plane.method,
        plane.trustworthiness,
        motion,
        curvatures,
        describe_difference(*predictors),
        predictors[-1].model.preprocessing,
    )


@dataclass(frozen=True, eq=False)
class FramePlane(ModelsResult[CompareFrames]):
    """Frame embeddings of two models, projected in one fit."""

    points: np.ndarray  # (models * clips * T, 2), models first, then clips, then frames in time order
    copies: np.ndarray  # the same for the static copy of each clip
    clips: list[Clip]  # T frames each
    method: str  # the projection and its settings
    trustworthiness: float  # in [0, 1]; NaN for too few points
    motion: list[list[MotionStatistics]]  # [model][clip]: spread of the clip's frames and of its static copy
    curvatures: list[list[tuple[float, float]]]  # [model][clip]: of the clip and of its static copy, in degrees, or NaN
    difference: str  # see ``describe_difference``
    preprocessing: Preprocessing  # of the model, for pictures of the frames

    def of(self, model: int, clip: int, *, copy: bool = False) -> np.ndarray:
        """The points of one clip, or of its static copy, under one model, (T, 2)."""
        points = self.copies if copy else self.points
        return points.reshape(len(self.models), len(self.clips), -1, 2)[model, clip]

    def rows(self, *, copy: bool = False) -> list[list[str | float]]:
        """Per point: model, letter and name of the clip, position in time (from 1), seconds, x, y."""
        return [
            [
                name,
                f"{ascii_uppercase[c]}. {clip.name}",
                t + 1,
                round(float(clip.seconds[T // 2 if copy else t]), 4),
                float(x),
                float(y),
            ]
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            for T in [len(clip)]
            for t, (x, y) in enumerate(self.of(m, c, copy=copy))
        ]

    def spread(self) -> list[tuple[str, str, list[float], float | None]]:
        """Per model and clip: (model, clip, [Var, C, curvature, each with that of the static copy], phantom share)."""
        return [
            (
                name,
                clip.name,
                [s.variance, s.frozen_variance, s.central_difference, s.frozen_central_difference, *angles],
                share,
            )
            for name, statistics, curvatures in zip(self.models, self.motion, self.curvatures, strict=True)
            for clip, s, angles in zip(self.clips, statistics, curvatures, strict=True)
            for share in [phantom_share(s)]
        ]

    @property
    def verdict(self) -> str:
        """The phantom share of each model over all clips, the model before the baseline."""
        parts, suffix = [], " of this spread is there when nothing moves"
        for name, statistics in list(zip(self.models, self.motion, strict=True))[::-1]:
            total = sum(s.variance + s.central_difference for s in statistics)
            static = sum(s.frozen_variance + s.frozen_central_difference for s in statistics)
            if total > MIN_SPREAD:
                parts.append(f"under {name}, {static / total:.0%}{suffix}")
                suffix = ""
            else:
                parts.append(f"under {name} there is no spread")
        return f"U{'; '.join(parts)[1:]}."

    def notes(self) -> list[str]:
        """Sentences on the clips whose frames all coincide."""
        return [
            f"All frames of {clip.name} coincide under {name}."
            for m, name in enumerate(self.models)
            for c, clip in enumerate(self.clips)
            if np.ptp(self.of(m, c), axis=0).max() < 1e-6
        ]

    @property
    def trust(self) -> str:
        """Trustworthiness as text."""
        return "too few points" if np.isnan(self.trustworthiness) else f"{self.trustworthiness:.2f}"

    def as_json(self) -> Document:
        """Plain values; NaN becomes null."""
        return {
            "models": self.models,
            "clips": [clip.name for clip in self.clips],
            "method": self.method,
            "difference": self.difference,
            "verdict": self.verdict,
            "notes": self.notes(),
            "trustworthiness": _or_null(self.trustworthiness),
            "points": [dict(zip(POINT, row, strict=True)) for row in self.rows()],
            "static_copies": [dict(zip(POINT, row, strict=True)) for row in self.rows(copy=True)],
            "motion": [
                [
                    asdict(s) | dict(zip(_CURVATURE, map(_or_null, a))) | {"phantom_share": phantom_share(s)}
                    for s, a in pairs
                ]
                for pairs in (zip(*rows, strict=True) for rows in zip(self.motion, self.curvatures, strict=True))
            ],
        }

    def text(self) -> str:
        """The verdict, the models, trustworthiness and notes."""
        lead = f"Frames of {len(self.clips)} clips under {' and '.join(self.models)}; trustworthiness {self.trust}."
        return " ".join([self.verdict, lead, *self.notes()])

    def report(self) -> Report:
        """The plane, its points and the spread of each clip."""
        rows, copies = self.rows(), self.rows(copy=True)
        title = f"{self.method}, one fit; {self.difference}"
        panels, groups = ([str(r[i]) for r in rows + copies] for i in (0, 1))
        points, hollow = np.concatenate([self.points, self.copies]), [False] * len(rows) + [True] * len(copies)
        plane = charts.plane(points, panels, groups, title=title, trajectories=True, hollow=hollow)
        pairs = [[name, f"{name} of a static copy"] for name in ("Var", "C", "curvature, degrees")]
        columns = ["model", "clip", *chain.from_iterable(pairs), "phantom share"]
        spread = [[m, c, *values, "no spread" if share is None else share] for m, c, values, share in self.spread()]
        note = "One colour per clip, joined in time order; 1 marks the first frame. Hollow: the static copy."
        parts = [
            Picture("plane", "Frames in one plane (Fig. 8)", plane, note),
            Table("points", "Points", list(POINT), rows, on_page=False),
            Table("static_copies", "Points of the static copies", list(POINT), copies, on_page=False),
            Table("spread", "Spread of the frames (Eq. 4, 5)", columns, spread, f"{PHANTOM_NOTE} {CURVATURE_NOTE}"),
        ]
        return self._report("Frame embeddings", self.text(), parts, clips=", ".join(clip.name for clip in self.clips))


def phantom_share(motion: MotionStatistics) -> float | None:
    """Var + C of the static copy as a fraction of that of the clip; None for a clip without spread."""
    total = motion.variance + motion.central_difference
    return (motion.frozen_variance + motion.frozen_central_difference) / total if total > MIN_SPREAD else None


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else value


def describe_difference(first: Predictor, second: Predictor) -> str:
    """How two models differ, as text."""
    import torch

    towers: list[Any] = [getattr(p.model, "vision", None) for p in (first, second)]
    if None in towers or not torch.equal(*(tower.conv1.weight for tower in towers)):  # the first layer of CLIP
        return "the two use different backbones"
    methods: list[Method] = [p.model.variant for p in (first, second)]
    if any(method not in _PARTS for method in methods):
        return f"the two are of the methods {' and '.join(methods)}"
    differences = sorted(_PARTS[methods[0]] ^ _PARTS[methods[1]])
    data = (first.identity.data, second.identity.data)
    if all(data) and data[0] != data[1]:
        differences.append("the clips that they were trained on")
    if not differences:
        return "two models of the same variant"
    return f"the two differ by {' and '.join(differences)}{' alone' if len(differences) == 1 else ''}"
