"""The temporal prompts at work in one clip: which frame's prompt attends to which, and who reads the prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import trace_of
from ezclip.predictor import Predictor


@dataclass(frozen=True, eq=False)
class TemporalView:
    """One clip under a model with prompts.

    Attributes:
        influence: (T, T), rollout over all layers: frame t's class token drew on frame t'.
        prompts: (K, T, T), in each layer the head-mean attention among the T prompts; rows sum to 1.
        reading: (K, T, grid, grid), in each layer how much of a patch's attention goes to its frame's prompt token.
        layers: the K layers that have prompts, counted from 1.
    """

    influence: np.ndarray
    prompts: np.ndarray
    reading: np.ndarray
    layers: list[int]


def temporal_view(predictor: Predictor) -> TemporalView | None:
    """What the prompts do in the predictor's clip; None for models without prompts."""
    return predictor.once("prompts", lambda: _view(predictor))


def _view(predictor: Predictor) -> TemporalView | None:
    model = predictor.model
    trace = trace_of(predictor)
    grid = model.vision.grid
    with_prompts = [(k, p) for k, p in enumerate(trace.prompts) if p is not None]
    if not with_prompts:
        return None
    return TemporalView(
        roll_out(trace).influence.cpu().numpy(),
        np.stack([p[0].cpu().numpy() for _, p in with_prompts]),
        np.stack([trace.frames[k][:, 1:-1, -1].unflatten(-1, (grid, grid)).cpu().numpy() for k, _ in with_prompts]),
        [k + 1 for k, _ in with_prompts],
    )
