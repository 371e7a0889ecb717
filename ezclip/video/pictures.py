"""Reads still images, which are user input: few formats, limited size."""

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
    """A still, upright, uint8 RGB (H, W, 3); JPEG, PNG or WebP.

    Args:
        path: of the file.
        name: shown in messages.

    Raises:
        VideoError: not a readable picture, or too large.
    """
    try:
        with Image.open(path, formats=PICTURES) as image:
            if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
                raise VideoError(f"{name} is larger than {MAX_PIXELS:,} pixels.")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"{name} cannot be read as an image.") from error


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """A picture uint8 (H, W, 3) with its long side at most ``side``."""
    if max(image.shape[:2]) <= side:
        return image
    smaller = Image.fromarray(image)
    smaller.thumbnail((side, side), Image.Resampling.BILINEAR)  # half the time of the default
    return np.asarray(smaller)
