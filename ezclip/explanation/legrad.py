"""LeGrad (Bousselham et al., ICCV 2025, arXiv 2404.03214): attention gradients of a readout at each block.

    s_k = cos(mean over frames of proj(ln_post(mean over all tokens of x_k)), label),    heat = sum_k relu(ds_k/dA_k)

averaged over heads and over the 1+N queries, for the keys of patches. Gradients are not multiplied by attention.
Deviations: the prompt's query, whose gradient is 0, is excluded from the mean; all blocks are used, as in the paper
(the authors' code uses two).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.trace import block_inputs, hooked, probabilities
from ezclip.model.block import Block


def legrad(inputs: Inputs) -> Map:
    """Heat of the patches: one pass for the inputs of all blocks, then one pass through each block."""
    vision, N = inputs.model.vision, inputs.model.vision.grid**2
    heat = torch.zeros(inputs.pixels.shape[1], N, device=inputs.pixels.device)
    for number, (block, tokens) in enumerate(
        zip(vision.blocks, block_inputs(inputs.model, inputs.pixels), strict=True)
    ):
        inputs.report(number / len(vision.blocks))
        leaves: list[Tensor] = []

        def cut(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor, leaves: list[Tensor] = leaves) -> Tensor:
            leaves.append(attention := probabilities(*qkv[:2]).detach().requires_grad_())
            return attention.to(qkv[2].dtype) @ qkv[2]

        assert isinstance(block, Block)
        with hooked([(block.mix, cut)]):
            frames = vision.ln_post(block(tokens).mean(dim=1)) @ vision.proj
            frames = inputs.model.apply_temporal(frames.unsqueeze(0))[0]
        score = F.cosine_similarity(frames.float().mean(dim=0), inputs.label.float(), dim=-1)
        (gradient,) = torch.autograd.grad(score, leaves)  # (T, H, queries, keys)
        heat += mean_positive_gradient(gradient, N)
    return Map(heat)


def mean_positive_gradient(gradient: Tensor, N: int) -> Tensor:
    """Mean over heads and 1+N queries of the positive gradient (B, H, queries, keys) of each patch: (B, N)."""
    return gradient[:, :, : 1 + N, 1 : 1 + N].clamp_min(0).mean(dim=(1, 2))
