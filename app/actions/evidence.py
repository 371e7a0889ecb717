"""One click: the clip's frames as they are, reversed, shuffled, frozen, slower and faster, under both models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.services import Services
from ezclip.errors import VideoError
from ezclip.progress import Step, watched
from ezclip.studies.analysis import Request, frames_beside, sentences_of, wanted_labels

if TYPE_CHECKING:
    from ezclip.evaluation.order import Variations
    from ezclip.figures.report import Report
    from ezclip.studies.motion import Probe, Seen


@dataclass(frozen=True)
class Evidence:
    """Probes by model, and the verdict in a sentence for each model."""

    request: Request
    probes: dict[str, list[Probe]]
    verdicts: list[str]

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables."""
        from ezclip.studies.motion import evidence_report

        return evidence_report(self.probes, provenance)


def motion_evidence(services: Services, request: Request) -> Iterator[Step | Evidence]:
    """Run every variation under baseline and model; what they saw of a clip is kept for other class names.

    Yields:
        Steps, and the Evidence last. Closing the iterator cancels.
    """
    from ezclip.evaluation.order import read_variations
    from ezclip.studies.motion import observe, probe, verdict

    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    models = list(dict.fromkeys((request.baseline, request.model)))
    found: dict[str, list[Probe]] = {}
    decoded: dict[int, Variations] = {}  # once for each T
    digest = services.digest(request.path)
    for i, name in enumerate(models):
        predictor = services.predictor(name)
        T = frames_beside(predictor, services.predictor(request.model))
        seen: list[Seen] = services.kept(digest, name, T)
        if not seen and T not in decoded:
            for step in watched(partial(read_variations, request.path, T), "decoding the variations"):
                if isinstance(step, Step):
                    yield Step(i / len(models), step.doing)
                else:
                    decoded[T] = step
        steps = observe(predictor, decoded[T]) if not seen else iter(())
        while not seen:
            with services.lock:  # never across a yield, which may come back in another thread
                step = next(steps)
            if isinstance(step, list):
                seen.extend(step)
            else:
                yield Step((i + step) / len(models), f"{name}: {step:.0%}")
        with services.lock:
            found[name] = probe(predictor, seen, names, sentences_of(request, predictor, names))
    yield Evidence(request, found, [verdict(name, probes) for name, probes in found.items()])
