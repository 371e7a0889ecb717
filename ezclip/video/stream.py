"""Frames of a camera or a stream, as they arrive."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import av
import numpy as np

from ezclip.errors import VideoError
from ezclip.video.decode import decoded, upright

PATIENCE = 10.0  # seconds without a frame after which a camera or stream has ended
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}


def stream(source: str) -> Iterator[tuple[np.ndarray, float]]:
    """Frames of a camera, a stream or a file, upright, with their times in seconds; for trusted sources.

    Args:
        source: "camera:NUMBER" (on Windows "camera:NAME"), an address such as rtsp://host/path, or a file.

    Raises:
        VideoError: it cannot be opened or has no video.
    """
    kind, _, which = source.partition(":")
    driver, device = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    try:
        with (
            av.open(device.format(which or 0), format=driver, timeout=PATIENCE)
            if kind == "camera"
            else av.open(source, timeout=PATIENCE)
        ) as container:
            if not container.streams.video:
                raise VideoError(f"{source} has no video; choose another source.")
            yield from map(upright, decoded(container, container.streams.video[0], pass_over_damage=True))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(
            f"{source} cannot be read ({type(error).__name__}); give camera:0, the address of a stream, or a file."
        ) from error
