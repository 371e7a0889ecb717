"""Reads still images, which are untrusted user input: few formats, limited size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ezclip.errors import VideoError

MAX_SIDE = 8192
MAX_PIXELS = 36_000_000
PICTURES = ("JPEG", "PNG", "WEBP")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_picture(path: str | Path, name: str) -> np.ndarray:
    """Read a JPEG, PNG or WebP picture, upright, as uint8 RGB (H, W, 3).

    Args:
        path: the file.
        name: shown in messages.

    Raises:
        VideoError: the file is not a readable picture or is too large.
    """
    try:
        with Image.open(path, formats=PICTURES) as image:
            if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
                raise VideoError(f"{name} is larger than {MAX_PIXELS:,} pixels.")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"{name} cannot be read as an image.") from error


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """A picture, uint8 (H, W, 3), downscaled to a long side of at most ``side``."""
    if max(image.shape[:2]) <= side:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BILINEAR)  # twice as fast as the default
    return np.asarray(picture)
