"""Measures of a map: deletion and insertion of space-time patches in its order; its heat against ground truth."""

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
    """A difference of areas, with the 95 % interval that the random orders leave."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion curves of a map, and of random orders, in one unit.

    Attributes:
        levels: (L+1,) share of the T*N patches that is replaced (deletion) or kept (insertion), 0 to 1.
        deletion: (L+1,) while patches are replaced by the clip's mean colour, hottest first; lower is better.
        insertion: (L+1,) while they replace the mean colour, hottest first; higher is better.
        random: (R, L+1) deletion in R random orders. Read backwards, each is the insertion in the reversed order, which
            is as random: one set of forward passes serves both.
    """

    levels: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray

    @property
    def deletion_gain(self) -> Gain:
        """Area between the random orders' mean curve and the map's deletion curve; above 0 the map beats chance."""
        return self._gain(-1, self.deletion)

    @property
    def insertion_gain(self) -> Gain:
        """Area between the map's insertion curve and the random orders' mean; above 0 the map beats chance."""
        return self._gain(1, self.insertion)

    @property
    def srg(self) -> float:
        """Symmetric relevance gain: insertion area minus deletion area (Bluecher et al. 2024); 0 is chance.

        The random orders cancel, so it has no interval: it equals the sum of both gains.
        """
        return float(np.trapezoid(self.insertion - self.deletion, self.levels))

    def _gain(self, sign: int, curve: np.ndarray) -> Gain:
        chance = np.trapezoid(self.random, self.levels, axis=1)  # (R,)
        value = sign * float(np.trapezoid(curve, self.levels) - chance.mean())
        if len(chance) < 2:
            return Gain(value, float("-inf"), float("inf"))
        half = float(t.ppf(0.975, len(chance) - 1) * chance.std(ddof=1) / len(chance) ** 0.5)
        return Gain(value, value - half, value + half)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves of a map on the score of a class (0 to 1) and on its logit (100 times the cosine, as CLIP scales it).

    The logit has no ceiling and does not depend on the other classes.
    """

    score: Curves
    logit: Curves

    @property
    def warning(self) -> str:
        """A sentence where the blank clip scores more than half of what the whole clip scores, otherwise empty."""
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
    """``measure_each`` of one map, (T, grid, grid)."""
    (found,) = yield from measure_each(model, pixels, [heat], texts, classes, target, **options)
    return found


def measure_each(
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
        heats: (T, grid, grid) each; they are compared with the same random orders, which are measured once.
        texts: (C*K, E) embeddings of the classes, K texts each, side by side.
        classes: C.
        target: index of the class that is measured: its score, see ``class_scores``, and its mean logit.
        batch: clips in one forward pass.
        orders: R, number of random orders; SRG needs none.
        seed: of the random orders, and of the order of equal patches.

    Returns:
        A Faithfulness for each map, after a step for each batch.
    """
    T, grid, count = heats[0].shape[0], heats[0].shape[-1], heats[0].size
    rng = np.random.default_rng(seed)
    equal = rng.random(count)  # the order of equal patches
    by_heat = [np.lexsort((equal, -heat.ravel())) for heat in heats]
    both = [order for hottest in by_heat for order in (hottest, hottest[::-1])]
    ranks = np.argsort([*both, *(rng.permutation(count) for _ in range(orders))], axis=1)
    shares = np.linspace(0, 1, LEVELS + 1)
    deleted = ranks[:, None] < np.round(shares[1:-1] * count)[:, None]  # (2*M+R, L-1, T*N)
    ends = np.stack([np.zeros(count, bool), np.ones(count, bool)])  # the whole clip and the blank one, for all orders
    kept = ~np.concatenate([ends, deleted.reshape(-1, count)])
    masks = torch.from_numpy(kept.reshape(-1, T, 1, grid, grid)).to(pixels.device)
    mean = pixels.mean(dim=(1, 3, 4), keepdim=True)  # (1, 1, 3, 1, 1)
    patch = pixels.shape[-1] // grid
    found: list[Tensor] = []
    for start in range(0, len(masks), batch):
        yield Progress(start / len(masks), "measuring faithfulness")
        chosen = masks[start : start + batch]
        whole = chosen.repeat_interleave(patch, dim=-1).repeat_interleave(patch, dim=-2)  # (b, T, 1, S, S)
        with torch.inference_mode():
            logits = model.scores(model.encode(torch.where(whole, pixels, mean)), texts)
            logit = logits.unflatten(-1, (classes, -1)).mean(dim=-1)
            found.append(torch.stack([class_scores(logits, classes)[:, target], logit[:, target]]))
    score, logit = torch.cat(found, dim=1).float().cpu().numpy()

    def curves(values: np.ndarray) -> list[Curves]:
        inner = values[2:].reshape(len(ranks), LEVELS - 1)
        every = np.pad(inner, ((0, 0), (1, 1)))
        every[:, 0], every[:, -1] = values[0], values[1]
        # Coldest first, read backwards, inserts the hottest.
        pairs, random = every[: len(both)].reshape(len(heats), 2, -1), every[len(both) :]
        return [Curves(shares, deletion, coldest[::-1], random) for deletion, coldest in pairs]

    return [Faithfulness(s, v) for s, v in zip(curves(score), curves(logit), strict=True)]


@dataclass(frozen=True)
class Shares:
    """The energy-based pointing game: how a map's heat, and the picture's area, are divided; each triple sums to 1.

    Attributes:
        heat: share of the heat on background, other objects and moving objects.
        area: the same of the visible area: the values of a uniform map.
    """

    heat: tuple[float, float, float]
    area: tuple[float, float, float]


def patch_fractions(masks: np.ndarray, grid: int, seen: Preprocessing) -> np.ndarray:
    """How much of each visible patch each kind covers, for a model's preprocessing and ``grid`` patches a side.

    Masks are uint8 (T, H, W) of 0, 1 and 2; the result is float (3, T, grid, grid), the three kinds sum to 1.
    """
    box = visible_box(masks.shape[1], masks.shape[2], seen)

    def shrink(mask: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(mask.astype(np.float32))
        return np.asarray(picture.resize((grid, grid), Image.Resampling.BOX, box=box))

    return np.stack([np.stack([shrink(mask == kind) for mask in masks]) for kind in range(len(KINDS))])


def heat_shares(attribution: Attribution, masks: np.ndarray) -> Shares:
    """Share of a map's heat on each kind of thing; masks, uint8 (T, H, W), are of the same frames."""
    heat = attribution.heat
    fractions = patch_fractions(masks, heat.shape[-1], attribution.seen)
    weights = heat / max(float(heat.sum()), 1e-12)
    on, covered = (fractions * weights).sum(axis=(1, 2, 3)), fractions.mean(axis=(1, 2, 3))
    return Shares(tuple(map(float, on)), tuple(map(float, covered)))  # type: ignore[arg-type]
