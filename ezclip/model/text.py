"""The text tower: token ids to class embeddings."""

from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.block import Block


def trimmed(tokens: Tensor) -> Tensor:
    """Token ids (C, L) in main memory, cut after the last end-of-text: attention is causal, so no embedding changes."""
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1] if len(tokens) else tokens


class TextEncoder(nn.Module):
    """CLIP's causal text transformer around EZ-CLIP's blocks.

    Args:
        text: the open_clip module that holds the text parts (the model itself or its ``.text``); shared, not copied.
        blocks: one for each layer.
    """

    def __init__(self, *, text: Any, blocks: list[Block]):
        super().__init__()
        self.token_embedding, self.ln_final = text.token_embedding, text.ln_final
        self.positional_embedding = text.positional_embedding
        self.text_projection = text.text_projection
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (C, L) int64, end-of-text the largest id of its row -> (C, E), not normalised.

        Rows are not cut here, which would wait for the device; see ``trimmed``.
        """
        return self.read(self.token_embedding(tokens), tokens.argmax(dim=-1))

    def read(self, rows: Tensor, end: Tensor) -> Tensor:
        """Embedded tokens without positions (C, L, D), the end-of-text of each in row ``end`` (C,) -> (C, E)."""
        x = rows + self.positional_embedding[: rows.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return x[torch.arange(len(x), device=x.device), end] @ self.text_projection
