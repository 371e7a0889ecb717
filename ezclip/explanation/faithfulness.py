"""Faithfulness of a map: deletion and insertion of space-time patches in its order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ezclip.model.ezclip import EZCLIP, class_scores
from ezclip.progress import Progress, Steps

LEVELS = 8
ORDERS = 4


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
    levels: int = LEVELS,
    random_orders: int = ORDERS,
    seed: int = 0,
    batch: int = 8,
) -> Steps[Faithfulness]:
    """Delete and insert patches of one clip in the order of a map.

    Args:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        heat: (T, grid, grid).
        texts: (C*K, E) embeddings of the classes, K texts each, side by side.
        classes: C.
        target: index of the class whose score is measured, see ``class_scores``.
        levels: steps from none to all patches.
        random_orders: random orders to compare with.
        seed: of the random orders.
        batch: clips in one forward pass.

    Returns:
        The Faithfulness, after a step for each batch.
    """
    T, grid = heat.shape[0], heat.shape[-1]
    count = heat.size
    rng = np.random.default_rng(seed)
    by_heat = np.lexsort((rng.random(count), -heat.ravel()))  # equal patches in random order
    rankings = [by_heat, *(rng.permutation(count) for _ in range(random_orders))]
    shares = np.linspace(0, 1, levels + 1)
    kept = np.empty((2, len(rankings), levels + 1, count), bool)
    for r, ranking in enumerate(rankings):
        rank = np.empty(count, int)
        rank[ranking] = np.arange(count)
        for i, share in enumerate(shares):
            kept[1, r, i] = rank < round(share * count)
            kept[0, r, i] = ~kept[1, r, i]
    masks = torch.from_numpy(kept.reshape(-1, T, 1, grid, grid)).to(pixels.device)
    mean = pixels.mean(dim=(1, 3, 4), keepdim=True)  # (1, 1, 3, 1, 1)
    patch = pixels.shape[-1] // grid
    scores: list[Tensor] = []
    for start in range(0, len(masks), batch):
        yield Progress(start / len(masks), "measuring faithfulness")
        logits = _logits(model, pixels, mean, masks[start : start + batch], patch, texts)
        scores.append(class_scores(logits, classes)[:, target])
    curves = torch.cat(scores).float().cpu().numpy().reshape(2, len(rankings), levels + 1)
    return Faithfulness(shares, curves[0, 0], curves[1, 0], curves[0, 1:], curves[1, 1:])


@torch.inference_mode()
def _logits(model: EZCLIP, pixels: Tensor, mean: Tensor, kept: Tensor, patch: int, texts: Tensor) -> Tensor:
    whole = kept.repeat_interleave(patch, dim=-1).repeat_interleave(patch, dim=-2)  # (b, T, 1, S, S)
    frames = model.encode_video(torch.where(whole, pixels, mean))
    return model.logits(frames, texts)
