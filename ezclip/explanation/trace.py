"""Records attention probabilities during a forward pass, with hooks."""

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
from ezclip.model.attention import Mix
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.model.framewise import FramewiseCLIP
from ezclip.model.interface import VideoText
from ezclip.predictor import Encoded

_FUSE: dict[Fusion, Callable[..., Tensor]] = {
    "mean": partial(torch.mean, dtype=torch.float32),
    "max": torch.amax,
    "min": torch.amin,
}
Hook = Callable[..., Any]  # (module, inputs, output) -> None, or a new output


@dataclass
class AttentionTrace:
    """Head-fused attention probabilities of the vision tower, float32, one entry per layer.

    Attributes:
        frames: (B*T, 2+N, 2+N), with the prompt token last; (B*T, 1+N, 1+N) in layers without prompts. ViFi-CLIP's
            learned tokens follow the N patches.
        prompts: (B, T, T) among the prompts; None in layers without prompts.
        temporal: (B, T, T) in each layer of a transformer over the frame embeddings.
        skip: whether this transformer has a skip connection around it.
        learned: number of ViFi-CLIP's learned tokens per frame.
        last_replaced: last layer, counted from 0, whose learned tokens are replaced by new ones.
        messages: whether the prompts are X-CLIP's messages, computed from class tokens with a skip connection.
        pool: (B*T, 1+N) of an attention pool; None for class-token pooling.
    """

    frames: list[Tensor] = field(default_factory=list)
    prompts: list[Tensor | None] = field(default_factory=list)
    temporal: list[Tensor] = field(default_factory=list)
    skip: bool = False
    learned: int = 0
    last_replaced: int = 0
    messages: bool = False
    pool: Tensor | None = None

    @classmethod
    def of(cls, model: VideoText) -> AttentionTrace:
        """An empty trace for a model."""
        if not isinstance(model, EZCLIP):
            return cls()
        skip, settings = model.temporal is not None and model.temporal.skip, model.settings
        learned, last_replaced = settings.get("vision_tokens", 0), settings.get("vision_depth", 1) - 1
        return cls(skip=skip, learned=learned, last_replaced=last_replaced, messages=model.variant == "xclip")


@contextmanager
def hooked(hooks: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Register forward hooks that act only in the current thread, and remove them on exit."""
    owner, handles = threading.get_ident(), []

    def in_this_thread(hook: Hook) -> Hook:
        return lambda *args: hook(*args) if threading.get_ident() == owner else None

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
    """Hooks that fill ``trace`` for the blocks of the vision tower and of a transformer over frames.

    ``observe`` is called as (append, q, k, v). It passes an entry to ``append`` and may return a new attention output.
    """

    def hook(append: Callable[[Tensor], None]) -> Hook:
        return lambda module, inputs, output: observe(append, *inputs)

    for block in model.vision.blocks:
        assert isinstance(block, Block)
        yield block.mix, hook(trace.frames.append)
        if block.prompt is not None:
            yield cast(nn.Module, block.prompt.mix), hook(trace.prompts.append)
        else:
            yield block.mix, lambda *_: trace.prompts.append(None)
    for block in model.temporal.blocks if model.temporal else ():
        assert isinstance(block, Block)
        yield block.mix, hook(trace.temporal.append)


def probabilities(q: Tensor, k: Tensor) -> Tensor:
    """Attention probabilities (..., queries, keys), always in float32."""
    return (q.float() * q.shape[-1] ** -0.5 @ k.float().transpose(-1, -2)).softmax(dim=-1)


@contextmanager
def trace_attention(model: VideoText, fusion: Fusion = "mean") -> Iterator[AttentionTrace]:
    """Context in which each ``encode_video`` of this thread fills the trace; the model is not modified.

    With the fusions "max" and "min", rows do not sum to 1.

    Raises:
        UserError: unknown fusion.
    """
    if fusion not in _FUSE:
        raise UserError(f"Head fusion is {fusion!r}; it must be one of {', '.join(_FUSE)}.")
    trace = AttentionTrace.of(model)
    computed: list[Tensor] = []  # the probabilities that the next observed product has computed itself

    def observe(append: Callable[[Tensor], None], q: Tensor, k: Tensor, v: Tensor) -> None:
        append(_FUSE[fusion](computed.pop() if computed else probabilities(q, k), dim=1).float())

    if isinstance(model, FramewiseCLIP):
        with unfused(model), hooked(_timm_hooks(model, partial(_FUSE[fusion], dim=1), trace)):
            yield trace
        return
    assert isinstance(model, EZCLIP)
    hooks = list(attention_hooks(model, observe, trace))
    mixes = {cast(Mix, module) for module, _ in hooks}
    with hooked([*((mix.probabilities, lambda *call: computed.append(call[-1])) for mix in mixes), *hooks]):
        yield trace


@contextmanager
def unfused(model: FramewiseCLIP) -> Iterator[None]:
    """Context in which timm's blocks do not use fused attention, so that the probabilities can be observed."""
    previous = [block.attn.fused_attn for block in model.blocks]
    try:
        for block in model.blocks:
            block.attn.fused_attn = False
        yield
    finally:
        for block, fused in zip(model.blocks, previous, strict=True):
            block.attn.fused_attn = fused


def _timm_hooks(
    model: FramewiseCLIP, fuse: Callable[[Tensor], Tensor], trace: AttentionTrace
) -> Iterator[tuple[nn.Module, Hook]]:
    """Hooks on timm's blocks; models without a class token get an isolated one at index 0."""
    trunk = model.clip.visual.trunk
    padding = 1 - trunk.num_prefix_tokens

    def record_block(module: nn.Module, inputs: tuple[Tensor, ...], attention: Tensor) -> None:
        A = F.pad(fuse(attention.float()), (padding, 0, padding, 0))
        if padding:
            A[:, 0, 0] = 1.0
        trace.frames.append(A)
        trace.prompts.append(None)

    queries: list[Tensor] = []

    def record_pool(module: nn.Module, inputs: tuple[Tensor, ...], keys: Tensor) -> None:
        trace.pool = F.pad(fuse(probabilities(queries.pop(), keys))[:, 0], (padding, 0))

    for block in model.blocks:
        yield block.attn.attn_drop, record_block
    if trunk.global_pool == "map":
        yield trunk.attn_pool.q_norm, lambda module, inputs, output: queries.append(output)
        yield trunk.attn_pool.k_norm, record_pool


def cached_trace(encoded: Encoded, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of an encoded clip, computed once."""
    return encoded.cached(("trace", fusion), lambda: compute_trace(encoded.model, encoded.pixels, fusion))


@torch.inference_mode()
def compute_trace(model: VideoText, pixels: Tensor, fusion: Fusion = "mean") -> AttentionTrace:
    """The trace of one clip's forward pass, pixels (1, T, 3, S, S)."""
    with trace_attention(model, fusion) as trace:
        model.encode_video(pixels)
    return trace


@torch.no_grad()
def block_inputs(model: EZCLIP, pixels: Tensor) -> list[Tensor]:
    """The input tokens (B*T, 1+N, D) of each block of the vision tower; pixels (B, T, 3, S, S)."""
    tokens: list[Tensor] = []
    with hooked([(block, lambda module, inputs, output: tokens.append(inputs[0])) for block in model.vision.blocks]):
        model.encode_video(pixels)
    return tokens
