"""ViFi-CLIP (Rasheed et al., arXiv 2212.03640): CLIP with averaged frames, fine-tuned or with prompts."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ezclip.model.attention import Mix
from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import backbone_kwargs
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import IMAGENET_PIXELS


class ReplacingBlock(Block):
    """A CLIP block that first replaces some of its input tokens by learned ones.

    Args:
        clip_block: open_clip's block; shared.
        causal: whether the block belongs to the text tower.
        count: n, number of learned tokens; 0 replaces nothing.
        position: index of the first one; negative values count from the end.
    """

    def __init__(self, *, clip_block: Any, causal: bool, count: int = 0, position: int = 0):
        mix, identity = Mix(causal=causal), nn.Identity()
        super().__init__(clip_block=clip_block, adapter=identity, prompt=None, mix=mix, drop_path=identity)
        width = clip_block.ln_1.weight.shape[0]
        self.position = position
        self.learned = nn.Parameter(torch.empty(count, width).normal_(std=0.02)) if count else None

    def forward(self, x: Tensor, keep: int | None = None) -> Tensor:
        """(B, m, D) -> (B, keep, D)."""
        if self.learned is not None:
            start = self.position % x.shape[1]
            end = start + len(self.learned)
            x = torch.cat([x[:, :start], self.learned.expand(len(x), -1, -1), x[:, end:]], dim=1)
        return super().forward(x, keep)


class PromptedVision(VisionEncoder):
    """CLIP's ViT with n learned tokens appended to the patches, after positions are added and before ``ln_pre``."""

    def __init__(self, *, visual: Any, blocks: list[Block], count: int):
        super().__init__(visual=visual, blocks=blocks)
        self.learned = nn.Parameter(torch.empty(count, visual.conv1.out_channels).normal_(std=0.02)) if count else None

    def embed(self, pixels: Tensor) -> Tensor:
        """(B*T, 3, S, S) -> tokens with positions (B*T, 1+N+n, D)."""
        x = super().embed(pixels)
        return x if self.learned is None else torch.cat([x, self.learned.expand(len(x), -1, -1)], dim=1)


class PromptedText(TextEncoder):
    """CLIP's text tower with n learned vectors after the start token; the token ids are those of "name."."""

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
        return self.encode_embedded(torch.cat([rows[:, :1], learned, rows[:, 1:]], dim=1), end + len(self.learned))


def build_vificlip(
    backbone: Backbone,
    *,
    num_frames: int,
    vision_tokens: int = 0,
    vision_depth: int = 1,
    text_tokens: int = 0,
    text_depth: int = 1,
) -> EZCLIP:
    """ViFi-CLIP: v = mean over T of CLIP's frame embeddings, logits exp(logit_scale) * cosine.

    With prompts, learned tokens are added at the input and replaced by new ones before blocks 1 to depth-1; from block
    depth on they are ordinary tokens. Frames exchange no information.

    Args:
        backbone: CLIP; pixels are normalised with ImageNet's mean and standard deviation, not with CLIP's.
        num_frames: T in training; any other number of frames is accepted.
        vision_tokens: number of learned tokens after the patches.
        vision_depth: number of layers with new tokens, including the input.
        text_tokens: number of learned vectors before a class name.
        text_depth: number of layers with new vectors, including the input.
    """
    backbone.clip.requires_grad_(False)
    visual, text = backbone.clip.visual, backbone.text

    def blocks(clip_blocks: nn.ModuleList, count: int, depth: int, *, position: int, causal: bool) -> list[Block]:
        return [
            ReplacingBlock(clip_block=block, causal=causal, count=count if 1 <= k < depth else 0, position=position)
            for k, block in enumerate(clip_blocks)
        ]

    image_blocks = blocks(
        visual.transformer.resblocks, vision_tokens, vision_depth, position=-vision_tokens, causal=False
    )
    text_blocks = blocks(text.transformer.resblocks, text_tokens, text_depth, position=1, causal=True)
    kwargs = backbone_kwargs(backbone)
    kwargs["context_length"] -= text_tokens
    kwargs["preprocessing"] = replace(backbone.preprocessing, **IMAGENET_PIXELS)
    return EZCLIP(
        vision=PromptedVision(visual=visual, blocks=image_blocks, count=vision_tokens),
        text=PromptedText(text=text, blocks=text_blocks, count=text_tokens),
        variant="vificlip",
        num_frames=num_frames,
        settings={
            "vision_tokens": vision_tokens,
            "vision_depth": vision_depth,
            "text_tokens": text_tokens,
            "text_depth": text_depth,
        },
        **kwargs,
    )
