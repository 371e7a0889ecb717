"""Any open_clip model (SigLIP 2, PE-Core, MobileCLIP 2, EVA-02) applied to videos frame by frame."""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from ezclip.errors import CheckpointError
from ezclip.model.backbone import Backbone
from ezclip.model.interface import VideoText

_BATCH = 64  # frames in one forward pass
_GRID = 8  # side of a map for models without patches


class FramewiseCLIP(VideoText):
    """Each frame through the image tower, v = mean over T of the frame embeddings, logits exp(logit_scale) * cosine.

    Deviation: SigLIP's bias, which is the same for every class, is omitted; it affects neither ranking nor softmax.

    Args:
        backbone: open_clip's model with ``encode_image`` and ``encode_text``, shared.
        tokenizer: open_clip's ``HFTokenizer`` of the model; None for CLIP's byte-pair encoding.
        num_frames: the default T; any other number of frames is accepted.
    """

    def __init__(self, backbone: Backbone, *, tokenizer: Any, num_frames: int = 8):
        super().__init__()
        self.clip, self.tokenizer = backbone.clip, tokenizer
        self.logit_scale: nn.Parameter = self.clip.logit_scale
        self.variant, self.num_frames, self.preprocessing = "clip", num_frames, backbone.preprocessing
        self.vocab_size = backbone.config["text_cfg"].get("vocab_size") or self.clip.vocab_size
        self.context_length: int = self.clip.context_length
        self.grid, self.layers = _grid(self.clip.visual) or _GRID, len(self.blocks)
        self.unsupported_maps = {"blocks": "it needs the gradients of EZ-CLIP's own blocks"}
        if not self.layers:
            self.unsupported_maps["attention"] = "its image tower has no attention from an answer to the patches"

    @property
    def blocks(self) -> list[Any]:
        """Blocks of a timm ViT with class-token or attention pooling; empty for other towers."""
        trunk: Any = getattr(self.clip.visual, "trunk", None)
        if not hasattr(trunk, "blocks") or not _grid(self.clip.visual) or trunk.num_prefix_tokens > 1:
            return []
        readable = trunk.global_pool == "token" or getattr(trunk, "attn_pool", None) is not None
        observable = all(hasattr(getattr(block, "attn", None), "attn_drop") for block in trunk.blocks)
        return [*trunk.blocks] if readable and observable else []

    @property
    def order_blind(self) -> bool:
        """Always: frames are encoded independently."""
        return True

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids of the model's tokenizer, int64 (C, L), and the sentences that were truncated."""
        if not isinstance(self.tokenizer, open_clip.tokenizer.HFTokenizer):
            return super().tokenize(sentences)
        cleaned = [self.tokenizer.clean_fn(sentence) for sentence in sentences]
        full_ids = self.tokenizer.tokenizer(cleaned).input_ids if sentences else []
        truncated = [s for s, ids in zip(sentences, full_ids, strict=True) if len(ids) > self.context_length]
        ids = self.tokenizer(sentences, self.context_length) if sentences else torch.empty(0, self.context_length)
        return ids.long(), truncated

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings (B, T, E), not normalised, of pixels (B, T, 3, S, S) from ``normalise``."""
        self._check(pixels)
        frames = pixels.to(next(self.clip.visual.parameters()).dtype).flatten(0, 1)
        embeddings = [self.clip.encode_image(batch) for batch in frames.split(_BATCH)]
        return torch.cat(embeddings).unflatten(0, pixels.shape[:2])

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings (C, E), not normalised, of ids (C, L)."""
        return self.clip.encode_text(tokens)


def _grid(visual: nn.Module) -> int | None:
    """Patches along one side in a ViT of open_clip or timm; None for towers without patches."""
    embed = getattr(getattr(visual, "trunk", visual), "patch_embed", visual)
    size = getattr(embed, "grid_size", None)
    return size[0] if size else None


def build_framewise(backbone: Backbone) -> FramewiseCLIP:
    """Wrap an open_clip model.

    Raises:
        CheckpointError: its tokenizer is not on this machine, or needs a package that is missing.
    """
    try:
        text = backbone.config["text_cfg"]
        name = text.get("hf_tokenizer_name")
        options = dict(text.get("tokenizer_kwargs", {}))
        length = text.get("context_length", backbone.clip.context_length)
        tokenizer = open_clip.tokenizer.HFTokenizer(name, context_length=length, **options) if name else None
    except ImportError as error:
        raise CheckpointError(
            f"The tokenizer of {backbone.id} needs the package transformers: pip install ezclip[local]."
        ) from error
    except Exception as error:  # transformers and huggingface_hub raise many exception classes
        raise CheckpointError(
            f"The tokenizer of {backbone.id} is not on this machine ({type(error).__name__}); fetch the model with "
            "ezclip get."
        ) from error
    backbone.clip.requires_grad_(False)
    return FramewiseCLIP(backbone, tokenizer=tokenizer)
