"""A clip whose frames are damaged, and what two models still make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ezclip.errors import VideoError
from ezclip.evaluation.analysis import Host, Request, frames_beside, sentences_of, wanted_labels
from ezclip.evaluation.jobs import Step
from ezclip.evaluation.report import Picture, Report, Table
from ezclip.figures.maps import draw_strip
from ezclip.types import Clip, Prediction
from ezclip.video.corrupt import Corruption, corrupt


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


def damage(host: Host, request: Request, corruption: Corruption) -> Iterator[Step | Damaged]:
    """Scores of baseline and model on the damaged clip.

    Yields:
        Steps, and the Damaged last. Closing the iterator cancels.

    Raises:
        UserError: no clip, or class names that cannot be used.
    """
    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    model = host.predictor(request.model)
    clips: dict[int, Clip] = {}
    found: dict[str, list[Prediction]] = {}
    for i, name in enumerate(models := list(dict.fromkeys((request.baseline, request.model)))):
        yield Step(i / len(models), f"{name}: the damaged clip")
        predictor = host.predictor(name)
        T = frames_beside(predictor, model)
        if T not in clips:
            clips[T] = corrupt(host.clip(request.path, T), corruption)
        with host.lock:
            predictor.set_video(clips[T], keep=False)
            found[name] = predictor.score(names, sentences_of(request, predictor, names))
    yield Damaged(request, corruption, clips[model.model.num_frames], found)
