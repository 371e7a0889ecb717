"""The whole model: two towers and the comparison between them."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import CLIP_PIXELS, Method, PixelStatistics, has_prompts


@cache
def _statistics(pixels: PixelStatistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3, 1, 1) on a device, copied there once, since such a copy waits for the device."""
    with torch.inference_mode(False):
        mean, std = torch.tensor([pixels.mean, pixels.std], device=device)[..., None, None]
    return mean, std


class EZCLIP(nn.Module):
    """Encodes videos and class texts into one space. It computes in the dtype of its parameters, without autocast.

    EZ-CLIP and, of the same parts, the methods of ``model.rivals``.

    Args:
        vision: the vision tower.
        text: the text tower.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        variant: which of the five models this is, or the name of a rival method.
        num_frames: T; the usual choice where the model is ``order_blind``, binding otherwise.
        image_size: S.
        vocab_size: number of token ids that the text tower knows.
        context_length: longest row of token ids.
        pixels: mean and standard deviation of its input.
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
        image_size: int,
        vocab_size: int,
        context_length: int,
        pixels: PixelStatistics = CLIP_PIXELS,
        temporal: FrameTransformer | None = None,
        settings: dict[str, int] | None = None,
    ):
        super().__init__()
        self.vision, self.text, self.logit_scale = vision, text, logit_scale
        self.variant: Method = variant
        self.num_frames, self.image_size = num_frames, image_size
        self.vocab_size, self.context_length = vocab_size, context_length
        self.pixels, self.temporal, self.settings = pixels, temporal, settings or {}

    @property
    def order_blind(self) -> bool:
        """Whether frames are encoded one by one and averaged, so that no score can depend on their order."""
        return self.temporal is None and not has_prompts(self.variant)

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.vision.class_embedding.dtype

    def forward(self, pixels: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Both encoders at once, (B, T, E) and, with tokens, (C, E): the form that distributed training wraps."""
        return self.encode_video(pixels), None if tokens is None else self.encode_text(tokens)

    def normalise(self, views: Tensor) -> Tensor:
        """uint8 (..., 3, S, S) to float32 with the model's mean and standard deviation: what ``encode_video`` takes."""
        mean, std = _statistics(self.pixels, views.device)
        return (views.float() / 255 - mean) / std

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
        S, T = self.image_size, self.num_frames
        fixed = not self.order_blind
        if pixels.ndim != 5 or pixels.shape[2:] != (3, S, S) or (fixed and pixels.shape[1] != T):
            wanted = f"(B, {T if fixed else 'T'}, 3, {S}, {S})"
            raise ValueError(f"pixels have shape {tuple(pixels.shape)}; this {self.variant} model takes {wanted}.")
        return self.across(self.vision(pixels.to(self.dtype)))

    def across(self, frames: Tensor) -> Tensor:
        """Embeddings of single frames (B, T, E) after the transformer over frames, if the method has one."""
        return frames if self.temporal is None else self.temporal(frames)

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

        Args:
            frames: (B, T, E) from ``encode_video``.
            texts: (C, E) from ``encode_text``.

        Returns:
            (B, C) float32, whatever the dtype of the embeddings.
        """
        videos = video_embeddings(frames)
        return self.logit_scale.float().exp() * videos @ F.normalize(texts.float(), dim=-1).T

    def trainable(self) -> dict[str, nn.Parameter]:
        """Adapters, prompts and a rival's own parts by name: what is added to CLIP, and what a checkpoint stores."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def video_embeddings(frames: Tensor) -> Tensor:
    """Frame embeddings (B, T, E) as they are, not normalised -> their mean over T, then L2: (B, E) float32."""
    return F.normalize(frames.float().mean(dim=1), dim=-1)


def class_scores(logits: Tensor, C: int) -> Tensor:
    """Scores of classes with one text or more each: the mean over a class's texts of the softmax over the classes.

    Args:
        logits: (..., C*K), the K texts of a class side by side.
        C: classes.

    Returns:
        (..., C), rows that sum to 1.
    """
    return logits.unflatten(-1, (C, -1)).softmax(dim=-2).mean(dim=-1)
