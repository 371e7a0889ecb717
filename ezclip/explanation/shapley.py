"""Shapley values of frames (after Price and Damen, "Play Fair", arXiv 2011.12372): which frames carry the score.

For a value function v(U) of sets U of frames, with v(empty set) = 0,

    phi_t = sum over U without t of |U|! (T-1-|U|)! / T! * (v(U + {t}) - v(U)),        sum_t phi_t = v(all frames)

where v(U) is the cosine between the label and the mean embedding of the frames in U, in two games:

- *readout*: embeddings of the whole clip. Which frame's embedding supports the label?
- *removal*: frames outside U are removed by masking their prompts' columns before the softmax. Which frame is needed?
  Without prompts frames exchange no information, and the two games coincide.

A set and its complement share a forward pass, because each frame attends only to frames on the same side.
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

EXACT = {"readout": 16, "removal": 10}  # largest T for which all sets are evaluated
PAIRS = 16  # sampled pairs of a permutation and its reverse
_BATCH = 8  # clips in one forward pass
Game = Callable[[np.ndarray], np.ndarray]  # sets, bool (M, T) -> values of each set and its complement, (M, 2)


@dataclass(frozen=True, eq=False)
class Shapley:
    """Shapley values of T frames.

    Attributes:
        values: (T,), signed; they sum to ``total``.
        margin: (T,) half-width of the 95 % interval of sampled values; None for exact ones.
        total: v(all frames), the model's cosine.
    """

    values: np.ndarray
    margin: np.ndarray | None
    total: float

    def as_json(self) -> Document:
        """JSON-ready values; "margin" is null for exact ones."""
        margin = None if self.margin is None else self.margin.tolist()
        return {"values": self.values.tolist(), "margin": margin, "all": self.total, "none": 0.0}


def exact_shapley(game: Game, T: int) -> Shapley:
    """Exact values from all 2^T sets."""
    sets = np.array([(True, *rest) for rest in product((True, False), repeat=T - 1)])  # the others are complements
    values = game(sets).T.ravel()
    members = np.concatenate([sets, ~sets])
    size = members.sum(axis=1, keepdims=True)
    size_weights = np.array([1 / (T * math.comb(T - 1, s)) for s in range(T)])
    weights = np.where(members, size_weights[(size - 1).clip(0)], -size_weights[size.clip(max=T - 1)])
    return Shapley(values @ weights, None, float(values[0]))


def sampled_shapley(game: Game, T: int, *, pairs: int = PAIRS, seed: int = 0) -> Shapley:
    """Values estimated from marginal contributions along random permutations and their reverses (antithetic sampling).

    The first and last positions of each frame are computed exactly, because the step from the empty set is far larger
    than the others and rare in a sample; the remaining difference from the total is distributed evenly.
    """
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(T) for _ in range(pairs)])
    ranks = np.argsort(orders, axis=1)
    prefixes = ranks[:, None, :] <= np.arange(T)[:, None]  # (pairs, T, T): the first j+1 frames of each permutation
    prefix_values, suffix_values = game(prefixes.reshape(-1, T)).reshape(pairs, T, 2).transpose(2, 0, 1)
    total = float(prefix_values[0, -1])
    first, without = game(np.eye(T, dtype=bool)).T  # (T,) each
    forward = np.diff(prefix_values, axis=1, prepend=0.0)
    backward = -np.diff(suffix_values, axis=1, prepend=total)
    samples = np.take_along_axis((forward + backward) / 2, ranks, axis=1)  # (pairs, T)
    inner = np.ma.masked_array(samples, (ranks == 0) | (ranks == T - 1))
    n = inner.count(axis=0)
    values = (first + total - without + (T - 2) * inner.mean(axis=0).filled(0.0)) / T
    std = inner.std(axis=0, ddof=1).filled(np.inf)
    margin = (T - 2) / T * stats.t.ppf(0.975, np.maximum(n - 1, 1)) * std / np.sqrt(np.maximum(n, 1))
    return Shapley(values + (total - values.sum()) / T, margin, total)


def readout(frames: Tensor, text: Tensor) -> Game:
    """The readout game: cosines of mean embeddings of frames (T, E) with a label (E,)."""
    e = frames.double().cpu().numpy()
    projections, gram = e @ F.normalize(text.double(), dim=-1).cpu().numpy(), e @ e.T

    def cosines(sets: np.ndarray) -> np.ndarray:
        members = sets.astype(float)
        length = np.sqrt(np.einsum("mt,mt->m", members @ gram, members).clip(0))
        return np.divide(members @ projections, length, out=np.zeros(len(sets)), where=length > 0)

    return lambda sets: np.stack([cosines(sets), cosines(~sets)], axis=1)


def removal(encoded: Encoded, text: Tensor, report: Report = silent) -> Game:
    """The removal game: frames outside a set are removed from the clip; in the model's dtype, 8 sets at a time."""
    model, pixels = cast(EZCLIP, encoded.model), encoded.pixels
    mixes: list[Any] = [b.prompt.mix for b in model.vision.blocks if isinstance(b, Block) and b.prompt is not None]
    mixes += [block.mix for block in model.temporal.blocks if isinstance(block, Block)] if model.temporal else []

    @torch.inference_mode()
    def values(sets: np.ndarray) -> np.ndarray:
        pairs: list[np.ndarray] = []
        for start in range(0, len(sets), _BATCH):
            report(start / len(sets))
            batch = torch.from_numpy(sets[start : start + _BATCH])
            same_side = (batch[:, :, None] == batch[:, None, :]).unsqueeze(1).to(pixels.device)  # (b, 1, T, T)

            def masked(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor, mask: Tensor = same_side) -> Tensor:
                return F.scaled_dot_product_attention(*qkv, attn_mask=mask)

            with hooked([(mix, masked) for mix in mixes]):
                frames = model.encode_video(pixels.expand(len(batch), -1, -1, -1, -1)).float()
            pairs += [readout(e, text)(members[None])[0] for e, members in zip(frames, batch.numpy(), strict=True)]
        return np.stack(pairs)

    return values


