"""The vision tower: from video frames to frame embeddings."""

from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.block import Block


class VisionEncoder(nn.Module):
    """CLIP's ViT with EZ-CLIP's blocks.

    Args:
        visual: open_clip's ``VisionTransformer`` with class-token pooling; its modules are shared.
        blocks: one for each layer.
    """

    def __init__(self, *, visual: Any, blocks: list[Block]):
        super().__init__()
        self.conv1, self.ln_pre, self.ln_post = visual.conv1, visual.ln_pre, visual.ln_post
        self.class_embedding = visual.class_embedding
        self.positional_embedding = visual.positional_embedding
        self.proj = visual.proj
        self.blocks = nn.ModuleList(blocks)
        self.grid: int = visual.grid_size[0]

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) -> frame embeddings (B, T, E), not normalised."""
        return self._pool(self._tokens(pixels, keep=1), pixels)  # only the class token is used

    def forward_with_patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S) -> frame embeddings (B, T, E), and the patch tokens of the last block (B, T, N, D)."""
        x = self._tokens(pixels)
        return self._pool(x, pixels), x[:, 1:].unflatten(0, pixels.shape[:2])

    def _tokens(self, pixels: Tensor, keep: int | None = None) -> Tensor:
        x = self.ln_pre(self.embed(pixels.flatten(0, 1)))
        *lower, last = self.blocks
        for block in lower:
            x = block(x)
        return last(x, keep=keep)

    def _pool(self, x: Tensor, pixels: Tensor) -> Tensor:
        return (self.ln_post(x[:, 0]) @ self.proj).unflatten(0, pixels.shape[:2])

    def embed(self, pixels: Tensor) -> Tensor:
        """(B*T, 3, S, S) -> class and patch tokens with positions (B*T, 1+N, D)."""
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # (B*T, N, D)
        class_token = self.class_embedding.expand(len(patches), 1, -1)
        return torch.cat([class_token, patches], dim=1) + self.positional_embedding
