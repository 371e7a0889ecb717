"""Reading a video, for the tests of decoding."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torchvision  # noqa: F401 - decoders and torchvision in one process have been seen to hang

from ezclip.errors import VideoError
from ezclip.types import Clip
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

EIGHT = partial(segment_centres, T=8)


def attempt(path: Path) -> Clip | str:
    """The clip, or the error message."""
    try:
        return read_clip(path, EIGHT)
    except VideoError as error:
        return str(error)
