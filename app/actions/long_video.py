"""Scores over time: a sliding window over a long video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.services import Services
from ezclip.errors import VideoError
from ezclip.progress import Step
from ezclip.studies.analysis import Request, sentences_of, wanted_labels
from ezclip.video.decode import seconds_of

if TYPE_CHECKING:
    from ezclip.figures.report import Report
    from ezclip.studies.timeline import Moment, Window

MOST_KEPT = 1000  # windows of a video, about 30 kB each


@dataclass(frozen=True, eq=False)
class Timeline:
    """The windows so far, or all of them."""

    request: Request
    moments: list[Moment]
    whole: bool

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables."""
        from ezclip.studies.timeline import timeline_report

        return timeline_report(self.moments, provenance)


def over_time(services: Services, request: Request, seconds: float, step: float) -> Iterator[Step | Timeline]:
    """Slide a window over the video under baseline and model; what they saw is kept for other class names.

    Yields:
        A Step for each window; the Timeline so far, each time that it has grown by a tenth, so that a long video is not
        drawn again and again; the whole one last. Closing the iterator cancels.
    """
    from ezclip.studies.timeline import scan, score_window

    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    length = seconds_of(request.path)
    predictors = [services.predictor(name) for name in dict.fromkeys((request.baseline, request.model))]
    known: list[Window] = services.kept(services.digest(request.path), seconds, step, *(p.name for p in predictors))
    source = iter(known) if known else scan(predictors, request.path, seconds=seconds, step=step)
    seen: list[Window] = []
    moments: list[Moment] = []
    drawn = 0
    written = {p.name: sentences_of(request, p, names) for p in predictors}
    while True:
        with services.lock:
            if (window := next(source, None)) is None:
                break
            moment = score_window(window, predictors, names, lambda p: written[p.name])
        moments.append(moment)
        if not known and len(moments) <= MOST_KEPT:
            seen.append(window)
        share = min(1.0, moment.end / length) if length else 0.0
        yield Step(share, f"window {len(moments)}, up to {moment.end:.0f} s{f' of {length:.0f}' if length else ''}")
        if not known and len(moments) > 1.1 * drawn:
            drawn = len(moments)
            yield Timeline(request, list(moments), whole=False)
    if not known and len(moments) <= MOST_KEPT:
        known.extend(seen)
    yield Timeline(request, moments, whole=True)
