"""Motion-only relevance: a map minus the map of static clips (after Hiley et al., arXiv 1908.01536).

    motion[t] = heat(clip)[t] - heat(frame t at all T positions)[t]

Frame t of the static clip has the same learned prompt as in the clip. With rollout the difference is 0 for models
without prompts, and for a clip of identical frames.
"""

import torch
from torch import Tensor

from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import compute_trace


def motion_only(inputs: Inputs) -> Map:
    """Signed difference of rollouts, from T+1 forward passes.

    The T static clips are not batched, because rounding may depend on the batch size.
    """
    T = inputs.pixels.shape[1]
    static_heat: list[Tensor] = []
    for t in range(T):
        inputs.report(t / T)
        static = inputs.pixels[:, t : t + 1].expand_as(inputs.pixels)
        trace = compute_trace(inputs.model, static, inputs.settings.fusion)
        static_heat.append(roll_out(trace, inputs.settings).heat[t])
    return Map(roll_out(inputs.trace, inputs.settings).heat - torch.stack(static_heat))
