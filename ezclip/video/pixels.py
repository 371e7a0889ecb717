"""The pixels of decoded frames: where they are kept, and how large ones are reduced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from ezclip.progress import Report
from ezclip.video.pictures import shrunk

KEPT_SIDE = 1080  # frames with twice this short side or more are reduced; no model sees more than a part of it
Allocate = Callable[[tuple[int, ...]], np.ndarray]  # from a shape to a uint8 array


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    """An array of this process alone."""
    return np.empty(shape, np.uint8)


class Pixels:
    """The pixels and times of frames as they are decoded; all get the size of the first, at most ``side`` if given."""

    def __init__(self, count: int, allocate: Allocate, report: Report, side: int | None = None):
        self.count, self.allocate, self.report, self.side = count, allocate, report, side
        self.seconds: list[float] = []

    def add(self, image: np.ndarray, seconds: float) -> None:
        """Store the next frame."""
        image = shrunk(image, self.side) if self.side else reduced(image)
        if not self.seconds:
            self.images = self.allocate((self.count, *image.shape))
        if len(self.seconds) == self.count:
            return
        height, width = self.images.shape[1:3]
        if image.shape[:2] != (height, width):  # the resolution changes midway
            image = np.asarray(Image.fromarray(image).resize((width, height)))
        self.images[len(self.seconds)] = image
        self.seconds.append(seconds)
        self.report(len(self.seconds) / self.count)


def reduced(image: np.ndarray) -> np.ndarray:
    """A large frame, averaged over squares of pixels so that its short side is near ``KEPT_SIDE``."""
    factor = min(image.shape[:2]) // KEPT_SIDE
    return np.asarray(Image.fromarray(image).reduce(factor)) if factor > 1 else image
