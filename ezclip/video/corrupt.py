"""Corruptions of a clip's frames, for robustness tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image, ImageFilter

from ezclip.parameters import Parameter, check_parameters
from ezclip.types import Clip


def _strength(help: str) -> Parameter:
    return Parameter(help, low=0.0, high=1.0, step=0.1)


@dataclass(frozen=True)
class Corruption:
    """The strength of each kind of corruption, from 0 (none) to 1."""

    blur: Annotated[float, _strength("Gaussian blur, up to a radius of 1/16 of the short side.")] = 0.0
    noise: Annotated[float, _strength("Gaussian noise, up to a standard deviation of 64 of 255.")] = 0.0
    darkness: Annotated[float, _strength("Darkening, down to a tenth of the brightness.")] = 0.0
    tint: Annotated[float, _strength("Tint, up to a deep blue-green.")] = 0.0
    occlusion: Annotated[float, _strength("Grey box in the middle, up to two thirds of each side.")] = 0.0
    frame_drop: Annotated[float, _strength("Fraction of the frames replaced by the frame before.")] = 0.0


_BLUE_GREEN = np.array([0.3, 0.75, 0.9], np.float32)


def corrupt(clip: Clip, c: Corruption, *, seed: int = 0) -> Clip:
    """Corrupt the frames of a clip, deterministically for each seed.

    Raises:
        UserError: a strength is outside 0 to 1.
    """
    check_parameters(c)
    rng = np.random.default_rng(seed)
    T = len(clip)
    order = list(range(T))
    for t in rng.permutation(np.arange(1, T))[: round(c.frame_drop * (T - 1))]:
        order[t] = -1
    for t in range(T):
        order[t] = order[t - 1] if order[t] < 0 else order[t]
    images = clip.images[order].astype(np.float32)
    height, width = images.shape[1:3]
    if c.blur:
        radius = c.blur * min(height, width) / 16
        blurred = [Image.fromarray(i.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius)) for i in images]
        images = np.stack([np.asarray(i, np.float32) for i in blurred])
    images = images * (1 - 0.9 * c.darkness) * (1 - c.tint * (1 - _BLUE_GREEN))
    if c.noise:
        images = images + rng.normal(0, 64 * c.noise, images.shape).astype(np.float32)
    if c.occlusion:
        h, w = int(c.occlusion * height / 3), int(c.occlusion * width / 3)
        images[:, height // 2 - h : height // 2 + h, width // 2 - w : width // 2 + w] = 127
    corrupted = np.clip(images, 0, 255).astype(np.uint8)
    return Clip(clip.name, corrupted, clip.indices[order], clip.seconds, clip.total, clip.lost)
