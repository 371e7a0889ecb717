"""A transformer block of either tower: CLIP's frozen modules with EZ-CLIP's additions."""

from collections import OrderedDict
from typing import Any

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from ezclip.model.attention import Mix, attend

_SLOPE = 1.702  # of QuickGELU


class Block(nn.Module):
    """A frozen CLIP block with an adapter and, in the vision tower, a temporal prompt.

    Vision (Eq. 8-10): the prompt token is appended, attention with its residual runs over 2+N tokens, the prompt token
    is cut off, then adapter, then MLP with its residual. Text (Eq. 11-13) is the same without the prompt.

    Args:
        clip_block: open_clip's ``ResidualAttentionBlock``; its parameters are shared, not copied.
        adapter: an ``Adapter``, or ``nn.Identity`` for plain CLIP.
        prompt: a ``TemporalPrompt`` or another module that returns a token for each frame; None for no prompt.
        mix: the attention product, causal for text.
        drop_path: applied to both residual branches during training.
    """

    def __init__(
        self, *, clip_block: Any, adapter: nn.Module, prompt: nn.Module | None, mix: Mix, drop_path: nn.Module
    ):
        super().__init__()
        self.ln_1, self.attn, self.ls_1 = clip_block.ln_1, clip_block.attn, clip_block.ls_1
        self.ln_2, self.mlp, self.ls_2 = clip_block.ln_2, fuse_quickgelu(clip_block.mlp), clip_block.ls_2
        self.adapter = adapter
        self.prompt = prompt
        self.mix = mix
        self.drop_path = drop_path

    def forward(self, x: Tensor, keep: int | None = None) -> Tensor:
        """(B, n, D) -> (B, keep, D); with a prompt B counts frames and n = 1+N.

        Args:
            x: tokens.
            keep: number of leading tokens to keep after attention; None keeps all. Saves the token-wise operations
                on tokens that are not read.
        """
        keep = keep or x.shape[1]
        tokens = x if self.prompt is None else torch.cat([x, self.prompt(x, self.ln_1, self.attn)], dim=1)
        attended = attend(self.attn, self.ln_1(tokens), self.mix, keep)
        x = self.adapter(x[:, :keep] + self.drop_path(self.ls_1(attended)))
        return x + self.drop_path(self.ls_2(self.mlp(self.ln_2(x))))


class ScaledLinear(nn.Linear):
    """``alpha x W^T + beta b`` with the parameters of ``linear``; the factors are applied within the matrix product.

    Args:
        linear: its parameters are shared, not copied.
        alpha: factor of the product.
        beta: factor of the bias.
    """

    def __init__(self, linear: nn.Linear, *, alpha: float, beta: float):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.alpha, self.beta = alpha, beta

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        rows = torch.addmm(self.bias, input.flatten(0, -2), self.weight.t(), alpha=self.alpha, beta=self.beta)
        return rows.view(*input.shape[:-1], -1)


def fuse_quickgelu(mlp: nn.Sequential) -> nn.Sequential:
    """Replace QuickGELU by SiLU in an equivalent MLP with shared parameters: x sigmoid(a x) = silu(a x) / a, a = 1.702.

    Both factors are folded into the adjacent products. An MLP with another activation is returned unchanged.

    Args:
        mlp: open_clip's c_fc, gelu, c_proj.
    """
    c_fc, gelu, c_proj = mlp
    if not (isinstance(gelu, QuickGELU) and isinstance(c_fc, nn.Linear) and isinstance(c_proj, nn.Linear)):
        return mlp
    modules = {
        "c_fc": ScaledLinear(c_fc, alpha=_SLOPE, beta=_SLOPE),
        "gelu": nn.SiLU(inplace=True),
        "c_proj": ScaledLinear(c_proj, alpha=1 / _SLOPE, beta=1.0),
    }
    return nn.Sequential(OrderedDict(modules))
