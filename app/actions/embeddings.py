"""Frames of several clips under two models in one plane (Fig. 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from app.services import Services
from ezclip.errors import UserError
from ezclip.progress import Step, watched

if TYPE_CHECKING:
    from ezclip.studies.frames import Layout


def frame_plane(services: Services, paths: list[str], models: list[str], method: str) -> Iterator[Step | Layout]:
    """Embed the frames of every clip with both models and project them in one fit.

    Yields:
        Steps, and the Layout last. Closing the iterator cancels.

    Raises:
        UserError: no clip, too many, or models that see different numbers of frames.
    """
    from ezclip.studies.frames import lay_out

    if not paths:
        raise UserError("No clip yet: drop a video or choose samples.")
    yield Step(0.0, "loading the models")
    predictors = [services.predictor(name) for name in models]
    T = predictors[1].model.num_frames

    def work(tick: Callable[[float], None]) -> Layout:
        clips = list(
            {id(clip): clip for clip in (services.clip(path, T, tick) for path in paths)}.values()
        )  # once each
        return lay_out(predictors, clips, method, tick, services.lock)  # type: ignore[arg-type]

    yield from watched(work, "embedding the frames and laying them out")
