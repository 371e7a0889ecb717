"""Patch tokens of high norm, layer by layer, and whether the temporal prompt takes their place.

Large ViTs keep global information in a few patch tokens of very high norm (registers: Darcet et al., arXiv 2309.16588;
at test time: Jiang et al., arXiv 2506.08010). The prompt would be a register if frames attended to it more than evenly
and, without it, more patches had a high norm. A threshold is known for CLIP's ViT-B/16 alone: norm 30, published for
the last block and used here in every one. For other models only norms relative to the median are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.trace import block_inputs, hooked, trace_of
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Encoded, Predictor
from ezclip.types import Document

VIT_B16 = ("ViT-B-16", "ViT-B-16-quickgelu")
HIGH = 30.0  # norm of an outlier of these
GROWTH = 1.25  # how much larger the largest ratio must be without prompts, where no threshold is known
PLACES = 16  # most that are listed in a layer


def patch_norms(model: EZCLIP, pixels: Tensor) -> Tensor:
    """Norms of the patch tokens that each of K blocks returns, float32 (K, T, N); pixels (1, T, 3, S, S)."""
    inputs, N = block_inputs(model, pixels), model.vision.grid**2
    with torch.no_grad():
        outputs = [*inputs[1:], model.vision.blocks[-1](inputs[-1])]
    return torch.stack([x[:, 1 : 1 + N].float().norm(dim=-1).cpu() for x in outputs])


@dataclass(frozen=True)
class Layer:
    """Norms of the T*N patch tokens of one layer."""

    median: float
    largest: float
    at: tuple[int, int, int]  # frame, row and column of the largest, each from 0
    high: int | None  # number above ``HIGH``; None where no threshold is known
    places: list[tuple[int, int, int]]  # of these, the largest first, at most ``PLACES``

    @property
    def ratio(self) -> float:
        """Largest over median."""
        return self.largest / self.median

    def as_json(self) -> Document:
        """Plain values."""
        return {**vars(self), "ratio": self.ratio}


def layer(norms: Tensor, threshold: float | None) -> Layer:
    """The summary of norms (T, N) of a square grid; the median of an even number is the mean of the middle two."""
    T, N = norms.shape
    grid = round(N**0.5)
    order = norms.flatten().argsort(descending=True).tolist()
    places = [(i // N, i % N // grid, i % grid) for i in order[:PLACES]]
    high = None if threshold is None else int((norms > threshold).sum())
    return Layer(float(norms.quantile(0.5)), float(norms.max()), places[0], high, places[: high or 0])


@dataclass(frozen=True)
class Prompt:
    """A layer's prompt as a candidate for a register."""

    attention: float  # mean share of the attention of a frame's tokens on it
    even: float  # share of one token if attention were even, 1 / (2 + N)
    without: Layer  # the patches' norms where no frame sees a prompt, in any layer


@dataclass(frozen=True)
class Tokens:
    """Norms of a clip's patch tokens under one model, one entry a layer."""

    layers: list[Layer]
    prompts: list[Prompt | None]  # None in layers without

    @property
    def register(self) -> bool | None:
        """Whether the prompt of a layer has more than an even share, and patches without prompts more outliers.

        Outliers are counted where a threshold is known, otherwise the largest ratio to the median must grow by a
        quarter without prompts. None for a model without prompts.
        """
        prompted = [p for p in self.prompts if p is not None]
        if not prompted:
            return None
        with_, without = ([_outliers(one) for one in found] for found in (self.layers, [p.without for p in prompted]))
        factor = 1 if self.layers[0].high is not None else GROWTH
        return any(p.attention > p.even for p in prompted) and max(without) > factor * max(with_)

    def as_json(self) -> Document:
        """Plain values."""
        prompts = [p and {**vars(p), "without": p.without.as_json()} for p in self.prompts]
        return {"layers": [one.as_json() for one in self.layers], "prompts": prompts, "register": self.register}


def _outliers(one: Layer) -> float:
    return one.ratio if one.high is None else one.high


def tokens(predictor: Predictor, encoded: Encoded) -> Tokens:
    """Norms of a clip's patch tokens, and the same without prompts."""
    model, pixels = cast(EZCLIP, encoded.model), encoded.pixels
    threshold = HIGH if predictor.identity.backbone.partition("/")[0] in VIT_B16 else None
    layers = [layer(norms, threshold) for norms in patch_norms(model, pixels)]
    prompted = [block for block in model.vision.blocks if isinstance(block, Block) and block.prompt is not None]
    if not prompted:
        return Tokens(layers, [None] * len(layers))
    with hooked([(block.mix, _without_last_key) for block in prompted]):
        without = [layer(norms, threshold) for norms in patch_norms(model, pixels)]
    trace, found = trace_of(encoded), []
    for attention, prompts, alone in zip(trace.frames, trace.prompts, without, strict=True):
        share = float(attention[:, :-1, -1].mean())
        found.append(None if prompts is None else Prompt(share, 1 / attention.shape[-1], alone))
    return Tokens(layers, found)


def _without_last_key(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
    q, k, v = qkv
    return F.scaled_dot_product_attention(q, k[..., :-1, :], v[..., :-1, :])
