"""The whole model: two towers and the comparison between them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import CLIP_PIXELS, PixelStatistics, Variant, has_prompts


class EZCLIP(nn.Module):
    """Encodes videos and class texts into one space. It computes in the dtype of its parameters, without autocast.

    Args:
        vision: the vision tower.
        text: the text tower.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        variant: which of the five models this is.
        num_frames: T; binding where there are prompts, the usual choice otherwise.
        image_size: S.
        vocab_size: number of token ids that the text tower knows.
        context_length: longest row of token ids.
        pixels: mean and standard deviation of its input.
    """

    def __init__(
        self,
        *,
        vision: VisionEncoder,
        text: TextEncoder,
        logit_scale: nn.Parameter,
        variant: Variant,
        num_frames: int,
        image_size: int,
        vocab_size: int,
        context_length: int,
        pixels: PixelStatistics = CLIP_PIXELS,
    ):
        super().__init__()
        self.vision, self.text, self.logit_scale = vision, text, logit_scale
        self.variant: Variant = variant
        self.num_frames, self.image_size = num_frames, image_size
        self.vocab_size, self.context_length = vocab_size, context_length
        self.pixels = pixels

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.vision.class_embedding.dtype

    def forward(self, pixels: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Both encoders at once, (B, T, E) and, with tokens, (C, E): the form that distributed training wraps."""
        return self.encode_video(pixels), None if tokens is None else self.encode_text(tokens)

    def normalise(self, views: Tensor) -> Tensor:
        """uint8 (..., 3, S, S) to float32 with the model's mean and standard deviation: what ``encode_video`` takes."""
        mean, std = (torch.tensor(v, device=views.device).view(3, 1, 1) for v in (self.pixels.mean, self.pixels.std))
        return (views.float() / 255 - mean) / std

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Frame embeddings, not normalised.

        Args:
            pixels: (B, T, 3, S, S) float, from ``normalise``. T is ``num_frames``
                where the variant has prompts and free otherwise.

        Returns:
            (B, T, E)

        Raises:
            ValueError: pixels of another shape.
        """
        S, T = self.image_size, self.num_frames
        fixed = has_prompts(self.variant)
        if pixels.ndim != 5 or pixels.shape[2:] != (3, S, S) or (fixed and pixels.shape[1] != T):
            wanted = f"(B, {T if fixed else 'T'}, 3, {S}, {S})"
            raise ValueError(f"pixels have shape {tuple(pixels.shape)}; this {self.variant} model takes {wanted}.")
        return self.vision(pixels.to(self.dtype))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings, not normalised.

        Args:
            tokens: (C, L) int64 ids of CLIP's byte-pair encoding, L at most ``context_length``.

        Returns:
            (C, E)
        """
        return self.text(tokens)

    def logits(self, frames: Tensor, texts: Tensor) -> Tensor:
        """Compare videos with class texts: exp(logit_scale) * cosine.

        The video embedding is the mean over T of the frame embeddings as they are (not normalised), then L2.

        Args:
            frames: (B, T, E) from ``encode_video``.
            texts: (C, E) from ``encode_text``.

        Returns:
            (B, C) float32, whatever the dtype of the embeddings.
        """
        videos = F.normalize(frames.float().mean(dim=1), dim=-1)
        return self.logit_scale.float().exp() * videos @ F.normalize(texts.float(), dim=-1).T

    def trainable(self) -> dict[str, nn.Parameter]:
        """Adapters and prompts by name: what is trained, and what a checkpoint stores."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def class_scores(logits: Tensor, C: int) -> Tensor:
    """Scores of classes with one text or more each: the mean over a class's texts of the softmax over the classes.

    Args:
        logits: (..., C*K), the K texts of a class side by side.
        C: classes.

    Returns:
        (..., C), rows that sum to 1.
    """
    return logits.unflatten(-1, (C, -1)).softmax(dim=-2).mean(dim=-1)
