"""CLIP's frozen multi-head attention, with ``Mix`` as the hook point for attention traces."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mix(nn.Module):
    """``softmax(q k^T / sqrt(d)) v`` with the fused kernel, which does not return the probabilities.

    In bfloat16 on a CPU the two products are computed separately instead: for CLIP's 198 tokens this takes half the
    time of the fused kernel (see `python -m ezclip bench`), and less than half in training.

    Args:
        causal: mask later positions (text).
        dropout: dropout on the probabilities during training (the release's recipe; 0 in the paper's).
    """

    def __init__(self, *, causal: bool = False, dropout: float = 0.0):
        super().__init__()
        self.causal = causal
        self.dropout = dropout
        self.probabilities = nn.Identity()  # for hooks; receives them where the fused kernel is not used

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (B, heads, n, d) -> (B, heads, n, d)."""
        dropout = self.dropout if self.training else 0.0
        if q.device.type == "cpu" and q.dtype == torch.bfloat16 and not (self.causal or dropout):
            heads, scale = q.shape[:2], q.shape[-1] ** -0.5
            q, k = q.flatten(0, 1), k.flatten(0, 1)
            product = torch.baddbmm(q.new_empty(1), q, k.transpose(1, 2), beta=0, alpha=scale)  # beta=0: input unused
            return self.probabilities(product.softmax(dim=-1).unflatten(0, heads)) @ v
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, dropout_p=dropout)


def attend(attention: nn.MultiheadAttention, x: Tensor, mix: Mix, keep: int | None = None) -> Tensor:
    """Self-attention with the frozen weights of ``attention``.

    ``nn.MultiheadAttention.forward`` hides its probabilities and keys; this computes the same result from its packed
    weights and delegates the product to ``mix``, so that hooks on ``mix`` receive q, k and v.

    Args:
        attention: provides the weights and the number of heads.
        x: (B, n, D).
        mix: the block's attention product.
        keep: number of leading positions to return; None for all n.

    Returns:
        (B, keep, D)
    """
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # (B, n, 3D)
    q, k, v = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, n, d)
    mixed = mix(q, k, v)[:, :, :keep].transpose(1, 2).flatten(2)  # (B, keep, D)
    return F.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
