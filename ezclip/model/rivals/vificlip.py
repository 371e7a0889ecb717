"""ViFi-CLIP (Rasheed et al., arXiv 2212.03640): CLIP fine-tuned on the mean of frames, or prompts in it."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.attention import Mix
from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import told_by
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import IMAGENET_PIXELS


class ReplacingBlock(Block):
    """A block of CLIP that first puts learned tokens in the place of some of those that enter it.

    Args:
        clip_block: open_clip's block; shared.
        causal: whether it is one of the text tower.
        count: n, learned tokens; 0 replaces nothing.
        at: row of the first one; negative counts from the end.
    """

    def __init__(self, *, clip_block: Any, causal: bool, count: int = 0, at: int = 0):
        nothing = nn.Identity()
        super().__init__(clip_block=clip_block, adapter=nothing, prompt=None, mix=Mix(causal=causal), drop_path=nothing)
        width = clip_block.ln_1.weight.shape[0]
        self.at, self.learned = at, nn.Parameter(torch.empty(count, width).normal_(std=0.02)) if count else None

    def forward(self, x: Tensor, keep: int | None = None) -> Tensor:
        """(B, m, D) -> (B, keep, D)."""
        if self.learned is not None:
            n, at = len(self.learned), self.at % x.shape[1]
            x = torch.cat([x[:, :at], self.learned.expand(len(x), -1, -1), x[:, at + n :]], dim=1)
        return super().forward(x, keep)


class PromptedVision(VisionEncoder):
    """CLIP's ViT with n learned tokens after the patches, added after the positions and before ``ln_pre``."""

    def __init__(self, *, visual: Any, blocks: list[Block], count: int):
        super().__init__(visual=visual, blocks=blocks)
        self.learned = nn.Parameter(torch.empty(count, visual.conv1.out_channels).normal_(std=0.02)) if count else None

    def embed(self, pixels: Tensor) -> Tensor:
        """(B*T, 3, S, S) -> tokens with positions (B*T, 1+N+n, D)."""
        x = super().embed(pixels)
        return x if self.learned is None else torch.cat([x, self.learned.expand(len(x), -1, -1)], dim=1)


class PromptedText(TextEncoder):
    """CLIP's text tower with n learned vectors after the start token; the ids are those of "name." alone."""

    def __init__(self, *, text: Any, blocks: list[Block], count: int):
        super().__init__(text=text, blocks=blocks)
        width = self.positional_embedding.shape[1]
        self.learned = nn.Parameter(torch.empty(count, width).normal_(std=0.02)) if count else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (C, L) int64 -> (C, E)."""
        if self.learned is None:
            return super().forward(tokens)
        end = tokens.argmax(dim=-1)
        rows = self.token_embedding(tokens[:, : len(self.positional_embedding) - len(self.learned)])
        learned = self.learned.expand(len(rows), -1, -1)
        return self.read(torch.cat([rows[:, :1], learned, rows[:, 1:]], dim=1), end + len(self.learned))


def build_vificlip(
    backbone: Backbone,
    *,
    num_frames: int,
    vision_tokens: int = 0,
    vision_depth: int = 1,
    text_tokens: int = 0,
    text_depth: int = 1,
) -> EZCLIP:
    """ViFi-CLIP: each frame through CLIP, v = mean over T of the frame embeddings, logits exp(logit_scale) * cosine.

    With prompts, learned tokens enter at the input and replace their places again before blocks 1 to depth-1; from
    block depth on they pass as ordinary tokens. Frames never see one another.

    Args:
        backbone: CLIP; whatever it was pretrained with, pixels are normalised with ImageNet's mean and deviation.
        num_frames: T of the training; any other can be given.
        vision_tokens: learned tokens after the patches.
        vision_depth: blocks with fresh ones, the input counted.
        text_tokens: learned vectors before a class name.
        text_depth: blocks with fresh ones, the input counted.
    """
    backbone.clip.requires_grad_(False)
    visual, text = backbone.clip.visual, backbone.text

    def blocks(clip_blocks: nn.ModuleList, count: int, depth: int, *, at: int, causal: bool) -> list[Block]:
        return [
            ReplacingBlock(clip_block=block, causal=causal, count=count if 1 <= k < depth else 0, at=at)
            for k, block in enumerate(clip_blocks)
        ]

    of_image = blocks(visual.transformer.resblocks, vision_tokens, vision_depth, at=-vision_tokens, causal=False)
    of_text = blocks(text.transformer.resblocks, text_tokens, text_depth, at=1, causal=True)
    told = told_by(backbone)
    told["context_length"] -= text_tokens
    told["preprocessing"] = replace(backbone.preprocessing, **IMAGENET_PIXELS)
    return EZCLIP(
        vision=PromptedVision(visual=visual, blocks=of_image, count=vision_tokens),
        text=PromptedText(text=text, blocks=of_text, count=text_tokens),
        variant="vificlip",
        num_frames=num_frames,
        settings={
            "vision_tokens": vision_tokens,
            "vision_depth": vision_depth,
            "text_tokens": text_tokens,
            "text_depth": text_depth,
        },
        **told,
    )
