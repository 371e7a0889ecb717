"""Grad-ECLIP (Zhao et al., ICML 2024, arXiv 2502.18816): values weighted by gradients, for patches.

In the last block, with q of frame t's class token, k_i and v_i of patch i, o the class token's output of attention
before its projection, g = dS/do in each head h, and S the cosine of the clip and the label,

    w_i = sum_h g_h . v_hi,    l_i = minmax of cos(q, k_i), heads side by side,    heat_i = relu(l_i * w_i)

Deviations: real heads (the authors compute the last block with a single one, another model); minmax over the clip's T*N
patches, so that frames compare; q and k as projected, as in their notebooks. No prompt token is in the map; its weight
is in the note.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.gradients import cosine
from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.trace import hooked
from ezclip.model.block import Block


def grad_eclip(inputs: Inputs) -> Map:
    """Heat of the patches; the score's gradient passes the last block alone."""
    inputs.report(0.0)
    seen: list[Tensor] = []

    def cut(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.extend([*qkv, leaf := output.detach().requires_grad_()])
        return leaf

    last = inputs.model.vision.blocks[-1]
    assert isinstance(last, Block)
    with hooked([(last.mix, cut)]):
        score = cosine(inputs.model, inputs.pixels, inputs.label).sum()
    (gradient,) = torch.autograd.grad(score, seen[3:])
    q, k, v, _ = (part.detach() for part in seen)
    N = inputs.model.vision.grid**2
    found = weighed(q[:, :, 0], k[:, :, 1 : 1 + N], v[:, :, 1 : 1 + N], gradient[:, :, 0]).clamp_min(0)
    if v.shape[2] == 1 + N:
        return Map(found)
    prompt = float((gradient[:, :, 0].float() * v[:, :, -1].float()).sum(dim=(1, 2)).mean())
    return Map(found, note=f"The prompt token, which is in no map, has weight {prompt:+.2e}; mean over frames.")


def weighed(q: Tensor, k: Tensor, v: Tensor, gradient: Tensor) -> Tensor:
    """The product l * w before the ReLU, float32 (B, N); q and gradient (B, H, d), k and v (B, H, N, d).

    The minmax is over all B*N. Where all keys are equally close, l is 1.
    """
    near = F.cosine_similarity(q.float().flatten(1).unsqueeze(1), k.float().transpose(1, 2).flatten(2), dim=-1)
    low, high = near.min(), near.max()
    closeness = (near - low) / (high - low) if high > low else torch.ones_like(near)
    return closeness * torch.einsum("bhd,bhnd->bn", gradient.float(), v.float())
