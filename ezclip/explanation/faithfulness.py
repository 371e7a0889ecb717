"""Faithfulness of a map: deletion and insertion of space-time patches, and heat compared with ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.stats import t
from torch import Tensor

from ezclip.model.interface import VideoText, class_scores
from ezclip.progress import Progress, Steps
from ezclip.types import Attribution, Preprocessing, visible_box

LEVELS = 6
ORDERS = 16
KINDS = ("background", "still", "moving")  # values 0, 1, 2 of the masks


class Gain(NamedTuple):
    """A difference of areas with its 95 % interval over the random orders."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion curves of a map, and of random orders.

    Attributes:
        levels: (L+1,) fraction of the T*N patches that are deleted or inserted, 0 to 1.
        deletion: (L+1,) hottest patches are replaced by the clip's mean colour first; lower is better.
        insertion: (L+1,) hottest patches replace the mean colour first; higher is better.
        random: (R, L+1) deletion in R random orders. Reversed, each is the insertion curve of the reversed order, which
            is also random, so one set of forward passes serves both.
    """

    levels: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray

    @property
    def deletion_gain(self) -> Gain:
        """Area between the random orders' mean curve and the map's deletion curve; positive if better than chance."""
        return self._gain(-1, self.deletion)

    @property
    def insertion_gain(self) -> Gain:
        """Area between the map's insertion curve and the random orders' mean; positive if better than chance."""
        return self._gain(1, self.insertion)

    @property
    def srg(self) -> float:
        """Symmetric relevance gain: insertion area minus deletion area (Bluecher et al. 2024); 0 is chance.

        Equals the sum of both gains; the random orders cancel, so there is no interval.
        """
        return float(np.trapezoid(self.insertion - self.deletion, self.levels))

    def _gain(self, sign: int, curve: np.ndarray) -> Gain:
        chance = np.trapezoid(self.random, self.levels, axis=1)  # (R,)
        value = sign * float(np.trapezoid(curve, self.levels) - chance.mean())
        if len(chance) < 2:
            return Gain(value, float("-inf"), float("inf"))
        margin = float(t.ppf(0.975, len(chance) - 1) * chance.std(ddof=1) / len(chance) ** 0.5)
        return Gain(value, value - margin, value + margin)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves of a map for the score of a class (0 to 1) and for its logit (100 times the cosine with CLIP's scale).

    The logit is unbounded and does not depend on the other classes.
    """

    score: Curves
    logit: Curves

    @property
    def warning(self) -> str:
        """A warning if a blank clip scores more than half as much as the whole clip, otherwise empty."""
        blank, whole = float(self.score.insertion[0]), float(self.score.insertion[-1])
        if blank <= whole / 2:
            return ""
        return (
            f"A blank clip of the mean colour already scores {blank:.1%} (the whole clip {whole:.1%}), so the score "
            "leaves little to gain; read the gains on the logit."
        )


def measure(
    model: VideoText, pixels: Tensor, heat: np.ndarray, texts: Tensor, classes: int, target: int, **options: int
) -> Steps[Faithfulness]:
    """``measure_maps`` for one map, (T, grid, grid)."""
    (result,) = yield from measure_maps(model, pixels, [heat], texts, classes, target, **options)
    return result


