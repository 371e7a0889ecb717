"""The interface of all models that compare videos with texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.text.tokens import tokenize
from ezclip.types import MapKind, Method, Preprocessing
from ezclip.video.transforms import prepare


@dataclass(frozen=True, eq=False)
class Video:
    """Encoded videos.

    Attributes:
        frames: (B, T, E) frame embeddings, not normalised; the video embedding is their mean.
        context: (B, N, E) further input of the class scores; None if they depend on frames and text alone.
    """

    frames: Tensor
    context: Tensor | None = None

    def float(self) -> Video:
        """Convert to float32."""
        return Video(self.frames.float(), None if self.context is None else self.context.float())

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Video:
        """Move to a device; ``non_blocking`` as in torch."""
        context = None if self.context is None else self.context.to(device, non_blocking=non_blocking)
        return Video(self.frames.to(device, non_blocking=non_blocking), context)

    def __getitem__(self, rows: slice | Tensor) -> Video:
        """A subset of the videos."""
        return Video(self.frames[rows], None if self.context is None else self.context[rows])

    @staticmethod
    def cat(videos: Sequence[Video]) -> Video:
        """Concatenate videos of one model."""
        contexts = [video.context for video in videos if video.context is not None]
        return Video(torch.cat([video.frames for video in videos]), torch.cat(contexts) if contexts else None)

    def split_frames(self) -> Video:
        """Each frame as a video: B*T videos of one frame, with the context of the whole video."""
        T = self.frames.shape[1]
        context = None if self.context is None else self.context.repeat_interleave(T, dim=0)
        return Video(self.frames.flatten(0, 1).unsqueeze(1), context)

    def mean_frame(self) -> Video:
        """Replace the frames by their mean, which has the same scores."""
        return replace(self, frames=self.frames.mean(dim=1, keepdim=True))


class VideoText(nn.Module, ABC):
    """Encodes videos and class texts and compares them, in the dtype of its parameters (no autocast).

    Attributes:
        variant: name of the method.
        num_frames: T; a default if the model is ``order_blind``, mandatory otherwise.
        preprocessing: how frames are resized, cropped and normalised.
        vocab_size: size of the text tower's vocabulary.
        context_length: maximum number of tokens of a text.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        grid: cells of a map along one side of the input.
        layers: number of blocks whose attention can be traced.
        min_texts: minimum number of texts for ``scores``.
        unsupported_maps: kinds of maps that the model does not support, each with the reason as a clause.
    """

    variant: Method
    num_frames: int
    preprocessing: Preprocessing
    vocab_size: int
    context_length: int
    logit_scale: nn.Parameter
    grid: int
    layers: int = 0
    min_texts: int = 1
    unsupported_maps: Mapping[MapKind, str] = {}

    @property
    @abstractmethod
    def order_blind(self) -> bool:
        """Whether frames are encoded independently and averaged, so that scores cannot depend on their order."""

    @property
    def common_space(self) -> bool:
        """Whether text embeddings do not depend on the video, so that both can be indexed."""
        return True

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the computation."""
        return next(p.dtype for name, p in self.named_parameters() if name != "logit_scale")

    @property
    def image_size(self) -> int:
        """S, the input size in pixels."""
        return self.preprocessing.size

    def preprocess(self, images: np.ndarray) -> Tensor:
        """Resize and crop frames, uint8 (T, H, W, 3) -> uint8 (T, 3, S, S)."""
        return prepare(images, self.preprocessing)

    def normalise(self, views: Tensor) -> Tensor:
        """Normalise uint8 (..., 3, S, S) to the float32 input of ``encode``."""
        mean, std = _statistics(self.preprocessing, views.device)
        return (views.float() / 255 - mean) / std

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids, int64 (C, L), and the sentences that were truncated to ``context_length``."""
        return tokenize(sentences, self.context_length)

    def trim_padding(self, tokens: Tensor) -> Tensor:
        """Remove columns of token ids (C, L), on the CPU, that do not affect the embeddings of ``encode_text``."""
        return tokens

    def encode(self, pixels: Tensor) -> Video:
        """Encode videos (B, T, 3, S, S) float, from ``normalise``; raises ValueError for another shape."""
        return Video(self.encode_video(pixels))

    @abstractmethod
    def encode_video(self, pixels: Tensor) -> Tensor:
        """The frame embeddings of ``encode``, (B, T, E)."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings (C, E), not normalised, of ids (C, L) from ``tokenize``, L at most ``context_length``."""

    def texts_for(self, video: Video, texts: Tensor) -> Tensor:
        """Condition text embeddings (C, E) on the video: (B, C, E), or (C, E) if they do not depend on it."""
        return texts

    def scores(self, video: Video, texts: Tensor) -> Tensor:
        """Compare videos with class texts: exp(logit_scale) * cosine.

        Args:
            video: B videos.
            texts: (C, E) from ``encode_text``.

        Returns:
            (B, C) logits, always float32.
        """
        return self.logit_scale.float().exp() * self.cosines(video, texts)

    def cosines(self, video: Video, texts: Tensor) -> Tensor:
        """The cosines of ``scores``, (B, C) float32."""
        videos, texts = video_embeddings(video.frames), F.normalize(self.texts_for(video, texts).float(), dim=-1)
        return videos @ texts.T if texts.ndim == 2 else torch.einsum("be,bce->bc", videos, texts)

    def _check(self, pixels: Tensor) -> None:
        S, T, fixed = self.image_size, self.num_frames, not self.order_blind
        if pixels.ndim != 5 or pixels.shape[2:] != (3, S, S) or (fixed and pixels.shape[1] != T):
            expected = f"(B, {T if fixed else 'T'}, 3, {S}, {S})"
            raise ValueError(f"pixels have shape {tuple(pixels.shape)}; this {self.variant} model takes {expected}.")


@cache
def _statistics(preprocessing: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3, 1, 1), cached on the device because copying them synchronises."""
    with torch.inference_mode(False):
        mean, std = torch.tensor([preprocessing.mean, preprocessing.std], device=device)[..., None, None]
    return mean, std


def video_embeddings(frames: Tensor) -> Tensor:
    """L2-normalised mean (B, E), float32, of unnormalised frame embeddings (B, T, E)."""
    return F.normalize(frames.float().mean(dim=1), dim=-1)


def class_scores(logits: Tensor, C: int) -> Tensor:
    """Class scores averaged over prompt texts: a softmax over the classes for each text, then the mean over texts.

    Args:
        logits: (..., C*K), with the K texts of a class adjacent.
        C: number of classes.

    Returns:
        (..., C), rows sum to 1.
    """
    return logits.unflatten(-1, (C, -1)).softmax(dim=-2).mean(dim=-1)
