"""Observes the attention of a forward pass, without a second implementation of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ezclip.errors import UserError
from ezclip.model.attention import Mix
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Predictor

Fusion = Literal["mean", "max", "min"]
_FUSE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda p: p.mean(dim=1),
    "max": lambda p: p.amax(dim=1),
    "min": lambda p: p.amin(dim=1),
}


@dataclass
class AttentionTrace:
    """Head-fused attention probabilities of the vision tower, float32, one entry a layer.

    Attributes:
        frames: (B*T, 2+N, 2+N), the last index the prompt token; (B*T, 1+N, 1+N) in layers without prompts.
        prompts: (B, T, T) among the prompts, or None in layers without.
    """

    frames: list[Tensor] = field(default_factory=list)
    prompts: list[Tensor | None] = field(default_factory=list)


@contextmanager
def trace_attention(model: EZCLIP, fusion: Fusion = "mean") -> Iterator[AttentionTrace]:
    """While open, each ``encode_video`` fills the trace; no hook survives it, also after an error.

    Probabilities are computed in float32 from q and k whatever the model's dtype.

    Args:
        model: observed, not changed.
        fusion: how heads become one: "mean", "max" or "min"; with max and min rows no longer sum to 1.

    Raises:
        UserError: unknown fusion.
    """
    if fusion not in _FUSE:
        raise UserError(f"Head fusion is {fusion!r}; it must be one of {', '.join(get_args(Fusion))}.")
    trace = AttentionTrace()
    handles = []

    def watch(mix: Mix, keep: Callable[[Tensor], None]) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            q, k = inputs[0].float(), inputs[1].float()
            keep(_FUSE[fusion]((q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)))

        handles.append(mix.register_forward_hook(hook))

    try:
        for block in model.vision.blocks:
            assert isinstance(block, Block)
            watch(block.mix, trace.frames.append)
            if block.prompt is not None:
                watch(block.prompt.mix, trace.prompts.append)
            else:
                handles.append(block.mix.register_forward_hook(lambda *_: trace.prompts.append(None)))
        yield trace
    finally:
        for handle in handles:
            handle.remove()


def trace_of(predictor: Predictor, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of the predictor's clip, taken once."""
    return predictor.once(("trace", fusion), lambda: traced(predictor.model, predictor.pixels, fusion))


@torch.inference_mode()
def traced(model: EZCLIP, pixels: Tensor, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of one clip's forward pass, pixels (1, T, 3, S, S)."""
    with trace_attention(model, fusion) as trace:
        model.encode_video(pixels)
    return trace
