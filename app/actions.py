"""What each button does; no Gradio here. Everything is computed by ``ezclip``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from app.services import Services
from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import UserError, VideoError
from ezclip.figures.maps import draw_strip, shared_limit
from ezclip.text.labels import label_set, parse_labels
from ezclip.types import Attribution, Clip, MotionStatistics, Prediction
from ezclip.video.decode import iterate, playable_in_browsers
from ezclip.video.encode import write_preview

PREVIEW_FRAMES = 1500
OWN_SET = "The model's own classes"
SET_TITLES = {
    OWN_SET: None,
    "UCF-101": "ucf101",
    "HMDB-51": "hmdb51",
    "Kinetics-400": "kinetics400",
    "Kinetics-600, classes new to Kinetics-400": "kinetics600_unseen",
    "Something-Something v2": "ssv2",
}


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model's part of an analysis."""

    name: str
    variant: str
    predictions: list[Prediction]
    motion: MotionStatistics
    attribution: Attribution


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the tabs show.

    Attributes:
        clip: the frames that both models saw.
        baseline: drawn above.
        model: drawn below.
        limit: upper end of the colour scale of both maps.
        method: name of the maps' method.
        warnings: about labels and texts, for the user.
    """

    clip: Clip
    baseline: ModelResult
    model: ModelResult
    limit: float
    method: str
    warnings: list[str]


@dataclass(frozen=True)
class Step:
    """Progress: ``done`` of ``total`` steps, and what comes now."""

    done: int
    total: int
    doing: str


def analyse(
    services: Services, path: str | None, labels: str, baseline: str, model: str, method: str = "rollout"
) -> Iterator[Step | Analysis]:
    """Decode once, then predictions, motion statistics and maps of both models.

    Args:
        services: models and clips.
        path: the user's file.
        labels: what is in the class box; empty takes the model's own classes.
        baseline: name of the model that is compared with.
        model: name of the model that is looked at.
        method: a key of ``explanation.registry.METHODS``.

    Yields:
        Steps, and the Analysis last. Stopping the iteration cancels between steps.

    Raises:
        UserError: anything that the user can mend.
    """
    names, warnings = wanted_labels(services, labels, model)
    if not path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    yield Step(0, 6, "loading the models")
    predictors = [services.predictor(name) for name in (baseline, model)]
    compare = services.compare()
    results: list[ModelResult] = []
    yield Step(1, 6, "reading the clip")
    clip = services.clip(path, compare.shared_frames(predictors[1], predictors[0]))
    cut: list[str] = []
    for i, predictor in enumerate(predictors):
        yield Step(2 + 2 * i, 6, f"{predictor.name}: reading {len(names)} class names, encoding {len(clip)} frames")
        with services.lock:
            predictor.set_video(clip)
            ranked, motion = predictor.score(names), predictor.motion()
            cut = predictor.cut_texts or cut
        yield Step(3 + 2 * i, 6, f"{predictor.name}: attention")
        with services.lock:
            predictor.set_video(clip)
            attribution = compare.explain_clip(predictor, method=method)
        results.append(ModelResult(predictor.name, predictor.model.variant, ranked, motion, attribution))
    if cut:
        warnings.append(f"{len(cut)} texts are longer than 77 tokens and were cut, first: {cut[0][:60]}…")
    if clip.lost:
        warnings.append(f"{clip.lost} of {clip.lost + clip.total} frames of this file could not be decoded.")
    limit = shared_limit([r.attribution for r in results])
    yield Analysis(clip, results[0], results[1], limit, method, warnings)


def wanted_labels(services: Services, text: str, model: str) -> tuple[list[str], list[str]]:
    """The user's class names, or the model's own where the box is empty."""
    return parse_labels(text) if text.strip() else (own_labels(model), [])


def set_text(services: Services, title: str, model: str) -> str:
    """The names of a label set as the class box shows them, one a line."""
    name = SET_TITLES.get(title)
    return "\n".join(label_set(name) if name else own_labels(model))


def preview_pair(services: Services, path: str | None) -> tuple[str | None, tuple[str, str] | None]:
    """What the player shows for an uploaded file, and (that, the file itself) for the analysis.

    Raises:
        UserError: not a readable video.
    """
    if path is None:
        return None, None
    shown = path if playable_in_browsers(path) else _preview(services, path)
    return shown, (shown, path)


def _preview(services: Services, path: str) -> str:
    """A copy that browsers can play."""
    frames = iterate(path, limit=PREVIEW_FRAMES)
    first = list(islice(frames, 2))
    if not first:
        raise VideoError(f"No frame of {Path(path).name} can be decoded; choose another video.")
    gap = np.mean([b - a for (_, a), (_, b) in pairwise(first)]) if len(first) > 1 else 0.04
    fps = int(np.clip(round(1 / gap) if gap > 0 else 25, 1, 60))
    folder = services.scratch()
    out = folder / f"preview-{folder.name}.mp4"
    write_preview((image for image, _ in [*first, *frames]), out, fps=fps)
    return str(out)


def strip_png(services: Services, analysis: Analysis) -> str:
    """The maps as one PNG, for taking away."""
    rows = {r.name: r.attribution for r in (analysis.baseline, analysis.model)}
    path = services.scratch() / f"ezclip-{analysis.method}.png"
    draw_strip(analysis.clip, rows, limit=analysis.limit).savefig(path, dpi=110)
    return str(path)


def predict_json(services: Services, clip: str | None, labels: str, model: str) -> dict[str, Any]:
    """The JSON of ``ezclip predict``, for the endpoint."""
    names, _ = wanted_labels(services, labels, model)
    if not clip:
        raise VideoError("No clip was given.")
    predictor = services.predictor(model)
    with services.lock:
        predictor.set_video(services.clip(clip, predictor.model.num_frames))
        return predictor.report(names)


def explain_json(
    services: Services, clip: str | None, labels: str, model: str, baseline: str, label: str, method: str
) -> tuple[dict[str, Any], list[str]]:
    """The JSON of ``ezclip explain`` and the paths of its files, for the endpoint."""
    names, _ = wanted_labels(services, labels, model)
    if label and label not in names:
        raise UserError(f"The label {label[:80]!r} is not among the class names; add it there.")
    compare = services.compare()
    compare.check_method(method)
    if not clip:
        raise VideoError("No clip was given.")
    predictors = [services.predictor(name) for name in dict.fromkeys((model, baseline)) if name]
    with services.lock:
        predictors[0].set_video(services.clip(clip, predictors[0].model.num_frames))
        result = compare.write_explanation(
            services.scratch(), *predictors, labels=names, label=label or None, method=method
        )
    paths = list(result["files"].values())
    result["files"] = {kind: Path(path).name for kind, path in result["files"].items()}
    return result, paths
