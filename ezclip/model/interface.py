"""What any model that compares videos with texts offers, on either side of a comparison."""

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
        context: (B, N, E) what the score of a class further depends on; None where frames and text are all.
    """

    frames: Tensor
    context: Tensor | None = None

    def float(self) -> Video:
        """The same in float32."""
        return Video(self.frames.float(), None if self.context is None else self.context.float())

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Video:
        """The same on a device; ``non_blocking`` as in torch."""
        context = None if self.context is None else self.context.to(device, non_blocking=non_blocking)
        return Video(self.frames.to(device, non_blocking=non_blocking), context)

    def __getitem__(self, rows: slice | Tensor) -> Video:
        """Some of the videos."""
        return Video(self.frames[rows], None if self.context is None else self.context[rows])

    @staticmethod
    def cat(videos: Sequence[Video]) -> Video:
        """Videos of one model, one after another."""
        contexts = [video.context for video in videos if video.context is not None]
        return Video(torch.cat([video.frames for video in videos]), torch.cat(contexts) if contexts else None)

    def alone(self) -> Video:
        """Each frame as a video of its own: B*T videos of one frame, in the context of the whole."""
        T = self.frames.shape[1]
        context = None if self.context is None else self.context.repeat_interleave(T, dim=0)
        return Video(self.frames.flatten(0, 1).unsqueeze(1), context)

    def averaged(self) -> Video:
        """The mean of the frames in their place, which has the same scores."""
        return replace(self, frames=self.frames.mean(dim=1, keepdim=True))


class VideoText(nn.Module, ABC):
    """Encodes videos and class texts, and compares them; computes in the dtype of its parameters, without autocast.

    Attributes:
        variant: which method it is.
        num_frames: T; the usual choice where the model is ``order_blind``, binding otherwise.
        preprocessing: from a frame to its input.
        vocab_size: number of token ids of its text tower.
        context_length: longest row of token ids.
        logit_scale: scalar parameter; logits are exp(logit_scale) * cosine.
        grid: cells of a map along one side of the input.
        layers: blocks whose attention can be followed; 0 without.
        fewest: texts that ``scores`` compares a video with at least.
        lacks: kinds of maps that it cannot have, each with the reason as a clause.
    """

    variant: Method
    num_frames: int
    preprocessing: Preprocessing
    vocab_size: int
    context_length: int
    logit_scale: nn.Parameter
    grid: int
    layers: int = 0
    fewest: int = 1
    lacks: Mapping[MapKind, str] = {}

    @property
    @abstractmethod
    def order_blind(self) -> bool:
        """Whether frames are encoded one by one and averaged, so that no score can depend on their order."""

    @property
    def common_space(self) -> bool:
        """Whether a text has one embedding for all videos, so that both can be indexed."""
        return True

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return next(p.dtype for name, p in self.named_parameters() if name != "logit_scale")

    @property
    def image_size(self) -> int:
        """S, the side of its input in pixels."""
        return self.preprocessing.size

    def view(self, images: np.ndarray) -> Tensor:
        """What the model sees of frames, uint8 (T, H, W, 3) -> uint8 (T, 3, S, S)."""
        return prepare(images, self.preprocessing)

    def normalise(self, views: Tensor) -> Tensor:
        """uint8 (..., 3, S, S) to float32 with the model's mean and standard deviation: what ``encode`` takes."""
        mean, std = _statistics(self.preprocessing, views.device)
        return (views.float() / 255 - mean) / std

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids, int64 (C, L), and the sentences that were truncated to ``context_length``."""
        return tokenize(sentences, self.context_length)

    def trimmed(self, tokens: Tensor) -> Tensor:
        """Token ids (C, L) in main memory without the columns that change no embedding of ``encode_text``."""
        return tokens

    def encode(self, pixels: Tensor) -> Video:
        """Videos (B, T, 3, S, S) float, from ``normalise``; raises ValueError for another shape."""
        return Video(self.encode_video(pixels))

    @abstractmethod
    def encode_video(self, pixels: Tensor) -> Tensor:
        """The frame embeddings of ``encode`` alone, (B, T, E)."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text embeddings (C, E), not normalised, of ids (C, L) from ``tokenize``, L at most ``context_length``."""

    def texts_for(self, video: Video, texts: Tensor) -> Tensor:
        """The embeddings (C, E) or (B, C, E) that videos are compared with, from those of ``encode_text``."""
        return texts

    def scores(self, video: Video, texts: Tensor) -> Tensor:
        """Compare videos with class texts: exp(logit_scale) * cosine.

        Args:
            video: B videos.
            texts: (C, E) from ``encode_text``.

        Returns:
            (B, C) logits, float32, whatever the dtype of the embeddings.
        """
        return self.logit_scale.float().exp() * self.cosines(video, texts)

    def cosines(self, video: Video, texts: Tensor) -> Tensor:
        """The cosines of ``scores``, (B, C) float32."""
        seen, read = video_embeddings(video.frames), F.normalize(self.texts_for(video, texts).float(), dim=-1)
        return seen @ read.T if read.ndim == 2 else torch.einsum("be,bce->bc", seen, read)

    def _check(self, pixels: Tensor) -> None:
        S, T, fixed = self.image_size, self.num_frames, not self.order_blind
        if pixels.ndim != 5 or pixels.shape[2:] != (3, S, S) or (fixed and pixels.shape[1] != T):
            wanted = f"(B, {T if fixed else 'T'}, 3, {S}, {S})"
            raise ValueError(f"pixels have shape {tuple(pixels.shape)}; this {self.variant} model takes {wanted}.")


@cache
def _statistics(seen: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3, 1, 1) on a device, copied there once, since such a copy waits for the device."""
    with torch.inference_mode(False):
        mean, std = torch.tensor([seen.mean, seen.std], device=device)[..., None, None]
    return mean, std


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
