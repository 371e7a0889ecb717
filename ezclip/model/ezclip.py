"""EZ-CLIP: two towers of CLIP with what the methods add between and after their blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.interface import Video, VideoText
from ezclip.model.text import TextEncoder, trimmed
from ezclip.model.vision import VisionEncoder
from ezclip.types import Method, Preprocessing, has_prompts


class EZCLIP(VideoText):
    """EZ-CLIP and, of the same parts, the methods of ``model.rivals``.

    Args:
        vision: the vision tower.
        text: the text tower.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        variant: which of the five models this is, or the name of a rival method.
        num_frames: T.
        vocab_size: number of token ids that the text tower knows.
        context_length: longest row of token ids.
        preprocessing: from a frame to its input.
        temporal: what lets the frame embeddings of a video see one another, if the method has such a part.
        settings: further sizes that rebuild a rival's parts.
    """

    def __init__(
        self,
        *,
        vision: VisionEncoder,
        text: TextEncoder,
        logit_scale: nn.Parameter,
        variant: Method,
        num_frames: int,
        vocab_size: int,
        context_length: int,
        preprocessing: Preprocessing,
        temporal: FrameTransformer | None = None,
        settings: dict[str, int] | None = None,
    ):
        super().__init__()
        self.vision, self.text, self.logit_scale = vision, text, logit_scale
        self.variant, self.num_frames, self.preprocessing = variant, num_frames, preprocessing
        self.vocab_size, self.context_length = vocab_size, context_length
        self.temporal, self.settings = temporal, settings or {}
        self.grid, self.layers = vision.grid, len(vision.blocks)
        self._added = list(self.trainable())

    @property
    def order_blind(self) -> bool:
        """Whether the method has nothing that passes from frame to frame."""
        return self.temporal is None and not has_prompts(self.variant)

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.vision.class_embedding.dtype

    def forward(self, pixels: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Both encoders at once, (B, T, E) and, with tokens, (C, E): the form that distributed training wraps."""
        return self.encode_video(pixels), None if tokens is None else self.encode_text(tokens)

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings, not normalised.

        Args:
            pixels: (B, T, 3, S, S) float, from ``normalise``. T is free where the
                model is ``order_blind`` and ``num_frames`` otherwise.

        Returns:
            (B, T, E)

        Raises:
            ValueError: pixels of another shape.
        """
        self._check(pixels)
        return self.across(self.vision(pixels.to(self.dtype)))

    def across(self, frames: Tensor) -> Tensor:
        """Embeddings of single frames (B, T, E) after the transformer over frames, if the method has one."""
        return frames if self.temporal is None else self.temporal(frames)

    def trimmed(self, tokens: Tensor) -> Tensor:
        """Token ids (C, L) in main memory, cut after the last end-of-text."""
        return trimmed(tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings, not normalised.

        Args:
            tokens: (C, L) int64 ids of CLIP's byte-pair encoding, L at most ``context_length``.

        Returns:
            (C, E)
        """
        return self.text(tokens)

    def logits(self, frames: Tensor, texts: Tensor) -> Tensor:
        """``scores`` of frame embeddings (B, T, E), for methods whose texts do not depend on the video: (B, C)."""
        return self.scores(Video(frames), texts)

    def added(self) -> dict[str, nn.Parameter]:
        """Adapters, prompts and a rival's own parts by name: what is added to CLIP, and what an adapter file stores."""
        return {name: self.get_parameter(name) for name in self._added}

    def trainable(self) -> dict[str, nn.Parameter]:
        """What is trained, by name: what is added, and more where ``model.rivals.build.unfreeze`` says so."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}
