"""Spread of frame embeddings on clips and on their static copies (Fig. 8 in numbers)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor

from ezclip.evaluation.intervals import Interval, mean_interval
from ezclip.model.spread import spread
from ezclip.types import Document, Reading


@dataclass(frozen=True)
class FrameSpread:
    """Mean over clips, each with its 95 % interval.

    Phantom motion is the spread that remains when nothing moves: it comes from the frames' positions alone.

    Attributes:
        reading: formula of Var and C.
        unit: whether embeddings were L2-normalised first; raw values of two models are not on one scale.
        real: Var + C of the clips.
        frozen: Var + C of the clips' middle frame repeated T times.
        beyond: real minus frozen, clip by clip.
    """

    reading: Reading
    unit: bool
    real: Interval
    frozen: Interval
    beyond: Interval

    def as_json(self) -> Document:
        """Plain values."""
        return asdict(self)


def frame_spread(frames: Tensor, static: Tensor, reading: Reading, *, unit: bool) -> FrameSpread:
    """Var + C (Eq. 4, 5) of clips and of their static copies.

    Args:
        frames: (B, T, E) frame embeddings, not normalised.
        static: (B, T, E) of their static copies.
        reading: "paper" or "released".
        unit: L2-normalise the embeddings first.
    """
    totals = []
    for embeddings in (frames, static):
        variance, difference = spread(F.normalize(embeddings, dim=-1) if unit else embeddings, reading)
        totals.append((variance + difference).double().numpy())
    real, still = totals
    return FrameSpread(reading, unit, mean_interval(real), mean_interval(still), mean_interval(real - still))
