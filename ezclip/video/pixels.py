"""Stores the pixels of decoded frames and downscales large frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from ezclip.progress import Report
from ezclip.video.pictures import thumbnail

TARGET_SIDE = 1080  # short side near which large frames are downscaled; more than the input of any model
Allocate = Callable[[tuple[int, ...]], np.ndarray]  # creates a uint8 array of a shape


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    """An ordinary array, not shared with other processes."""
    return np.empty(shape, np.uint8)


class Pixels:
    """Collects the pixels and times of decoded frames, resized to the first frame's size, at most ``side`` if given."""

    def __init__(self, count: int, allocate: Allocate, report: Report, side: int | None = None):
        self.count, self.allocate, self.report, self.side = count, allocate, report, side
        self.seconds: list[float] = []

    def add(self, image: np.ndarray, seconds: float) -> None:
        """Store the next frame."""
        image = thumbnail(image, self.side) if self.side else downscale_large(image)
        if not self.seconds:
            self.images = self.allocate((self.count, *image.shape))
        if len(self.seconds) == self.count:
            return
        height, width = self.images.shape[1:3]
        if image.shape[:2] != (height, width):  # the resolution changes within the video
            image = np.asarray(Image.fromarray(image).resize((width, height)))
        self.images[len(self.seconds)] = image
        self.seconds.append(seconds)
        self.report(len(self.seconds) / self.count)


def downscale_large(image: np.ndarray) -> np.ndarray:
    """Downscale large frames, by averaging squares of pixels, to a short side near ``TARGET_SIDE``."""
    factor = min(image.shape[:2]) // TARGET_SIDE
    return np.asarray(Image.fromarray(image).reduce(factor)) if factor > 1 else image