def measure_maps(
    model: VideoText,
    pixels: Tensor,
    heats: Sequence[np.ndarray],
    texts: Tensor,
    classes: int,
    target: int,
    *,
    batch: int = 8,
    orders: int = ORDERS,
    seed: int = 0,
) -> Steps[list[Faithfulness]]:
    """Delete and insert patches of one clip in the order of each map and in random orders, at six levels.

    Args:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        heats: (T, grid, grid) each; all are compared with the same random orders, which are measured once.
        texts: (C*K, E) embeddings of the classes, with the K texts of a class adjacent.
        classes: C.
        target: index of the measured class: its score, see ``class_scores``, and its mean logit.
        batch: clips in one forward pass.
        orders: R, number of random orders; SRG needs none.
        seed: seed of the random orders and of the order of equal patches.

    Returns:
        A Faithfulness for each map; yields a step for each batch.
    """
    T, grid, count = heats[0].shape[0], heats[0].shape[-1], heats[0].size
    rng = np.random.default_rng(seed)
    tie_breaker = rng.random(count)
    hottest_first = [np.lexsort((tie_breaker, -heat.ravel())) for heat in heats]
    map_orders = [order for hottest in hottest_first for order in (hottest, hottest[::-1])]
    ranks = np.argsort([*map_orders, *(rng.permutation(count) for _ in range(orders))], axis=1)
    shares = np.linspace(0, 1, LEVELS + 1)
    deleted = ranks[:, None] < np.round(shares[1:-1] * count)[:, None]  # (2*M+R, L-1, T*N)
    ends = np.stack([np.zeros(count, bool), np.ones(count, bool)])  # the whole and the blank clip, shared by all orders
    kept = ~np.concatenate([ends, deleted.reshape(-1, count)])
    masks = torch.from_numpy(kept.reshape(-1, T, 1, grid, grid)).to(pixels.device)
    mean = pixels.mean(dim=(1, 3, 4), keepdim=True)  # (1, 1, 3, 1, 1)
    patch = pixels.shape[-1] // grid
    measured: list[Tensor] = []
    for start in range(0, len(masks), batch):
        yield Progress(start / len(masks), "measuring faithfulness")
        mask = masks[start : start + batch]
        mask = mask.repeat_interleave(patch, dim=-1).repeat_interleave(patch, dim=-2)  # (b, T, 1, S, S)
        with torch.inference_mode():
            logits = model.scores(model.encode(torch.where(mask, pixels, mean)), texts)
            logit = logits.unflatten(-1, (classes, -1)).mean(dim=-1)
            measured.append(torch.stack([class_scores(logits, classes)[:, target], logit[:, target]]))
    score, logit = torch.cat(measured, dim=1).float().cpu().numpy()

    def curves(values: np.ndarray) -> list[Curves]:
        inner = values[2:].reshape(len(ranks), LEVELS - 1)
        padded = np.pad(inner, ((0, 0), (1, 1)))
        padded[:, 0], padded[:, -1] = values[0], values[1]
        # The reversed deletion curve, coldest first, is the insertion curve, hottest first.
        pairs, random = padded[: len(map_orders)].reshape(len(heats), 2, -1), padded[len(map_orders) :]
        return [Curves(shares, deletion, coldest[::-1], random) for deletion, coldest in pairs]

    return [Faithfulness(s, v) for s, v in zip(curves(score), curves(logit), strict=True)]


@dataclass(frozen=True)
class Shares:
    """Energy-based pointing game: fractions of a map's heat and of the image area; each triple sums to 1.

    Attributes:
        heat: fraction of the heat on background, static objects and moving objects.
        area: fraction of the visible area, which is the heat of a uniform map.
    """

    heat: tuple[float, float, float]
    area: tuple[float, float, float]


def patch_fractions(masks: np.ndarray, grid: int, preprocessing: Preprocessing) -> np.ndarray:
    """The fraction of each visible patch covered by each kind, with ``grid`` patches per side of the model's input.

    Masks are uint8 (T, H, W) of 0, 1 and 2; the result is float (3, T, grid, grid), and the three kinds sum to 1.
    """
    box = visible_box(masks.shape[1], masks.shape[2], preprocessing)

    def shrink(mask: np.ndarray) -> np.ndarray:
        image = Image.fromarray(mask.astype(np.float32))
        return np.asarray(image.resize((grid, grid), Image.Resampling.BOX, box=box))

    return np.stack([np.stack([shrink(mask == kind) for mask in masks]) for kind in range(len(KINDS))])


def heat_shares(attribution: Attribution, masks: np.ndarray) -> Shares:
    """Shares of a map's heat on each kind, from masks uint8 (T, H, W) of the same frames."""
    heat = attribution.heat
    fractions = patch_fractions(masks, heat.shape[-1], attribution.preprocessing)
    weights = heat / max(float(heat.sum()), 1e-12)
    on_heat, on_area = (fractions * weights).sum(axis=(1, 2, 3)), fractions.mean(axis=(1, 2, 3))
    return Shares(tuple(map(float, on_heat)), tuple(map(float, on_area)))  # type: ignore[arg-type]
