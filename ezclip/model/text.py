"""The text tower: from token ids to text embeddings."""

from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.block import Block


def trim_padding(tokens: Tensor) -> Tensor:
    """Cut token ids (C, L), on the CPU, after the last end-of-text; causal attention leaves embeddings unchanged."""
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1] if len(tokens) else tokens


class TextEncoder(nn.Module):
    """CLIP's causal text transformer with EZ-CLIP's blocks.

    Args:
        text: the open_clip module with the text tower (the model itself or its ``.text``); shared, not copied.
        blocks: one for each layer.
    """

    def __init__(self, *, text: Any, blocks: list[Block]):
        super().__init__()
        self.token_embedding, self.ln_final = text.token_embedding, text.ln_final
        self.positional_embedding = text.positional_embedding
        self.text_projection = text.text_projection
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (C, L) int64, with end-of-text the largest id of its row -> (C, E), not normalised.

        Padding is not trimmed here, which would synchronise the device; see ``trim_padding``.
        """
        return self.encode_embedded(self.token_embedding(tokens), tokens.argmax(dim=-1))

    def encode_embedded(self, tokens: Tensor, end: Tensor) -> Tensor:
        """Token embeddings without positions (C, L, D) and the index of end-of-text in each text (C,) -> (C, E)."""
        x = tokens + self.positional_embedding[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return x[torch.arange(len(x), device=x.device), end] @ self.text_projection
