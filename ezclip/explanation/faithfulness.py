"""Measures of a map: deletion and insertion of space-time patches in its order; its heat against ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ezclip.model.ezclip import EZCLIP, class_scores
from ezclip.progress import Progress, Steps
from ezclip.types import Attribution, visible_box

LEVELS = 8
ORDERS = 4
KINDS = ("background", "still", "moving")  # values 0, 1, 2 of the masks


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Deletion and insertion curves of a map and of random orders.

    Attributes:
        levels: (L+1,) share of the T*N patches that is replaced (deletion) or kept (insertion), 0 to 1.
        deletion: (L+1,) score while patches are replaced by the clip's mean colour, hottest first; lower is better.
        insertion: (L+1,) score while they replace the mean colour, hottest first; higher is better.
        random_deletion: (R, L+1) the same in R random orders.
        random_insertion: (R, L+1).
    """

    levels: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def deletion_gain(self) -> float:
        """Area between the random orders' mean deletion curve and the map's; above 0 the map beats chance."""
        return float(np.trapezoid(self.random_deletion.mean(axis=0) - self.deletion, self.levels))

    @property
    def insertion_gain(self) -> float:
        """Area between the map's insertion curve and the random orders' mean; above 0 the map beats chance."""
        return float(np.trapezoid(self.insertion - self.random_insertion.mean(axis=0), self.levels))


def measure(
    model: EZCLIP,
    pixels: Tensor,
    heat: np.ndarray,
    texts: Tensor,
    classes: int,
    target: int,
    *,
    batch: int = 8,
) -> Steps[Faithfulness]:
    """Delete and insert patches of one clip in the order of a map and in four random orders, at eight levels.

    Args:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        heat: (T, grid, grid).
        texts: (C*K, E) embeddings of the classes, K texts each, side by side.
        classes: C.
        target: index of the class whose score is measured, see ``class_scores``.
        batch: clips in one forward pass.

    Returns:
        The Faithfulness, after a step for each batch.
    """
    T, grid, count = heat.shape[0], heat.shape[-1], heat.size
    rng = np.random.default_rng(0)
    by_heat = np.lexsort((rng.random(count), -heat.ravel()))  # equal patches in random order
    ranks = np.argsort([by_heat, *(rng.permutation(count) for _ in range(ORDERS))], axis=1)
    shares = np.linspace(0, 1, LEVELS + 1)
    inserted = ranks[:, None] < np.round(shares * count)[:, None]  # (1+R, L+1, T*N)
    kept = np.stack([~inserted, inserted])
    masks = torch.from_numpy(kept.reshape(-1, T, 1, grid, grid)).to(pixels.device)
    mean = pixels.mean(dim=(1, 3, 4), keepdim=True)  # (1, 1, 3, 1, 1)
    patch = pixels.shape[-1] // grid
    scores: list[Tensor] = []
    for start in range(0, len(masks), batch):
        yield Progress(start / len(masks), "measuring faithfulness")
        chosen = masks[start : start + batch]
        whole = chosen.repeat_interleave(patch, dim=-1).repeat_interleave(patch, dim=-2)  # (b, T, 1, S, S)
        with torch.inference_mode():
            logits = model.logits(model.encode_video(torch.where(whole, pixels, mean)), texts)
            scores.append(class_scores(logits, classes)[:, target])
    curves = torch.cat(scores).float().cpu().numpy().reshape(kept.shape[:3])
    return Faithfulness(shares, curves[0, 0], curves[1, 0], curves[0, 1:], curves[1, 1:])


@dataclass(frozen=True)
class Shares:
    """The energy-based pointing game: how a map's heat, and the picture's area, are divided; each triple sums to 1.

    Attributes:
        heat: share of the heat on background, other objects and moving objects.
        area: the same of the visible area: the values of a uniform map.
    """

    heat: tuple[float, float, float]
    area: tuple[float, float, float]


def patch_fractions(masks: np.ndarray, grid: int, image_size: int) -> np.ndarray:
    """How much of each visible patch each kind covers, for a model with input size S and ``grid`` patches a side.

    Masks are uint8 (T, H, W) of 0, 1 and 2; the result is float (3, T, grid, grid), the three kinds sum to 1.
    """
    box = visible_box(masks.shape[1], masks.shape[2], image_size)

    def shrink(mask: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(mask.astype(np.float32))
        return np.asarray(picture.resize((grid, grid), Image.Resampling.BOX, box=box))

    return np.stack([np.stack([shrink(mask == kind) for mask in masks]) for kind in range(len(KINDS))])


def heat_shares(attribution: Attribution, masks: np.ndarray) -> Shares:
    """Share of a map's heat on each kind of thing; masks, uint8 (T, H, W), are of the same frames."""
    heat = attribution.heat
    fractions = patch_fractions(masks, heat.shape[-1], attribution.image_size)
    weights = heat / max(float(heat.sum()), 1e-12)
    on, covered = (fractions * weights).sum(axis=(1, 2, 3)), fractions.mean(axis=(1, 2, 3))
    return Shares(tuple(map(float, on)), tuple(map(float, covered)))  # type: ignore[arg-type]
