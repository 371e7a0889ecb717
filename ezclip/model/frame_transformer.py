"""Transformer over the frame embeddings of a video, used by ActionCLIP, A5, X-CLIP and MoTE on top of CLIP."""

from functools import partial

import torch
from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from ezclip.model.attention import Mix
from ezclip.model.block import Block


class FrameTransformer(nn.Module):
    """CLIP blocks (QuickGELU, no mask, no final norm) over the T frames; the video embedding is the mean of the output.

    z = blocks(c + p), and z + c if the method has a skip connection around the blocks.

    Args:
        positions: number of learned positions p, the maximum of T.
        width: E.
        layers: number of blocks.
        heads: attention heads of each block.
        eps: epsilon of the layer norms.
        skip: whether c is added to the output.
    """

    def __init__(self, *, positions: int, width: int, layers: int, heads: int, eps: float = 1e-5, skip: bool = True):
        super().__init__()
        self.positions = nn.Parameter(torch.empty(positions, width).normal_(std=0.01))
        norm = partial(LayerNorm, eps=eps)
        self.blocks = nn.ModuleList(
            Block(
                clip_block=ResidualAttentionBlock(width, heads, act_layer=QuickGELU, norm_layer=norm),
                adapter=nn.Identity(),
                prompt=None,
                mix=Mix(),
                drop_path=nn.Identity(),
            )
            for _ in range(layers)
        )
        self.skip = skip

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E), not normalised."""
        x = frames + self.positions[: frames.shape[1]]
        for block in self.blocks:
            x = block(x)
        return x + frames if self.skip else x
