"""Motion-only relevance: a map minus that of the same frames without motion (after Hiley et al., arXiv 1908.01536).

    motion[t] = heat(clip)[t] - heat(frame t at all T positions)[t]

The static clip's own frame t has the same learned prompt as in the clip. With rollout the difference is 0 for models
without prompts, and for a clip of equal frames.
"""

import torch
from torch import Tensor

from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import traced


def motion_only(inputs: Inputs) -> Map:
    """Signed difference of rollouts, T+1 forward passes.

    The T static clips pass one by one: a batch may round otherwise, and what is equal would differ.
    """
    T = inputs.pixels.shape[1]
    still: list[Tensor] = []
    for t in range(T):
        inputs.report(t / T)
        static = inputs.pixels[:, t : t + 1].expand_as(inputs.pixels)
        still.append(roll_out(traced(inputs.model, static, inputs.settings.fusion), inputs.settings).heat[t])
    return Map(roll_out(inputs.trace, inputs.settings).heat - torch.stack(still))
