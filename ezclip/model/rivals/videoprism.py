"""VideoPrism's video and text encoders (Zhao et al., arXiv 2402.13217), with transformers 5.13 or later."""

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

TEMPERATURE = 0.01  # logits are cosine / 0.01; the model has no logit scale, so scores are not calibrated
PROMPT = "a video of {}."  # from the authors' demo


class VideoPrism(VideoText):
    """A spatial ViT over the patches of each frame, a temporal one over frames, and attention pooling over T*N tokens.

    The model has no frame embeddings. Here a frame's embedding is its contribution to the pooled vector, with the layer
    norm as an affine map fixed by the pooled vector, so that the mean over T is the video embedding. Pixels are in
    [0, 1].

    Args:
        clip: transformers' ``VideoPrismClipModel``.
        tokenizer: its SentencePiece tokenizer.
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
        self.unsupported_maps = {
            "attention": "it has no class token, and its pool reads all frames at once",
            "blocks": "it needs the gradients of EZ-CLIP's own blocks",
        }

    @property
    def order_blind(self) -> bool:
        """Never: its second ViT attends across frames."""
        return False

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Padded token ids of the model's tokenizer, int64 (C, L), and the sentences that were truncated."""
        if not sentences:
            return torch.empty(0, self.context_length, dtype=torch.int64), []
        full_ids = self.tokenizer(sentences).input_ids
        truncated = [s for s, ids in zip(sentences, full_ids, strict=True) if len(ids) > self.context_length]
        options = {"padding": "max_length", "max_length": self.context_length, "truncation": True}
        return self.tokenizer(sentences, **options, return_tensors="pt").input_ids, truncated

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit text embeddings (C, E) of ids (C, L); padding is not attended to."""
        mask = (tokens != self.tokenizer.pad_token_id).long()
        return self.clip.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings (B, T, E), whose mean is a unit vector, of pixels (B, T, 3, S, S) from ``normalise``."""
        self._check(pixels)
        videos = pixels.to(self.dtype).split(1)  # one at a time: attention over T*N tokens needs memory
        return torch.cat([self._frames(video) for video in videos])

    def _frames(self, pixels: Tensor) -> Tensor:
        output = self.clip.get_video_features(pixels)
        head, norm = self.clip.video_model.head, self.clip.video_model.head_layernorm
        tokens, T = output.last_hidden_state, pixels.shape[1]  # (B, T*N, D)
        weights = head(tokens)[1].transpose(2, 3)  # (B, heads, T*N, 1)
        values = head.v_proj(tokens).unflatten(-1, (weights.shape[1], -1)).transpose(1, 2)  # (B, heads, T*N, d)
        pooled = (weights * values).unflatten(2, (T, -1)).sum(dim=3).transpose(1, 2).flatten(2)
        x = T * F.linear(pooled, head.o_proj.weight) + head.o_proj.bias  # (B, T, E), whose mean is the pool's output
        mean = x.mean(dim=1, keepdim=True)
        unit = output.pooler_output.norm(dim=-1, keepdim=True) / norm(mean).norm(dim=-1, keepdim=True)
        gain = unit * (norm.weight + 1) * (mean.var(dim=-1, keepdim=True, unbiased=False) + norm.eps).rsqrt()
        return output.pooler_output + gain * (x - mean)


def load_videoprism(folder: Path, name: str) -> VideoPrism:
    """Load the model from a folder in transformers' format; ``name`` is for error messages.

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
    from_pretrained: Any = VideoPrismClipModel.from_pretrained
    try:
        clip, loading_info = from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = VideoPrismTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and safetensors raise many exception classes
        raise CheckpointError(f"{name} has damaged files ({type(error).__name__}); fetch it again.") from error
    if wrong := sorted(str(key) for keys in loading_info.values() for key in keys):
        raise CheckpointError(f"{name} does not fit its model: {len(wrong)} tensors, first {wrong[0]}; fetch it again.")
    return VideoPrism(clip.eval(), tokenizer)
