"""Frames of a camera or a stream, as they arrive."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import av
import numpy as np

from ezclip.errors import VideoError
from ezclip.video.decode import decode_frames, upright_rgb

TIMEOUT = 10.0  # seconds without a frame after which a camera or stream ends
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}


def stream(source: str) -> Iterator[tuple[np.ndarray, float]]:
    """Frames of a trusted camera, stream or file, upright, with their times in seconds.

    Args:
        source: "camera:NUMBER" (on Windows "camera:NAME"), an address such as rtsp://host/path, or a file.

    Raises:
        VideoError: the source cannot be opened or has no video.
    """
    kind, _, camera = source.partition(":")
    driver, device = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    try:
        with (
            av.open(device.format(camera or 0), format=driver, timeout=TIMEOUT)
            if kind == "camera"
            else av.open(source, timeout=TIMEOUT)
        ) as container:
            if not container.streams.video:
                raise VideoError(f"{source} has no video; choose another source.")
            yield from map(upright_rgb, decode_frames(container, container.streams.video[0], skip_damaged=True))
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(
            f"{source} cannot be read ({type(error).__name__}); give camera:0, the address of a stream, or a file."
        ) from error
