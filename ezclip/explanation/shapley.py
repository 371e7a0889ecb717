"""Shapley values of frames (after Price and Damen, "Play Fair", arXiv 2011.12372): which frames carry the score.

For a value v(U) of the sets U of frames, v(nothing) = 0,

    phi_t = sum over U without t of |U|! (T-1-|U|)! / T! * (v(U and t) - v(U)),        sum_t phi_t = v(all)

and v(U) is the cosine of the label with the mean of the embeddings of the frames in U, in two games:

- *readout*: the embeddings are those of the whole clip. Which frame's vector speaks for the label?
- *removal*: the other frames are absent: the columns of their prompts are masked before the softmax. Which frame is
  needed? Without prompts frames exchange nothing, and both games are one.

A set and its complement share a forward pass, because each frame attends to its own side alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from ezclip.explanation.trace import hooked
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Encoded
from ezclip.progress import Report, silent
from ezclip.types import Document

EXACT = {"readout": 16, "removal": 10}  # largest T whose sets are all tried
PAIRS = 16  # of a permutation and its reverse, where they are drawn
_BATCH = 8  # clips in one forward pass
Game = Callable[[np.ndarray], np.ndarray]  # sets, bool (M, T) -> values of each and of its complement, (M, 2)


@dataclass(frozen=True, eq=False)
class Shapley:
    """Shapley values of T frames.

    Attributes:
        values: (T,), of either sign; they sum to ``total``.
        margin: (T,) half of the 95 % interval where permutations were drawn; None for exact values.
        total: v(all), the model's cosine. v(nothing) is 0.
    """

    values: np.ndarray
    margin: np.ndarray | None
    total: float

    def as_json(self) -> Document:
        """Plain values; "margin" is null for exact ones."""
        margin = None if self.margin is None else self.margin.tolist()
        return {"values": self.values.tolist(), "margin": margin, "all": self.total, "none": 0.0}


def exact(game: Game, T: int) -> Shapley:
    """All 2^T sets."""
    sets = np.array([(True, *rest) for rest in product((True, False), repeat=T - 1)])  # the others: their complements
    values = game(sets).T.ravel()
    members = np.concatenate([sets, ~sets])
    size = members.sum(axis=1, keepdims=True)
    of_size = np.array([1 / (T * math.comb(T - 1, s)) for s in range(T)])
    weights = np.where(members, of_size[(size - 1).clip(0)], -of_size[size.clip(max=T - 1)])
    return Shapley(values @ weights, None, float(values[0]))


def sampled(game: Game, T: int, *, pairs: int = PAIRS, seed: int = 0) -> Shapley:
    """Marginal values along random permutations, each with its reverse, which has the complements of its sets.

    The first and the last place of a frame are taken exactly, since the step from the empty set is far larger than the
    others and few permutations would hold it; what the values then lack of the total is spread evenly.
    """
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(T) for _ in range(pairs)])
    ranks = np.argsort(orders, axis=1)
    prefixes = ranks[:, None, :] <= np.arange(T)[:, None]  # (pairs, T, T): the first j+1 frames of each permutation
    ahead, behind = game(prefixes.reshape(-1, T)).reshape(pairs, T, 2).transpose(2, 0, 1)
    total = float(ahead[0, -1])
    first, without = game(np.eye(T, dtype=bool)).T  # (T,) each
    forward = np.diff(ahead, axis=1, prepend=0.0)
    backward = -np.diff(behind, axis=1, prepend=total)
    draws = np.take_along_axis((forward + backward) / 2, ranks, axis=1)  # (pairs, T)
    inner = np.ma.masked_array(draws, (ranks == 0) | (ranks == T - 1))
    n = inner.count(axis=0)
    values = (first + total - without + (T - 2) * inner.mean(axis=0).filled(0.0)) / T
    spread = inner.std(axis=0, ddof=1).filled(np.inf)
    margin = (T - 2) / T * stats.t.ppf(0.975, np.maximum(n - 1, 1)) * spread / np.sqrt(np.maximum(n, 1))
    return Shapley(values + (total - values.sum()) / T, margin, total)


def readout(frames: Tensor, text: Tensor) -> Game:
    """Cosines of means of the embeddings (T, E) with a label (E,)."""
    e = frames.double().cpu().numpy()
    along, gram = e @ F.normalize(text.double(), dim=-1).cpu().numpy(), e @ e.T

    def cosines(sets: np.ndarray) -> np.ndarray:
        chosen = sets.astype(float)
        length = np.sqrt(np.einsum("mt,mt->m", chosen @ gram, chosen).clip(0))
        return np.divide(chosen @ along, length, out=np.zeros(len(sets)), where=length > 0)

    return lambda sets: np.stack([cosines(sets), cosines(~sets)], axis=1)


def removal(encoded: Encoded, text: Tensor, report: Report = silent) -> Game:
    """The same with the frames outside a set absent from the clip; in the dtype of the model, 8 sets at a time."""
    model, pixels = cast(EZCLIP, encoded.model), encoded.pixels
    mixes: list[Any] = [b.prompt.mix for b in model.vision.blocks if isinstance(b, Block) and b.prompt is not None]
    mixes += [block.mix for block in model.temporal.blocks if isinstance(block, Block)] if model.temporal else []

    @torch.inference_mode()
    def values(sets: np.ndarray) -> np.ndarray:
        found: list[np.ndarray] = []
        for start in range(0, len(sets), _BATCH):
            report(start / len(sets))
            some = torch.from_numpy(sets[start : start + _BATCH])
            together = (some[:, :, None] == some[:, None, :]).unsqueeze(1).to(pixels.device)  # (b, 1, T, T)

            def apart(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor, side: Tensor = together) -> Tensor:
                return F.scaled_dot_product_attention(*qkv, attn_mask=side)

            with hooked([(mix, apart) for mix in mixes]):
                frames = model.encode_video(pixels.expand(len(some), -1, -1, -1, -1)).float()
            found += [readout(e, text)(one[None])[0] for e, one in zip(frames, some.numpy(), strict=True)]
        return np.stack(found)

    return values


@dataclass(frozen=True, eq=False)
class FrameValues:
    """Shapley values of a clip's frames for a label, and the frames alone.

    Attributes:
        readout: see above.
        removal: see above; None if not requested.
        answers: the best label of each frame's own embedding.
        label: the label that the values are of.
    """

    readout: Shapley
    removal: Shapley | None
    answers: list[str]
    label: str

    @property
    def any_frame(self) -> bool:
        """Whether some frame alone ranks the label first: the any-frame bound of one clip."""
        return self.label in self.answers

    def as_json(self) -> Document:
        """Plain values."""
        games = {"readout": self.readout.as_json(), "removal": self.removal and self.removal.as_json()}
        return games | {"answers_of_single_frames": self.answers, "any_frame": self.any_frame}


def frame_values(
    encoded: Encoded, text: Tensor, answers: list[str], label: str, report: Report = silent, *, removed: bool = True
) -> FrameValues:
    """Both games for a label's embedding (E,), or readout alone; ``answers`` are the best labels of single frames.

    Exact for the sizes of ``EXACT``, otherwise sampled.
    """
    T, model = encoded.frames.shape[1], encoded.model
    text = model.texts_for(encoded.video, text[None]).flatten(0, -2)[0]

    def solve(name: str, game: Game) -> Shapley:
        return exact(game, T) if T <= EXACT[name] else sampled(game, T)

    spoken = solve("readout", readout(encoded.frames[0], text))
    if not removed or model.order_blind:
        return FrameValues(spoken, spoken if removed else None, answers, label)
    return FrameValues(spoken, solve("removal", removal(encoded, text, report)), answers, label)
