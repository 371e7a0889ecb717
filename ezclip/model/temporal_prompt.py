"""Temporal visual prompts, Eq. 2 and 3."""

import torch
from torch import Tensor, nn

from ezclip.model.adapter import TokenDropPath
from ezclip.model.attention import Mix, attend


class TemporalPrompt(nn.Module):
    """One learned prompt per frame, through which the frames of a video exchange information.

    Eq. 2: the prompt of frame t is p[t] plus the mean over all 1+N tokens of frame t. Eq. 3: the T prompts of a video
    pass through the block's frozen layer norm and attention, without a residual, as in the release.

    Args:
        num_frames: T.
        width: D.
        dropout: on the learned prompts in training, shared by the batch (0.1 in the release, not in the paper).
        drop_path: the block's rate for attention dropout among the prompts and for stochastic depth, which drops the
            prompt tokens of a frame position for the whole batch (up to 0.1 in the release, not in the paper).
    """

    def __init__(self, *, num_frames: int, width: int, dropout: float = 0.0, drop_path: float = 0.0):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(num_frames, width))
        self.dropout = nn.Dropout(dropout)
        self.mix, self.drop_path = Mix(dropout=drop_path), TokenDropPath(drop_path)
        bound = (6.0 / (3 * 16 * 16 + width)) ** 0.5  # as in the release, with 16 for every patch size
        nn.init.uniform_(self.embedding, -bound, bound)

    def forward(self, x: Tensor, ln_1: nn.Module, attention: nn.MultiheadAttention) -> Tensor:
        """Tokens of the frames (B*T, 1+N, D) -> one prompt token per frame (B*T, 1, D)."""
        summary = x.mean(dim=1).unflatten(0, (-1, len(self.embedding)))  # (B, T, D)
        prompts = self.dropout(self.embedding) + summary
        prompts = self.drop_path(attend(attention, ln_1(prompts), self.mix))  # (B, T, D)
        return prompts.flatten(0, 1).unsqueeze(1)
