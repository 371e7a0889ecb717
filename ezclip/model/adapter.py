"""The adapter of Eq. 9 and 12."""

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """Bottleneck with its skip inside: ``x + up(gelu(down(x)))``, Linear D -> D/4, GELU, Linear D/4 -> D.

    The second Linear starts at zero, so that a fresh model computes exactly what its CLIP backbone computes. The paper
    gives no ratio; 1/4 is the release's and yields the paper's count of parameters.

    Args:
        width: D.
    """

    def __init__(self, width: int):
        super().__init__()
        self.down = nn.Linear(width, width // 4)
        self.gelu = nn.GELU()
        self.up = nn.Linear(width // 4, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return x + self.up(self.gelu(self.down(x)))


class TokenDropPath(nn.Module):
    """Stochastic depth as the release applies it: while training, drops token positions for the whole batch.

    The release's tensors are token-first, so its per-sample DropPath falls on positions (FIDELITY: not in the paper).

    Args:
        p: probability of dropping a position, in [0, 1).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, D) -> (B, n, D), kept positions scaled by 1 / (1 - p)."""
        if not self.training or self.p == 0.0:
            return x
        keep = torch.empty(1, x.shape[1], 1, dtype=x.dtype, device=x.device).bernoulli_(1.0 - self.p)
        return x * keep / (1.0 - self.p)
