"""Inputs and outputs of explanation methods, the attention-based methods, ``explain``, and the prompts' attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT, DEFAULT_METHOD, METHODS, Fusion, MapSettings
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace, cached_trace, compute_trace
from ezclip.model.interface import VideoText
from ezclip.predictor import Encoded, Predictor
from ezclip.progress import Report, silent
from ezclip.types import Attribution

GetTrace = Callable[[Fusion], AttentionTrace]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of a method.

    Attributes:
        model: in evaluation mode.
        pixels: (1, T, 3, S, S), normalised.
        settings: settings of the attention-based methods.
        text: (E,) embedding of the label, for methods that explain a label.
        report: receives the fraction done; may raise to cancel.
        get_trace: returns the clip's attention for a head fusion.
    """

    model: Any  # VideoText, or EZCLIP for methods that need its blocks
    pixels: Tensor
    settings: MapSettings
    text: Tensor | None
    report: Report
    get_trace: GetTrace

    @property
    def trace(self) -> AttentionTrace:
        """The clip's attention."""
        return self.get_trace(self.settings.fusion)

    @property
    def label(self) -> Tensor:
        """(E,) embedding of the explained label."""
        assert self.text is not None
        return self.text.detach().clone()


@dataclass(frozen=True, eq=False)
class Map:
    """Heat (T, N), non-negative unless ``Method.signed``; influence (T, T) if frames exchange information; a note."""

    heat: Tensor
    influence: Tensor | None = None
    note: str = ""


def rollout(inputs: Inputs) -> Map:
    """Rollout through frames and prompts."""
    result = roll_out(inputs.trace, inputs.settings)
    return Map(result.heat, result.influence)


def rollout_own_frame(inputs: Inputs) -> Map:
    """Attention of each frame's class token to its own patches, divided by T for the scale of ``rollout``."""
    result = roll_out(inputs.trace, inputs.settings)
    return Map(result.own_frame / len(result.own_frame), result.influence)


def last_layer(inputs: Inputs) -> Map:
    """The attention of the class token in the last block, or of the attention pool."""
    trace = inputs.trace
    return Map(_patches(trace)[:, 0] if trace.pool is None else trace.pool[:, 1:])


def released(inputs: Inputs) -> Map:
    """The release's map: last block, mean over heads and all queries."""
    return Map(_patches(inputs.trace).mean(dim=1))


def _patches(trace: AttentionTrace) -> Tensor:
    """The last block's attention to the patches, (T, queries, N)."""
    prompted = trace.prompts[-1] is not None
    last = trace.frames[-1]
    return last[:, :, 1 : last.shape[-1] - int(prompted) - trace.learned]


def missing_map_reason(model: VideoText, method: str) -> str:
    """Why a model does not support a method; empty if it does."""
    reason = model.unsupported_maps.get(METHODS[method].needs)
    return f"{METHODS[method].title} is not available for this model: {reason}." if reason else ""


def explain(
    model: VideoText,
    pixels: Tensor,
    seconds: np.ndarray,
    *,
    name: str,
    method: str = DEFAULT_METHOD,
    settings: MapSettings = DEFAULT,
    text: Tensor | None = None,
    report: Report = silent,
    get_trace: GetTrace | None = None,
) -> Attribution:
    """Attribute a model's output on one clip to its patches, with a ``method`` of ``METHODS``.

    The other arguments are those of ``Inputs``; without ``get_trace`` the model is run. The times of the frames,
    ``seconds`` (T,), and the model's id, ``name``, are stored in the result.

    If the model does not support the method, the map is empty and its note states the reason, see ``Attribution``.

    Raises:
        UserError: unknown method, settings out of range, or a missing label.
    """
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    if METHODS[method].needs_label and text is None:
        raise UserError(f"The method {method!r} explains a label; give one.")
    grid, absent = model.grid, missing_map_reason(model, method)
    if absent:
        result = Map(torch.zeros(len(seconds), grid**2), note=absent)
    else:
        with torch.enable_grad():
            inputs = Inputs(
                model, pixels.detach(), settings, text, report, get_trace or partial(compute_trace, model, pixels)
            )
            result = METHODS[method].compute(inputs)
    values = result.heat.detach().unflatten(-1, (grid, grid)).float().cpu().numpy()
    return Attribution(
        heat=values.clip(0) if METHODS[method].signed else values,
        signed=values if METHODS[method].signed else None,
        influence=None if result.influence is None else result.influence.detach().cpu().numpy(),
        seconds=seconds,
        method=method,
        model=name,
        preprocessing=model.preprocessing,
        note=result.note,
        absent=bool(absent),
    )


def explain_clip(
    predictor: Predictor,
    encoded: Encoded,
    *,
    method: str = DEFAULT_METHOD,
    settings: MapSettings = DEFAULT,
    label: str | None = None,
    texts: list[str] | None = None,
    report: Report = silent,
) -> Attribution:
    """``explain`` on an encoded clip, cached for each method, settings and label.

    A label is represented by the mean embedding of its ``texts``, by default the model's prompt texts.
    """
    needs_label = method in METHODS and METHODS[method].needs_label
    prompts = tuple(texts or (predictor.sentences([label])[label] if label else ())) if needs_label else ()

    def compute() -> Attribution:
        return explain(
            predictor.model,
            encoded.pixels,
            encoded.clip.seconds,
            name=predictor.name,
            method=method,
            settings=settings,
            text=predictor.encode_texts(list(prompts)).mean(dim=0) if prompts else None,
            report=report,
            get_trace=partial(cached_trace, encoded),
        )

    return encoded.cached((method, settings, prompts), compute)


@dataclass(frozen=True, eq=False)
class TemporalView:
    """Attention of the temporal prompts on one clip.

    Attributes:
        influence: (T, T), rollout over all layers: attention of frame t's class token to frame t'.
        prompts: (K, T, T), head-mean attention among the T prompts of each layer; rows sum to 1.
        to_prompt: (K, T, grid, grid), attention of each patch to its frame's prompt token in each layer.
        layers: the K layers with prompts, counted from 1.
    """

    influence: np.ndarray
    prompts: np.ndarray
    to_prompt: np.ndarray
    layers: list[int]


def temporal_view(encoded: Encoded) -> TemporalView | None:
    """Attention of the temporal prompts on an encoded clip, cached; None for models without prompts."""
    return encoded.cached(("prompts",), lambda: _view(encoded))


def _view(encoded: Encoded) -> TemporalView | None:
    trace, grid = cached_trace(encoded), encoded.model.grid
    prompts = {k: p[0].cpu().numpy() for k, p in enumerate(trace.prompts) if p is not None}
    if not prompts:
        return None
    to_prompt = [trace.frames[k][:, 1:-1, -1].unflatten(-1, (grid, grid)).cpu().numpy() for k in prompts]
    return TemporalView(
        roll_out(trace).influence.cpu().numpy(),
        np.stack(list(prompts.values())),
        np.stack(to_prompt),
        [k + 1 for k in prompts],
    )
