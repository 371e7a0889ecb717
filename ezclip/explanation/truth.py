"""Heat against ground truth: the energy-based pointing game on clips with masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ezclip.types import Attribution, visible_box

KINDS = ("background", "still", "moving")  # values 0, 1, 2 of the masks


@dataclass(frozen=True)
class Shares:
    """How a map's heat, and the picture's area, are divided; each triple sums to 1.

    Attributes:
        heat: share of the heat on background, other objects and moving objects.
        area: the same of the visible area: the values of a uniform map.
    """

    heat: tuple[float, float, float]
    area: tuple[float, float, float]


def patch_fractions(masks: np.ndarray, grid: int, image_size: int) -> np.ndarray:
    """How much of each visible patch each kind covers.

    Args:
        masks: uint8 (T, H, W) of 0, 1 and 2, for the T frames that the model sees.
        grid: patches along a side.
        image_size: S of the model.

    Returns:
        float (3, T, grid, grid), the three kinds sum to 1.
    """
    box = visible_box(masks.shape[1], masks.shape[2], image_size)

    def shrink(mask: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(mask.astype(np.float32))
        return np.asarray(picture.resize((grid, grid), Image.Resampling.BOX, box=box))

    return np.stack([np.stack([shrink(mask == kind) for mask in masks]) for kind in range(len(KINDS))])


def heat_shares(attribution: Attribution, masks: np.ndarray) -> Shares:
    """Share of a map's heat on each kind of thing.

    Args:
        attribution: the map.
        masks: uint8 (T, H, W) of the same frames.
    """
    heat = attribution.heat
    fractions = patch_fractions(masks, heat.shape[-1], attribution.image_size)
    weights = heat / max(float(heat.sum()), 1e-12)
    on, covered = (fractions * weights).sum(axis=(1, 2, 3)), fractions.mean(axis=(1, 2, 3))
    return Shares(tuple(map(float, on)), tuple(map(float, covered)))  # type: ignore[arg-type]
