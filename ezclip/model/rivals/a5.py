"""A5 (Ju et al., "Prompting Visual-Language Models for Efficient Video Understanding", arXiv 2112.04478).

A frozen CLIP with learned vectors around the tokens of a class name and a transformer over the frame embeddings.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import plain_text_blocks, plain_vision, told_by
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.text import TextEncoder

TEMPERATURE = 0.07  # logits are cosine / 0.07; CLIP's own scale is not used


class FramedText(TextEncoder):
    """CLIP's text tower that reads a name between learned vectors q, (77, D).

    Row 0 is the start token, rows prefix+1 to prefix+n-1 are the name's tokens, row prefix+n+postfix is the end token
    that stood in row n, and every other row j is q[j].

    Args:
        text: open_clip's module that holds the text parts; shared.
        blocks: one for each layer.
        prefix: learned vectors before the name.
        postfix: learned vectors after it.
    """

    def __init__(self, *, text: Any, blocks: list[Block], prefix: int, postfix: int):
        super().__init__(text=text, blocks=blocks)
        self.prefix, self.postfix = prefix, postfix
        self.learned = nn.Parameter(torch.empty_like(self.positional_embedding).normal_(std=0.01))

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids of bare names (C, L) int64 -> (C, E); L is at most the context length minus prefix and postfix."""
        n = tokens.argmax(dim=-1, keepdim=True)  # (C, 1)
        end = n + self.prefix + self.postfix
        length = min(tokens.shape[1] + self.prefix + self.postfix, len(self.learned))
        row = torch.arange(length, device=tokens.device)  # (L',)
        source = torch.where(row == end, n, row - self.prefix)  # row of ``tokens`` that row j shows
        named = (row == 0) | (row == end) | ((source >= 1) & (source < n))
        shown = self.token_embedding(tokens.gather(1, source.clamp(0, tokens.shape[1] - 1)))
        shown[:, 0] = self.token_embedding(tokens[:, 0])
        return self.read(torch.where(named.unsqueeze(-1), shown, self.learned[:length]), end[:, 0])


def build_a5(
    backbone: Backbone, *, num_frames: int, layers: int = 1, heads: int = 8, prefix: int = 16, postfix: int = 16
) -> EZCLIP:
    """A5: v = mean over T of blocks(c + p), without a skip around the stack; logits are cosine / 0.07.

    Args:
        backbone: the frozen CLIP.
        num_frames: T, the number of learned positions.
        layers: of the transformer over frames: 1 in the paper's command, 2 by default in its code.
        heads: of its attention. Neither heads nor prefix and postfix are stored in the authors' files.
        prefix: learned vectors before a class name.
        postfix: learned vectors after it.
    """
    text = FramedText(text=backbone.text, blocks=plain_text_blocks(backbone), prefix=prefix, postfix=postfix)
    width = backbone.text.text_projection.shape[1]
    told = told_by(backbone)
    told["logit_scale"] = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)), requires_grad=False)
    told["context_length"] -= prefix + postfix
    return EZCLIP(
        vision=plain_vision(backbone),
        text=text,
        variant="a5",
        num_frames=num_frames,
        temporal=FrameTransformer(positions=num_frames, width=width, layers=layers, heads=heads, skip=False),
        settings={"layers": layers, "heads": heads, "prefix": prefix, "postfix": postfix},
        **told,
    )
