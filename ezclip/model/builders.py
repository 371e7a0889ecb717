"""Builds EZ-CLIP models from a CLIP backbone and a few sizes."""

from typing import Any

import numpy as np
import torch
from torch import nn

from ezclip.errors import ConfigError
from ezclip.model.adapter import Adapter, TokenDropPath
from ezclip.model.attention import Mix
from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import VARIANTS, PromptDepth, Variant, has_prompts

MAX_FRAMES = 64


def build_ezclip(
    backbone: Backbone,
    variant: Variant,
    *,
    num_frames: int = 8,
    prompt_depth: PromptDepth = "deep",
    drop_path: float = 0.0,
    prompt_dropout: float = 0.0,
) -> EZCLIP:
    """Add the modules of ``variant`` to a frozen CLIP; the backbone's modules are shared between models.

    Trainable on ViT-B/16 with 8 frames and deep prompts: 5,204,736 parameters, all else frozen.

    Args:
        backbone: a supported CLIP; its parameters are frozen here.
        variant: "clip" adds nothing, "base" and "motion" adapters, "prompts" and "ezclip" adapters and prompts.
        num_frames: T, 1 to 64.
        prompt_depth: prompts in every layer or in the first only; ignored by variants without prompts.
        drop_path: stochastic depth and attention dropout of the last vision layer, increasing linearly from 0
            (release: 0.1). Text layer k has the rate of vision layer k, as in the release: 0.0478 in L/14's last.
        prompt_dropout: dropout of the learned prompts (release: 0.1).

    Returns:
        The model in training mode and in the backbone's dtype.

    Raises:
        ConfigError: unknown variant, or T out of range.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"variant is {variant!r}; it must be one of {', '.join(VARIANTS)}.")
    if not 1 <= num_frames <= MAX_FRAMES:
        raise ConfigError(f"num_frames is {num_frames}; it must lie between 1 and {MAX_FRAMES}.")
    backbone.clip.requires_grad_(False)
    visual, text = backbone.clip.visual, backbone.text
    rates = np.linspace(0.0, drop_path, len(visual.transformer.resblocks)).tolist()

    def blocks(clip_blocks: nn.ModuleList, width: int, *, is_text: bool) -> list[Block]:
        modules = []
        for k, clip_block in enumerate(clip_blocks):
            p = rates[min(k, len(rates) - 1)]
            prompted = has_prompts(variant) and not is_text and (prompt_depth == "deep" or k == 0)
            prompt = None
            if prompted:
                prompt = TemporalPrompt(num_frames=num_frames, width=width, dropout=prompt_dropout, drop_path=p)
            modules.append(
                Block(
                    clip_block=clip_block,
                    adapter=nn.Identity() if variant == "clip" else Adapter(width),
                    prompt=prompt,
                    mix=Mix(causal=is_text, dropout=p),
                    drop_path=TokenDropPath(p),
                )
            )
        return modules

    image_blocks = blocks(visual.transformer.resblocks, visual.conv1.out_channels, is_text=False)
    text_blocks = blocks(text.transformer.resblocks, text.token_embedding.embedding_dim, is_text=True)
    return EZCLIP(
        vision=VisionEncoder(visual=visual, blocks=image_blocks),
        text=TextEncoder(text=text, blocks=text_blocks),
        variant=variant,
        num_frames=num_frames,
        **backbone_kwargs(backbone),
    )


def backbone_kwargs(backbone: Backbone) -> dict[str, Any]:
    """The arguments of ``EZCLIP`` that depend on the backbone alone."""
    text = backbone.text
    return {
        "logit_scale": backbone.clip.logit_scale,
        "vocab_size": text.token_embedding.num_embeddings,
        "context_length": text.positional_embedding.shape[0],
        "preprocessing": backbone.preprocessing,
    }


def plain_block(clip_block: Any, *, causal: bool) -> Block:
    """A block of plain CLIP; causal in the text tower."""
    mix, identity = Mix(causal=causal), nn.Identity()
    return Block(clip_block=clip_block, adapter=identity, prompt=None, mix=mix, drop_path=identity)


def plain_vision(backbone: Backbone) -> VisionEncoder:
    """The plain vision tower of CLIP, frozen."""
    backbone.clip.requires_grad_(False)
    visual = backbone.clip.visual
    return VisionEncoder(visual=visual, blocks=[plain_block(b, causal=False) for b in visual.transformer.resblocks])


def plain_text_blocks(backbone: Backbone) -> list[Block]:
    """The plain blocks of CLIP's text tower."""
    return [plain_block(block, causal=True) for block in backbone.text.transformer.resblocks]


@torch.no_grad()
def cast_frozen_to_bf16(model: nn.Module) -> None:
    """Store the frozen weights of linear layers, attention and convolutions in bfloat16.

    Autocast would cast them on each use: results are the same, memory is halved and time is saved. Norms and
    embeddings, which autocast leaves in float32, are not cast.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in module.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.bfloat16()
