"""What the player shows for a file that browsers cannot play."""

from __future__ import annotations

from app.services import Services
from ezclip.video.read import describe, write_playable

PREVIEW_FRAMES = 1500


def preview_pair(services: Services, path: str | None) -> tuple[str | None, tuple[str, str] | None]:
    """What the player shows for an uploaded file, and (that, the file itself) for the analysis.

    Raises:
        UserError: not a readable video.
    """
    if path is None:
        return None, None
    if describe(path)["playable"]:
        return path, (path, path)
    folder = services.scratch()
    out = str(folder / f"preview-{folder.name}.mp4")
    write_playable(path, out, PREVIEW_FRAMES)
    return out, (out, path)


def unseen_seconds(shown: str, path: str) -> float:
    """Seconds of a file missing in the player, which shows only the beginning of some kinds."""
    whole, part = describe(path)["seconds"], describe(shown)["seconds"]
    return whole - part if whole and part else 0.0
