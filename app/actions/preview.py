"""What the player shows for a file that browsers cannot play."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from app.services import Services
from ezclip.errors import VideoError
from ezclip.video.decode import iterate, playable_in_browsers, remux, seconds_of
from ezclip.video.encode import write_preview

PREVIEW_FRAMES = 1500


def preview_pair(services: Services, path: str | None) -> tuple[str | None, tuple[str, str] | None]:
    """What the player shows for an uploaded file, and (that, the file itself) for the analysis.

    Raises:
        UserError: not a readable video.
    """
    if path is None:
        return None, None
    shown = path if playable_in_browsers(path) else _preview(services, path)
    return shown, (shown, path)


def unseen_seconds(shown: str, path: str) -> float:
    """Seconds of a file missing in the player, which shows only ``PREVIEW_FRAMES`` of some kinds."""
    whole, part = seconds_of(path), seconds_of(shown)
    return whole - part if whole and part else 0.0


def _preview(services: Services, path: str) -> str:
    """A copy that browsers can play: complete if it can be remuxed, else its first minute or so."""
    folder = services.scratch()
    out = folder / f"preview-{folder.name}.mp4"
    if remux(path, out):
        return str(out)
    frames = iterate(path, limit=PREVIEW_FRAMES)
    first = list(islice(frames, 2))
    if not first:
        raise VideoError(f"No frame of {Path(path).name} can be decoded; choose another video.")
    gap = np.mean([b - a for (_, a), (_, b) in pairwise(first)]) if len(first) > 1 else 0.04
    fps = int(np.clip(round(1 / gap) if gap > 0 else 25, 1, 60))
    write_preview((image for image, _ in [*first, *frames]), out, fps=fps)
    return str(out)
