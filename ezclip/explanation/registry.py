"""The explanation methods by name; a new one is a function here and a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ezclip.errors import UserError
from ezclip.explanation import gradients
from ezclip.explanation.gradients import Tick
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace, Fusion, traced
from ezclip.model.ezclip import EZCLIP
from ezclip.types import Attribution

Tracing = Callable[[Fusion], AttentionTrace]


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


@dataclass(frozen=True, eq=False)
class Question:
    """What a method is asked.

    Attributes:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        options: of the attention methods.
        text: (E,) embedding of the label, for methods that explain one.
        tick: told the share of the work that is done; may raise to stop.
        trace: gives the clip's attention, heads fused as named.
    """

    model: EZCLIP
    pixels: Tensor
    options: Options
    text: Tensor | None
    tick: Tick
    trace: Tracing


@dataclass(frozen=True, eq=False)
class Answer:
    """Heat (T, N), not negative; influence (T, T) where frames meet; a note for the reader."""

    heat: Tensor
    influence: Tensor | None = None
    note: str = ""


@dataclass(frozen=True)
class Method:
    """An explanation method: the function, whether it explains a label, and which ``Options`` it takes."""

    ask: Callable[[Question], Answer]
    needs_label: bool = False
    takes: frozenset[str] = frozenset()


def _trace(q: Question) -> AttentionTrace:
    return q.trace(q.options.fusion)


def _rollout(q: Question) -> Answer:
    result = roll_out(_trace(q), start_layer=q.options.start_layer, discard=q.options.discard)
    return Answer(result.heat, result.influence)


def _own_frame(q: Question) -> Answer:
    result = roll_out(_trace(q), start_layer=q.options.start_layer, discard=q.options.discard)
    return Answer(result.own_frame, result.influence)


def _last_layer(q: Question) -> Answer:
    return Answer(_patches(_trace(q))[:, 0])


def _released(q: Question) -> Answer:
    return Answer(_patches(_trace(q)).mean(dim=1))


def _patches(trace: AttentionTrace) -> Tensor:
    """Last block's attention (T, queries, N) with the class and prompt keys cut off."""
    prompted = trace.prompts[-1] is not None
    last = trace.frames[-1]
    return last[:, :, 1 : last.shape[-1] - int(prompted)]


def _gradient_rollout(q: Question) -> Answer:
    trace = gradients.gradient_trace(q.model, q.pixels, _text(q), q.tick)
    result = roll_out(trace, start_layer=q.options.start_layer, discard=q.options.discard)
    return Answer(result.heat, result.influence)


def _by_label(method: Callable[[EZCLIP, Tensor, Tensor, Tick], tuple[Tensor, str]]) -> Callable[[Question], Answer]:
    def ask(q: Question) -> Answer:
        heat, note = method(q.model, q.pixels, _text(q), q.tick)
        return Answer(heat, note=note)

    return ask


def _text(q: Question) -> Tensor:
    assert q.text is not None
    return q.text.detach().clone()


_HEADS = frozenset({"fusion"})
_LAYERS = frozenset({"start_layer", "discard"})
_ALL = _HEADS | _LAYERS
METHODS: dict[str, Method] = {
    "rollout": Method(_rollout, takes=_ALL),  # through frames and prompts
    "rollout-own-frame": Method(_own_frame, takes=_ALL),  # each frame's class token on its own patches
    "last-layer": Method(_last_layer, takes=_HEADS),  # of the class token
    "released": Method(_released, takes=_HEADS),  # the release's map: last block, mean over heads and all queries
    "gradient-rollout": Method(_gradient_rollout, needs_label=True, takes=_LAYERS),
    "grad-cam": Method(_by_label(gradients.grad_cam), needs_label=True),  # at the last block
    "integrated-gradients": Method(_by_label(gradients.integrated_gradients), needs_label=True),
    "occlusion": Method(_by_label(gradients.occlusion), needs_label=True),
}


def check_method(method: str) -> None:
    """Raise UserError for an unknown method name."""
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")


def explain(
    model: EZCLIP,
    pixels: Tensor,
    seconds: np.ndarray,
    *,
    name: str,
    method: str = "rollout",
    options: Options | None = None,
    text: Tensor | None = None,
    tick: Tick = lambda _: None,
    trace: Tracing | None = None,
) -> Attribution:
    """Where ``model`` looked in one clip.

    Args:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        seconds: (T,) times of the frames.
        name: the model's id, kept with the result.
        method: a key of ``METHODS``.
        options: settings of the attention methods; None takes the defaults.
        text: (E,) embedding of the label, needed by the methods that explain one.
        tick: told the share of the work that is done; may raise to stop.
        trace: gives the clip's attention, where it is known already; None runs the model.

    Raises:
        UserError: unknown method, settings out of range, or a missing label.
    """
    check_method(method)
    if METHODS[method].needs_label and text is None:
        raise UserError(f"The method {method!r} explains a label; give one.")
    with torch.enable_grad():
        known = trace or partial(traced, model, pixels)
        answer = METHODS[method].ask(Question(model, pixels.detach(), options or Options(), text, tick, known))
    grid = model.vision.grid
    return Attribution(
        heat=answer.heat.detach().unflatten(-1, (grid, grid)).float().cpu().numpy(),
        influence=None if answer.influence is None else answer.influence.detach().cpu().numpy(),
        seconds=seconds,
        method=method,
        model=name,
        note=answer.note,
    )
