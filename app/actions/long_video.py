"""Scores over time: a sliding window over a long video, and the newest window of a camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from app.services import Services
from ezclip.errors import VideoError
from ezclip.evaluation.analysis import Request, sentences_of, wanted_labels
from ezclip.evaluation.jobs import Step
from ezclip.types import Clip, Prediction

if TYPE_CHECKING:
    from ezclip.evaluation.report import Report
    from ezclip.evaluation.timeline import Moment


@dataclass(frozen=True, eq=False)
class Timeline:
    """All windows so far."""

    request: Request
    moments: list[Moment]

    def labels(self, model: str) -> list[str]:
        """The labels that won most often under a model, at most five."""
        from ezclip.evaluation.timeline import winners

        return winners(self.moments, model)

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables."""
        from ezclip.evaluation.timeline import timeline_report

        return timeline_report(self.moments, provenance)


def over_time(services: Services, request: Request, seconds: float, step: float) -> Iterator[Step | Timeline]:
    """Slide a window over the video under baseline and model.

    Yields:
        A Step and the Timeline so far after each window. Closing the iterator cancels.
    """
    from ezclip.evaluation.timeline import scan

    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    predictors = [services.predictor(name) for name in dict.fromkeys((request.baseline, request.model))]
    moments: list[Moment] = []
    found = scan(
        predictors,
        request.path,
        names,
        seconds=seconds,
        step=step,
        sentences=lambda predictor: sentences_of(request, predictor, names),
    )
    while True:
        with services.lock:
            moment = next(found, None)
        if moment is None:
            return
        moments.append(moment)
        yield Step(0.0, f"window {len(moments)}, up to {moment.end:.0f} s")
        yield Timeline(request, list(moments))


@dataclass
class Live:
    """The newest frames of a camera, never more than a window; older ones are dropped, so delay stays bounded.

    Attributes:
        frames: (time, picture), the newest last.
    """

    frames: deque[tuple[float, np.ndarray]] = field(default_factory=lambda: deque(maxlen=64))

    def add(self, image: np.ndarray, seconds: float) -> None:
        """Take a frame and forget those older than ``seconds``."""
        now = monotonic()
        self.frames.append((now, image))
        while now - self.frames[0][0] > seconds:
            self.frames.popleft()

    def clip(self, T: int) -> Clip:
        """T frames evenly spread over what is held."""
        shape = self.frames[-1][1].shape
        rows = [row for row in self.frames if row[1].shape == shape]
        chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, T).round().astype(int)]
        times = np.array([t - chosen[0][0] for t, _ in chosen])
        return Clip("camera", np.stack([i for _, i in chosen]), np.arange(T), times, total=len(rows))


def score_live(services: Services, request: Request, live: Live) -> dict[str, list[Prediction]]:
    """Rankings of the newest window under baseline and model."""
    names, _ = wanted_labels(request)
    found: dict[str, list[Prediction]] = {}
    for name in dict.fromkeys((request.baseline, request.model)):
        predictor = services.predictor(name)
        with services.lock:
            predictor.set_video(live.clip(predictor.model.num_frames))
            found[name] = predictor.score(names, sentences_of(request, predictor, names))
    return found
