"""Observes the attention of a forward pass, without a second implementation of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.errors import UserError
from ezclip.explanation.methods import Fusion
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.model.framewise import FramewiseCLIP
from ezclip.model.interface import VideoText
from ezclip.predictor import Encoded

_FUSE: dict[Fusion, Callable[..., Tensor]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}
Hook = Callable[..., Any]  # (module, inputs, output) -> None, or a new output


@dataclass
class AttentionTrace:
    """Head-fused attention probabilities of the vision tower, float32, one entry a layer.

    Attributes:
        frames: (B*T, 2+N, 2+N), the last index the prompt token; (B*T, 1+N, 1+N) in layers without prompts. ViFi-CLIP's
            learned tokens follow the N patches.
        prompts: (B, T, T) among the prompts, or None in layers without.
        across: (B, T, T) in each layer of a transformer over the frame embeddings.
        skip: whether such a transformer has a skip connection around it.
        learned: number of ViFi-CLIP's learned tokens in a frame.
        replaced: last layer, counted from 0, that these enter anew.
        message: whether the prompts are X-CLIP's messages, made of the class tokens with a skip connection.
        pool: (B*T, 1+N) of a pool that reads the answer in place of the class token; None without one.
    """

    frames: list[Tensor] = field(default_factory=list)
    prompts: list[Tensor | None] = field(default_factory=list)
    across: list[Tensor] = field(default_factory=list)
    skip: bool = False
    learned: int = 0
    replaced: int = 0
    message: bool = False
    pool: Tensor | None = None

    @classmethod
    def of(cls, model: VideoText) -> AttentionTrace:
        """An empty trace of a model's passes."""
        if not isinstance(model, EZCLIP):
            return cls()
        skip, settings = model.temporal is not None and model.temporal.skip, model.settings
        learned, replaced = settings.get("vision_tokens", 0), settings.get("vision_depth", 1) - 1
        return cls(skip=skip, learned=learned, replaced=replaced, message=model.variant == "xclip")


@contextmanager
def hooked(hooks: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Forward hooks limited to this thread's passes and removed at the end, even after an error."""
    owner, handles = threading.get_ident(), []

    def in_this_thread(hook: Hook) -> Hook:
        return lambda *arguments: hook(*arguments) if threading.get_ident() == owner else None

    try:
        for module, hook in hooks:
            handles.append(module.register_forward_hook(in_this_thread(hook)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def attention_hooks(
    model: EZCLIP, observe: Callable[..., Tensor | None], trace: AttentionTrace
) -> Iterator[tuple[nn.Module, Hook]]:
    """The hooks that fill ``trace`` with an entry for each block of the vision tower, its prompts with None in blocks
    without, and one for each block of a transformer over frames.

    ``observe`` is (keep, q, k, v) -> None, or another output of the attention; it passes the entry to ``keep``.
    """

    def hook(keep: Callable[[Tensor], None]) -> Hook:
        return lambda module, inputs, output: observe(keep, *inputs)

    for block in model.vision.blocks:
        assert isinstance(block, Block)
        yield block.mix, hook(trace.frames.append)
        if block.prompt is not None:
            yield cast(nn.Module, block.prompt.mix), hook(trace.prompts.append)
        else:
            yield block.mix, lambda *_: trace.prompts.append(None)
    for block in model.temporal.blocks if model.temporal else ():
        assert isinstance(block, Block)
        yield block.mix, hook(trace.across.append)


def probabilities(q: Tensor, k: Tensor) -> Tensor:
    """Attention probabilities in float32 whatever the model's dtype, (..., queries, keys)."""
    return (q.float() * q.shape[-1] ** -0.5 @ k.float().transpose(-1, -2)).softmax(dim=-1)


@contextmanager
def trace_attention(model: VideoText, fusion: Fusion = "mean") -> Iterator[AttentionTrace]:
    """While active, each ``encode_video`` of this thread fills the trace; the model is not changed.

    With the fusions "max" and "min" rows no longer sum to 1.

    Raises:
        UserError: unknown fusion.
    """
    if fusion not in _FUSE:
        raise UserError(f"Head fusion is {fusion!r}; it must be one of {', '.join(_FUSE)}.")
    trace = AttentionTrace.of(model)

    def observe(keep: Callable[[Tensor], None], q: Tensor, k: Tensor, v: Tensor) -> None:
        keep(_FUSE[fusion](probabilities(q, k), dim=1))

    if isinstance(model, FramewiseCLIP):
        with unfused(model), hooked(_timm_hooks(model, partial(_FUSE[fusion], dim=1), trace)):
            yield trace
        return
    assert isinstance(model, EZCLIP)
    with hooked(attention_hooks(model, observe, trace)):
        yield trace


@contextmanager
def unfused(model: FramewiseCLIP) -> Iterator[None]:
    """While active, timm's blocks take the products of attention one after the other, so that they can be observed."""
    before = [block.attn.fused_attn for block in model.blocks]
    try:
        for block in model.blocks:
            block.attn.fused_attn = False
        yield
    finally:
        for block, fused in zip(model.blocks, before, strict=True):
            block.attn.fused_attn = fused


def _timm_hooks(
    model: FramewiseCLIP, fuse: Callable[[Tensor], Tensor], trace: AttentionTrace
) -> Iterator[tuple[nn.Module, Hook]]:
    """The hooks on timm's blocks; in models without a class token one that nothing attends to is put first."""
    trunk = model.clip.visual.trunk
    missing = 1 - trunk.num_prefix_tokens

    def block(module: nn.Module, inputs: tuple[Tensor, ...], attention: Tensor) -> None:
        A = F.pad(fuse(attention.float()), (missing, 0, missing, 0))
        if missing:
            A[:, 0, 0] = 1.0
        trace.frames.append(A)
        trace.prompts.append(None)

    queries: list[Tensor] = []

    def pool(module: nn.Module, inputs: tuple[Tensor, ...], keys: Tensor) -> None:
        trace.pool = F.pad(fuse(probabilities(queries.pop(), keys))[:, 0], (missing, 0))

    for one in model.blocks:
        yield one.attn.attn_drop, block
    if trunk.global_pool == "map":
        yield trunk.attn_pool.q_norm, lambda module, inputs, output: queries.append(output)
        yield trunk.attn_pool.k_norm, pool


def trace_of(encoded: Encoded, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of an encoded clip, computed once."""
    return encoded.once(("trace", fusion), lambda: traced(encoded.model, encoded.pixels, fusion))


@torch.inference_mode()
def traced(model: VideoText, pixels: Tensor, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of one clip's forward pass, pixels (1, T, 3, S, S)."""
    with trace_attention(model, fusion) as trace:
        model.encode_video(pixels)
    return trace


@torch.no_grad()
def block_inputs(model: EZCLIP, pixels: Tensor) -> list[Tensor]:
    """The tokens (B*T, 1+N, D) that enter each block of the vision tower; pixels (B, T, 3, S, S)."""
    found: list[Tensor] = []
    with hooked([(block, lambda module, inputs, output: found.append(inputs[0])) for block in model.vision.blocks]):
        model.encode_video(pixels)
    return found
