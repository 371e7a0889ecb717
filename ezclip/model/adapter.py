"""The adapter of Eq. 9 and 12."""

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """Bottleneck with a built-in residual: ``x + up(gelu(down(x)))``, Linear D -> D/4, GELU, Linear D/4 -> D.

    The up projection is initialised to zero, so that a new model has exactly the outputs of its CLIP backbone. The
    paper does not state the reduction ratio; 1/4 is the release's and yields the paper's parameter count.

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
    """Stochastic depth as in the release: during training, drops token positions for the whole batch.

    The release's tensors are token-first, so its per-sample DropPath acts on positions (FIDELITY: not in the paper).

    Args:
        p: drop probability of a position, in [0, 1).
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
