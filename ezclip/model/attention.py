"""CLIP's frozen multi-head attention, with one place (``Mix``) where a trace can observe it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mix(nn.Module):
    """``softmax(q k^T / sqrt(d)) v`` through the fused kernel; probabilities are not kept.

    In bfloat16 on a CPU the two products are taken one after the other instead: for CLIP's 198 tokens that takes half
    of the fused kernel's time (`python -m ezclip bench` measures the whole), and in training less than half.

    Args:
        causal: forbid each position to look at later ones (text).
        dropout: dropout of the probabilities while training (the release's recipe; 0 in the paper's).
    """

    def __init__(self, *, causal: bool = False, dropout: float = 0.0):
        super().__init__()
        self.causal = causal
        self.dropout = dropout

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (B, heads, n, d) -> (B, heads, n, d)."""
        dropout = self.dropout if self.training else 0.0
        if q.device.type == "cpu" and q.dtype == torch.bfloat16 and not (self.causal or dropout):
            heads, scale = q.shape[:2], q.shape[-1] ** -0.5
            q, k, v = (part.flatten(0, 1) for part in (q, k, v))
            product = torch.baddbmm(q.new_empty(1), q, k.transpose(1, 2), beta=0, alpha=scale)  # beta 0: not read
            return (product.softmax(dim=-1) @ v).unflatten(0, heads)
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, dropout_p=dropout)


def attend(attention: nn.MultiheadAttention, x: Tensor, mix: Mix, keep: int | None = None) -> Tensor:
    """Self-attention with the frozen weights of ``attention``.

    ``nn.MultiheadAttention.forward`` hides its probabilities and its keys; this computes the same from its weights
    (packed as q, k, v) and lets ``mix`` do the product, so that hooks on ``mix`` see q, k and v.

    Args:
        attention: supplies weights and number of heads.
        x: (B, n, D).
        mix: one of the block's own.
        keep: number of the first positions that are returned, None for all n.

    Returns:
        (B, keep, D)
    """
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # (B, n, 3D)
    q, k, v = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, n, d)
    mixed = mix(q, k, v)[:, :, :keep].transpose(1, 2).flatten(2)  # (B, keep, D), contiguous for the product below
    return F.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
