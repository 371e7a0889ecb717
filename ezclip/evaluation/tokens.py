"""High-norm patch tokens, layer by layer, and whether the temporal prompt acts as a register.

Large ViTs store global information in a few patch tokens of very high norm (registers: Darcet et al., arXiv 2309.16588;
at test time: Jiang et al., arXiv 2506.08010). The prompt is taken for a register if frames attend to it more than
evenly and more patches have a high norm without it. A threshold is only known for CLIP's ViT-B/16: norm 30, published
for the last block and used here for every block. For other models, norms are compared with their median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.trace import block_inputs, cached_trace, hooked
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Encoded, Predictor
from ezclip.types import Document

VIT_B16 = ("ViT-B-16", "ViT-B-16-quickgelu")
HIGH = 30.0  # outlier threshold for the norms of VIT_B16
GROWTH = 1.25  # required growth of the largest ratio without prompts, if no threshold is known
PLACES = 16  # maximum number of outliers listed per layer


def patch_norms(model: EZCLIP, pixels: Tensor) -> Tensor:
    """Norms of the patch tokens after each of K blocks, float32 (K, T, N), for pixels (1, T, 3, S, S)."""
    inputs, N = block_inputs(model, pixels), model.vision.grid**2
    with torch.no_grad():
        outputs = [*inputs[1:], model.vision.blocks[-1](inputs[-1])]
    return torch.stack([x[:, 1 : 1 + N].float().norm(dim=-1).cpu() for x in outputs])


@dataclass(frozen=True)
class Layer:
    """Norms of the T*N patch tokens of one layer."""

    median: float
    largest: float
    at: tuple[int, int, int]  # frame, row and column of the largest norm, from 0
    high: int | None  # number of norms above ``HIGH``; None if no threshold is known
    places: list[tuple[int, int, int]]  # their frames, rows and columns, largest first, at most ``PLACES``

    @property
    def ratio(self) -> float:
        """Largest norm divided by the median."""
        return self.largest / self.median

    def as_json(self) -> Document:
        """Plain values."""
        return {**vars(self), "ratio": self.ratio}


def summarise_layer(norms: Tensor, threshold: float | None) -> Layer:
    """Summarise norms (T, N) of a square grid; the median of an even number is the mean of the middle two."""
    T, N = norms.shape
    grid = round(N**0.5)
    order = norms.flatten().argsort(descending=True).tolist()
    places = [(i // N, i % N // grid, i % grid) for i in order[:PLACES]]
    high = None if threshold is None else int((norms > threshold).sum())
    return Layer(float(norms.quantile(0.5)), float(norms.max()), places[0], high, places[: high or 0])


@dataclass(frozen=True)
class Prompt:
    """The prompt of a layer as a candidate for a register."""

    attention: float  # mean share of attention that a frame's tokens pay to the prompt
    even: float  # share of one token under uniform attention, 1 / (2 + N)
    without: Layer  # patch norms when prompts are masked in all layers


@dataclass(frozen=True)
class Tokens:
    """Norms of a clip's patch tokens under one model, one entry per layer."""

    layers: list[Layer]
    prompts: list[Prompt | None]  # None in layers without a prompt

    @property
    def register(self) -> bool | None:
        """Whether a prompt gets more than an even share of attention and patches have more outliers without prompts.

        If no threshold is known, the largest ratio to the median must grow by a quarter instead. None for a model
        without prompts.
        """
        prompts = [p for p in self.prompts if p is not None]
        if not prompts:
            return None
        factor = 1 if self.layers[0].high is not None else GROWTH
        more_outliers = max(_outliers(p.without) for p in prompts) > factor * max(map(_outliers, self.layers))
        return more_outliers and any(p.attention > p.even for p in prompts)

    def as_json(self) -> Document:
        """Plain values."""
        prompts = [p and {**vars(p), "without": p.without.as_json()} for p in self.prompts]
        return {"layers": [layer.as_json() for layer in self.layers], "prompts": prompts, "register": self.register}


def _outliers(layer: Layer) -> float:
    return layer.ratio if layer.high is None else layer.high


def measure_tokens(predictor: Predictor, encoded: Encoded) -> Tokens:
    """Measure the norms of a clip's patch tokens with and without prompts."""
    model, pixels = cast(EZCLIP, encoded.model), encoded.pixels
    threshold = HIGH if predictor.identity.backbone.partition("/")[0] in VIT_B16 else None
    layers = [summarise_layer(norms, threshold) for norms in patch_norms(model, pixels)]
    prompt_blocks = [block for block in model.vision.blocks if isinstance(block, Block) and block.prompt is not None]
    if not prompt_blocks:
        return Tokens(layers, [None] * len(layers))
    with hooked([(block.mix, _without_last_key) for block in prompt_blocks]):
        unprompted = [summarise_layer(norms, threshold) for norms in patch_norms(model, pixels)]
    trace = cached_trace(encoded)
    prompts = [
        None if prompt is None else Prompt(float(attention[:, :-1, -1].mean()), 1 / attention.shape[-1], without)
        for attention, prompt, without in zip(trace.frames, trace.prompts, unprompted, strict=True)
    ]
    return Tokens(layers, prompts)


def _without_last_key(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
    q, k, v = qkv
    return F.scaled_dot_product_attention(q, k[..., :-1, :], v[..., :-1, :])
