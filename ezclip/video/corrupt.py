"""Damage to a clip's frames, for asking how much a model bears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ezclip.errors import UserError
from ezclip.types import Clip


@dataclass(frozen=True)
class Corruption:
    """How strong each kind of damage is, 0 for none to 1.

    Attributes:
        blur: up to a radius of 1/16 of the short side.
        noise: up to a standard deviation of 64 of 255.
        darkness: up to a tenth of the light.
        tint: up to a deep blue-green.
        occlusion: up to two thirds of each side covered in grey, in the middle.
        frame_drop: share of the frames replaced by the one before.
    """

    blur: float = 0.0
    noise: float = 0.0
    darkness: float = 0.0
    tint: float = 0.0
    occlusion: float = 0.0
    frame_drop: float = 0.0


_DEEP = np.array([0.3, 0.75, 0.9], np.float32)


def corrupt(clip: Clip, c: Corruption, *, seed: int = 0) -> Clip:
    """The clip with damaged frames; the same seed damages alike.

    Raises:
        UserError: a strength outside 0 to 1.
    """
    for kind, strength in vars(c).items():
        if not 0 <= strength <= 1:
            raise UserError(f"The damage {kind!r} is {strength}; it must be between 0 and 1.")
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
    images = images * (1 - 0.9 * c.darkness) * (1 - c.tint * (1 - _DEEP))
    if c.noise:
        images = images + rng.normal(0, 64 * c.noise, images.shape).astype(np.float32)
    if c.occlusion:
        h, w = int(c.occlusion * height / 3), int(c.occlusion * width / 3)
        images[:, height // 2 - h : height // 2 + h, width // 2 - w : width // 2 + w] = 127
    damaged = np.clip(images, 0, 255).astype(np.uint8)
    return Clip(clip.name, damaged, clip.indices[order], clip.seconds, clip.total, clip.lost)
