"""The temporal prompts on one clip: attention among the prompts, and attention to the prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import trace_of
from ezclip.predictor import Encoded


@dataclass(frozen=True, eq=False)
class TemporalView:
    """One clip under a model with prompts.

    Attributes:
        influence: (T, T), rollout over all layers: attention of frame t's class token to frame t'.
        prompts: (K, T, T), in each layer the head-mean attention among the T prompts; rows sum to 1.
        to_prompt: (K, T, grid, grid), in each layer the share of a patch's attention on its frame's prompt token.
        layers: the K layers that have prompts, counted from 1.
    """

    influence: np.ndarray
    prompts: np.ndarray
    to_prompt: np.ndarray
    layers: list[int]


def temporal_view(encoded: Encoded) -> TemporalView | None:
    """Attention of the temporal prompts on an encoded clip, computed once; None for models without prompts."""
    return encoded.once(("prompts",), lambda: _view(encoded))


def _view(encoded: Encoded) -> TemporalView | None:
    trace, grid = trace_of(encoded), encoded.model.vision.grid
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
