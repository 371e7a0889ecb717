"""VideoPrism's video and text encoders (Zhao et al., arXiv 2402.13217) through transformers, 5.13 or later."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.errors import CheckpointError
from ezclip.model.interface import VideoText
from ezclip.types import Preprocessing

TEMPERATURE = 0.01  # logits are cosine / 0.01; the model has no scale of its own, so scores are not calibrated
PROMPT = "a video of {}."  # of the authors' demonstration


class VideoPrism(VideoText):
    """A ViT over patches of a frame, one over frames of a patch, and a pool that reads all T*N tokens.

    The model has no frame embeddings: a frame's is what the pool takes from it, carried through the norm of the pooled
    vector as an affine map, so that the mean over T is the video embedding. Pixels are in [0, 1].

    Args:
        clip: transformers' ``VideoPrismClipModel``.
        tokenizer: its sentencepiece tokenizer.
    """

    def __init__(self, clip: Any, tokenizer: Any):
        super().__init__()
        self.clip, self.tokenizer = clip.requires_grad_(False), tokenizer
        video, text = clip.config.vision_config, clip.config.text_config
        size = video.image_size if isinstance(video.image_size, int) else video.image_size[0]
        self.variant, self.num_frames, self.grid = "videoprism", video.num_frames, size // video.tubelet_size[-1]
        self.preprocessing = Preprocessing(size, resize="squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.vocab_size, self.context_length = text.vocab_size, text.max_position_embeddings
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)), requires_grad=False)
        self.lacks = {
            "attention": "it has no class token, and its pool reads all frames at once",
            "blocks": "it needs the gradients of EZ-CLIP's own blocks",
        }

    @property
    def order_blind(self) -> bool:
        """Never: its second ViT runs over the frames."""
        return False

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids of the model's own tokenizer, int64 (C, L), padded, and the truncated sentences."""
        if not sentences:
            return torch.empty(0, self.context_length, dtype=torch.int64), []
        whole = self.tokenizer(sentences).input_ids
        cut = [s for s, ids in zip(sentences, whole, strict=True) if len(ids) > self.context_length]
        padded = {"padding": "max_length", "max_length": self.context_length, "truncation": True}
        return self.tokenizer(sentences, **padded, return_tensors="pt").input_ids, cut

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit text embeddings (C, E) of ids (C, L); padding is not attended to."""
        mask = (tokens != self.tokenizer.pad_token_id).long()
        return self.clip.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings (B, T, E), whose mean is a unit vector, of pixels (B, T, 3, S, S) from ``normalise``."""
        self._check(pixels)
        return torch.cat(
            [self._frames(video) for video in pixels.to(self.dtype).split(1)]
        )  # attention over T*N tokens needs memory

    def _frames(self, pixels: Tensor) -> Tensor:
        found, head, norm = self.clip.get_video_features(pixels), *self._pool
        tokens, T = found.last_hidden_state, pixels.shape[1]  # (B, T*N, D)
        weights = head(tokens)[1].transpose(2, 3)  # (B, heads, T*N, 1)
        values = head.v_proj(tokens).unflatten(-1, (weights.shape[1], -1)).transpose(1, 2)  # (B, heads, T*N, d)
        taken = (weights * values).unflatten(2, (T, -1)).sum(dim=3).transpose(1, 2).flatten(2)
        x = T * F.linear(taken, head.o_proj.weight) + head.o_proj.bias  # (B, T, E), its mean is the pool's answer
        mean = x.mean(dim=1, keepdim=True)
        unit = found.pooler_output.norm(dim=-1, keepdim=True) / norm(mean).norm(dim=-1, keepdim=True)
        gain = unit * (norm.weight + 1) * (mean.var(dim=-1, keepdim=True, unbiased=False) + norm.eps).rsqrt()
        return found.pooler_output + gain * (x - mean)

    @property
    def _pool(self) -> tuple[Any, Any]:
        return self.clip.video_model.head, self.clip.video_model.head_layernorm


def load_videoprism(folder: Path, name: str) -> VideoPrism:
    """The model in a folder that transformers wrote; ``name`` is for messages.

    Raises:
        CheckpointError: transformers is missing or too old, or files are missing or damaged.
    """
    try:
        from transformers import VideoPrismClipModel, VideoPrismTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise CheckpointError(
            f'{name} needs the package transformers, 5.13 or later: pip install "ezclip[local]".'
        ) from error
    logging.disable_progress_bar()
    read: Any = VideoPrismClipModel.from_pretrained
    try:
        clip, found = read(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = VideoPrismTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and safetensors raise many kinds
        raise CheckpointError(f"{name} has damaged files ({type(error).__name__}); fetch it again.") from error
    if wrong := sorted(str(key) for keys in found.values() for key in keys):
        raise CheckpointError(f"{name} does not fit its model: {len(wrong)} tensors, first {wrong[0]}; fetch it again.")
    return VideoPrism(clip.eval(), tokenizer)
