"""A5 (Ju et al., "Prompting Visual-Language Models for Efficient Video Understanding", arXiv 2112.04478).

A frozen CLIP with learned vectors around the tokens of a class name, and a transformer over the frame embeddings.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import backbone_kwargs, plain_text_blocks, plain_vision
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.text import TextEncoder

TEMPERATURE = 0.07  # logits are cosine / 0.07; CLIP's logit scale is not used


class FramedText(TextEncoder):
    """CLIP's text tower with learned vectors q, (77, D), around a class name.

    Row 0 is the start token, rows prefix+1 to prefix+n-1 are the name's tokens, row prefix+n+postfix is the end token,
    originally in row n, and every other row j is q[j].

    Args:
        text: open_clip's module with the text tower; shared.
        blocks: one for each layer.
        prefix: number of learned vectors before the name.
        postfix: number of learned vectors after the name.
    """

    def __init__(self, *, text: Any, blocks: list[Block], prefix: int, postfix: int):
        super().__init__(text=text, blocks=blocks)
        self.prefix, self.postfix = prefix, postfix
        self.learned = nn.Parameter(torch.empty_like(self.positional_embedding).normal_(std=0.01))

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids of class names (C, L) int64 -> (C, E); L is at most the context length minus prefix and postfix."""
        n = tokens.argmax(dim=-1, keepdim=True)  # (C, 1)
        end = n + self.prefix + self.postfix
        length = min(tokens.shape[1] + self.prefix + self.postfix, len(self.learned))
        row = torch.arange(length, device=tokens.device)  # (L',)
        source = torch.where(row == end, n, row - self.prefix)  # row of ``tokens`` that goes to row j
        is_token = (row == 0) | (row == end) | ((source >= 1) & (source < n))
        embedded = self.token_embedding(tokens.gather(1, source.clamp(0, tokens.shape[1] - 1)))
        embedded[:, 0] = self.token_embedding(tokens[:, 0])
        return self.encode_embedded(torch.where(is_token.unsqueeze(-1), embedded, self.learned[:length]), end[:, 0])


def build_a5(
    backbone: Backbone, *, num_frames: int, layers: int = 1, heads: int = 8, prefix: int = 16, postfix: int = 16
) -> EZCLIP:
    """A5: v = mean over T of blocks(c + p), without a skip connection around the blocks; logits are cosine / 0.07.

    Args:
        backbone: the frozen CLIP.
        num_frames: T, the number of learned positions.
        layers: layers of the transformer over frames: 1 in the paper's command, 2 by default in its code.
        heads: its attention heads. Neither heads nor prefix and postfix are stored in the authors' files.
        prefix: number of learned vectors before a class name.
        postfix: number of learned vectors after a class name.
    """
    text = FramedText(text=backbone.text, blocks=plain_text_blocks(backbone), prefix=prefix, postfix=postfix)
    width = backbone.text.text_projection.shape[1]
    kwargs = backbone_kwargs(backbone)
    kwargs["logit_scale"] = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)), requires_grad=False)
    kwargs["context_length"] -= prefix + postfix
    return EZCLIP(
        vision=plain_vision(backbone),
        text=text,
        variant="a5",
        num_frames=num_frames,
        temporal=FrameTransformer(positions=num_frames, width=width, layers=layers, heads=heads, skip=False),
        settings={"layers": layers, "heads": heads, "prefix": prefix, "postfix": postfix},
        **kwargs,
    )
