"""LeGrad (Bousselham et al., ICCV 2025, arXiv 2404.03214): gradients of every block's attention for its own readout.

    s_k = cos(mean over frames of proj(ln_post(mean over all tokens of x_k)), label),    heat = sum_k relu(ds_k/dA_k)

the mean over heads and over the 1+N queries, patch keys alone. Attention itself does not multiply. Deviations: the
prompt's query, whose gradient is 0, is not in the mean; all blocks, as in the paper (the authors' code takes two).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.trace import block_inputs, hooked, probabilities
from ezclip.model.block import Block


def legrad(inputs: Inputs) -> Map:
    """Heat of the patches: one pass for the blocks' inputs, then one through each block alone."""
    vision, N = inputs.model.vision, inputs.model.vision.grid**2
    heat = torch.zeros(inputs.pixels.shape[1], N, device=inputs.pixels.device)
    for number, (block, tokens) in enumerate(
        zip(vision.blocks, block_inputs(inputs.model, inputs.pixels), strict=True)
    ):
        inputs.report(number / len(vision.blocks))
        seen: list[Tensor] = []

        def cut(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(attention := probabilities(*qkv[:2]).detach().requires_grad_())
            return attention.to(qkv[2].dtype) @ qkv[2]

        assert isinstance(block, Block)
        with hooked([(block.mix, cut)]):
            frames = inputs.model.across((vision.ln_post(block(tokens).mean(dim=1)) @ vision.proj).unsqueeze(0))[0]
        score = F.cosine_similarity(frames.float().mean(dim=0), inputs.label.float(), dim=-1)
        (gradient,) = torch.autograd.grad(score, seen)  # (T, H, queries, keys)
        heat += averaged(gradient, N)
    return Map(heat)


def averaged(gradient: Tensor, N: int) -> Tensor:
    """Positive gradient (B, H, queries, keys) on each of N patches, (B, N): mean over heads and 1+N queries."""
    return gradient[:, :, : 1 + N, 1 : 1 + N].clamp_min(0).mean(dim=(1, 2))
