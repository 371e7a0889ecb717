"""Damage to the user's own clip with live scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.services import Services
from ezclip.errors import VideoError
from ezclip.evaluation.analysis import Request, sentences_of, wanted_labels
from ezclip.evaluation.jobs import Step
from ezclip.figures.maps import draw_strip
from ezclip.types import Clip, Prediction
from ezclip.video.corrupt import Corruption, corrupt

if TYPE_CHECKING:
    from ezclip.evaluation.report import Report


@dataclass(frozen=True, eq=False)
class Damaged:
    """A damaged clip and what both models make of it."""

    request: Request
    corruption: Corruption
    clip: Clip
    predictions: dict[str, list[Prediction]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        ranked = {name: [vars(p) for p in predictions] for name, predictions in self.predictions.items()}
        return {"clip": self.clip.name, "damage": vars(self.corruption), "models": ranked}

    def report(self, provenance: dict[str, str]) -> Report:
        """The frames and the rankings."""
        from ezclip.evaluation.report import Picture, Report, Table

        rows = [
            [name, rank, p.label, p.score, p.logit]
            for name, predictions in self.predictions.items()
            for rank, p in enumerate(predictions, 1)
        ]
        damage = ", ".join(f"{kind} {value:g}" for kind, value in vars(self.corruption).items() if value) or "none"
        parts = [
            Picture("frames", "The damaged frames", draw_strip(self.clip, {}, limit=1.0)),
            Table("rankings", "Rankings", ["model", "rank", "label", "score", "logit"], rows),
        ]
        return Report(f"{self.clip.name}, damaged", f"Damage: {damage}.", self.as_json(), provenance, parts)


def damage(services: Services, request: Request, corruption: Corruption) -> Iterator[Step | Damaged]:
    """Scores of baseline and model on the damaged clip.

    Yields:
        Steps, and the Damaged last. Closing the iterator cancels.

    Raises:
        UserError: no clip, or class names that cannot be used.
    """
    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    models = list(dict.fromkeys((request.baseline, request.model)))
    found: dict[str, list[Prediction]] = {}
    damaged: Clip | None = None
    for i, name in enumerate(models):
        yield Step(i / len(models), f"{name}: the damaged clip")
        predictor = services.predictor(name)
        damaged = corrupt(services.clip(request.path, predictor.model.num_frames), corruption)
        with services.lock:
            predictor.set_video(damaged)
            found[name] = predictor.score(names, sentences_of(request, predictor, names))
    assert damaged is not None
    yield Damaged(request, corruption, damaged, found)