@dataclass(frozen=True, eq=False)
class FrameValues:
    """Shapley values of a clip's frames for a label, and the predictions of single frames.

    Attributes:
        readout: values of the readout game.
        removal: values of the removal game; None if not requested.
        answers: the label predicted from each frame's embedding.
        label: the explained label.
    """

    readout: Shapley
    removal: Shapley | None
    answers: list[str]
    label: str

    @property
    def any_frame(self) -> bool:
        """Whether any single frame ranks the label first: the any-frame bound of one clip."""
        return self.label in self.answers

    def as_json(self) -> Document:
        """JSON-ready values."""
        games = {"readout": self.readout.as_json(), "removal": self.removal and self.removal.as_json()}
        return games | {"answers_of_single_frames": self.answers, "any_frame": self.any_frame}


def frame_values(
    encoded: Encoded, text: Tensor, answers: list[str], label: str, report: Report = silent, *, removed: bool = True
) -> FrameValues:
    """Solve both games, or only readout, for a label's embedding (E,); ``answers`` are the labels of single frames.

    Values are exact for T up to ``EXACT``, otherwise sampled.
    """
    T, model = encoded.frames.shape[1], encoded.model
    text = model.texts_for(encoded.video, text[None]).flatten(0, -2)[0]

    def solve(name: str, game: Game) -> Shapley:
        return exact_shapley(game, T) if T <= EXACT[name] else sampled_shapley(game, T)

    values = solve("readout", readout(encoded.frames[0], text))
    if not removed or model.order_blind:
        return FrameValues(values, values if removed else None, answers, label)
    return FrameValues(values, solve("removal", removal(encoded, text, report)), answers, label)
