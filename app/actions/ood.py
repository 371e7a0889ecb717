"""Samples out of distribution, and damage to the user's own clip with live scores."""

from __future__ import annotations

from dataclasses import dataclass

from app.actions.analysis import Analysis, Request, analyse, finish, sentences_of, wanted_labels
from app.actions.classes import shipped
from app.services import Services
from ezclip.errors import VideoError
from ezclip.types import Clip, Prediction
from ezclip.video.corrupt import Corruption, corrupt


@dataclass(frozen=True, eq=False)
class Damaged:
    """A damaged clip and what both models make of it."""

    clip: Clip
    predictions: dict[str, list[Prediction]]


def damage(services: Services, request: Request, corruption: Corruption) -> Damaged:
    """Scores of baseline and model on the damaged clip.

    Raises:
        UserError: no clip, or class names that cannot be used.
    """
    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    found: dict[str, list[Prediction]] = {}
    damaged: Clip | None = None
    for name in dict.fromkeys((request.baseline, request.model)):
        predictor = services.predictor(name)
        damaged = corrupt(services.clip(request.path, predictor.model.num_frames), corruption)
        with services.lock:
            predictor.set_video(damaged)
            found[name] = predictor.score(names, sentences_of(request, predictor, names))
    assert damaged is not None
    return Damaged(damaged, found)


def family_analysis(services: Services, path: str, baseline: str, model: str) -> Analysis:
    """Both models on a shipped clip, with the models' own classes."""
    return finish(analyse(services, Request(path, "", baseline, model)))


def family_accuracy(family: str) -> dict[str, dict[str, float]]:
    """Measured accuracy of the shipped models on a family: variant -> {"top1", "within_pairs", "n"}; may be empty."""
    return {
        variant: report["families"][family]
        for variant, report in shipped().get("ood", {}).items()
        if family in report.get("families", {})
    }
