"""Frames of several clips under two models in one plane (Fig. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.services import Services
from ezclip.errors import UserError

if TYPE_CHECKING:
    from ezclip.evaluation.frames import Layout


def frame_plane(services: Services, paths: list[str], models: list[str], method: str) -> Layout:
    """Embed the frames of every clip with both models and project them in one fit.

    Raises:
        UserError: no clip, too many, or models that see different numbers of frames.
    """
    from ezclip.evaluation.frames import lay_out

    if not paths:
        raise UserError("No clip yet: drop a video or choose samples.")
    predictors = [services.predictor(name) for name in models]
    T = predictors[1].model.num_frames
    clips = list({id(clip): clip for clip in (services.clip(path, T) for path in paths)}.values())  # each once
    with services.lock:
        return lay_out(predictors, clips, method)  # type: ignore[arg-type]


def sample_paths(names: list[str], folder: Path) -> list[str]:
    """Files of the chosen samples."""
    return [str(folder / f"{name}.mp4") for name in names]
