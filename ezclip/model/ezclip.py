"""EZ-CLIP: CLIP's two towers with the modules that each method adds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.interface import Video, VideoText
from ezclip.model.text import TextEncoder, trim_padding
from ezclip.model.vision import VisionEncoder
from ezclip.types import Method, Preprocessing, has_prompts


class EZCLIP(VideoText):
    """EZ-CLIP, and the methods of ``model.rivals`` that are built from the same modules.

    Args:
        vision: the vision tower.
        text: the text tower.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        variant: which of the five models this is, or the name of a rival method.
        num_frames: T.
        vocab_size: size of the text tower's vocabulary.
        context_length: maximum number of tokens of a text.
        preprocessing: how frames are resized, cropped and normalised.
        temporal: transformer over the frame embeddings of a video, if the method has one.
        settings: further sizes of a rival's modules, needed to rebuild them.
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
        self._added = list(self.trainable_parameters())

    @property
    def order_blind(self) -> bool:
        """Whether the method exchanges no information between frames."""
        return self.temporal is None and not has_prompts(self.variant)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the computation."""
        return self.vision.class_embedding.dtype

    def forward(self, pixels: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Both encoders in one call, as distributed training requires: (B, T, E) and, with tokens, (C, E)."""
        return self.encode_video(pixels), None if tokens is None else self.encode_text(tokens)

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings, not normalised.

        Args:
            pixels: (B, T, 3, S, S) float, from ``normalise``. T is arbitrary if the model is ``order_blind``, else
                ``num_frames``.

        Returns:
            (B, T, E)

        Raises:
            ValueError: pixels of another shape.
        """
        self._check(pixels)
        return self.apply_temporal(self.vision(pixels.to(self.dtype)))

    def apply_temporal(self, frames: Tensor) -> Tensor:
        """Pass frame embeddings (B, T, E) through the transformer over frames, if the method has one."""
        return frames if self.temporal is None else self.temporal(frames)

    def trim_padding(self, tokens: Tensor) -> Tensor:
        """Cut token ids (C, L), on the CPU, after the last end-of-text."""
        return trim_padding(tokens)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings, not normalised.

        Args:
            tokens: (C, L) int64 ids of CLIP's byte-pair encoding, L at most ``context_length``.

        Returns:
            (C, E)
        """
        return self.text(tokens)

    def logits(self, frames: Tensor, texts: Tensor) -> Tensor:
        """``scores`` (B, C) of frame embeddings (B, T, E), for methods whose texts do not depend on the video."""
        return self.scores(Video(frames), texts)

    def added_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters added to CLIP, by name: adapters, prompts, a rival's modules. An adapter file holds them."""
        return {name: self.get_parameter(name) for name in self._added}

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name: the added ones, and those that ``rivals.build.unfreeze`` unfreezes."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}
