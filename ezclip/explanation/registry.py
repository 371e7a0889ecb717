"""The explanation methods by name; a new one is a function here and a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ezclip.errors import UserError
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace, Fusion, traced
from ezclip.model.ezclip import EZCLIP
from ezclip.types import Attribution


@dataclass(frozen=True)
class Options:
    """Settings of the attention methods.

    Attributes:
        fusion: how heads become one: "mean", "max" or "min".
        start_layer: first block that rollout takes.
        discard: share of the smallest attention entries that rollout drops.
    """

    fusion: Fusion = "mean"
    start_layer: int = 0
    discard: float = 0.0


Map = tuple[Tensor, Tensor | None]  # heat (T, N), influence (T, T)


def _rollout(trace: AttentionTrace, options: Options) -> Map:
    result = roll_out(trace, start_layer=options.start_layer, discard=options.discard)
    return result.heat, result.influence


def _own_frame(trace: AttentionTrace, options: Options) -> Map:
    result = roll_out(trace, start_layer=options.start_layer, discard=options.discard)
    return result.own_frame, result.influence


def _last_layer(trace: AttentionTrace, options: Options) -> Map:
    return _patches(trace)[:, 0], None


def _released(trace: AttentionTrace, options: Options) -> Map:
    return _patches(trace).mean(dim=1), None


def _patches(trace: AttentionTrace) -> Tensor:
    """Last block's attention (T, queries, N) with the class and prompt keys cut off."""
    prompted = trace.prompts[-1] is not None
    last = trace.frames[-1]
    return last[:, :, 1 : last.shape[-1] - int(prompted)]


METHODS: dict[str, tuple[str, Callable[[AttentionTrace, Options], Map]]] = {
    "rollout": ("Attention rollout through frames and prompts", _rollout),
    "rollout-own-frame": ("Rollout, each frame's class token on its own patches", _own_frame),
    "last-layer": ("Last block: attention of the class token", _last_layer),
    "released": ("The release's map: last block, mean over heads and all queries", _released),
}


def check_method(method: str) -> None:
    """Raise UserError for an unknown method name."""
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")


@torch.inference_mode()
def explain(
    model: EZCLIP,
    pixels: Tensor,
    seconds: np.ndarray,
    *,
    name: str,
    method: str = "rollout",
    options: Options | None = None,
) -> Attribution:
    """Where ``model`` looked in one clip.

    Args:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        seconds: (T,) times of the frames.
        name: the model's id, kept with the result.
        method: a key of ``METHODS``.
        options: settings; None takes the defaults.

    Raises:
        UserError: unknown method or settings out of range.
    """
    check_method(method)
    options = options or Options()
    heat, influence = METHODS[method][1](traced(model, pixels, options.fusion), options)
    grid = model.vision.grid
    return Attribution(
        heat=heat.unflatten(-1, (grid, grid)).cpu().numpy(),
        influence=None if influence is None else influence.cpu().numpy(),
        seconds=seconds,
        method=method,
        model=name,
    )
