"""Value types that the whole package shares, frozen and validated at construction.

Dimensions: B videos, T frames, N patches, D width, E embedding, C classes, L text tokens, K layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

Variant = Literal["clip", "base", "motion", "prompts", "ezclip"]  # the five models of the paper
Rival = Literal["vificlip", "actionclip", "a5", "xclip", "mote"]  # other methods, see ``model.rivals``
NativeMethod = Literal[Variant, Rival]  # implemented here on CLIP's blocks
Method = Literal[NativeMethod, "videoprism"]
MapKind = Literal["score", "attention", "blocks"]  # requirement of an explanation method on the model
PromptDepth = Literal["deep", "shallow", "none"]
Reading = Literal["paper", "released", "calibrated"]

VARIANTS: tuple[Variant, ...] = get_args(Variant)
RIVALS: tuple[Rival, ...] = get_args(Rival)
Document = dict[str, Any]  # a JSON object, as returned by ``as_json`` methods
Keywords = dict[str, Any]  # keyword arguments
WITHIN_PAIRS = "chiral accuracy (within pairs)"  # the literature's term and this project's; chance 50 %
METHOD_TITLES: dict[Method, str] = {
    "clip": "plain CLIP",
    "base": "adapters only",
    "motion": "adapters, motion loss",
    "prompts": "adapters and temporal prompts",
    "ezclip": "adapters, temporal prompts, motion loss",
    "vificlip": "ViFi-CLIP",
    "actionclip": "ActionCLIP",
    "a5": "A5 (Efficient-Prompt)",
    "xclip": "X-CLIP",
    "mote": "MoTE",
    "videoprism": "VideoPrism",
}


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of frames into model inputs.

    Attributes:
        size: S, the side of the input in pixels.
        resize: "release" resizes the short side to S * 256 / 224 and takes the S x S centre crop, as EZ-CLIP's release
            does; "shortest" resizes it to S; "squash" resizes the whole frame to S x S, ignoring its aspect ratio.
        interpolation: of the resize, with antialiasing.
        mean: per channel, subtracted from RGB in [0, 1].
        std: per channel, divides the result.
    """

    size: int
    resize: Literal["release", "shortest", "squash"] = "release"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def short_side(self) -> int | None:
        """Short side before the crop; None without a crop."""
        return {"release": stored_size(self.size), "shortest": self.size, "squash": None}[self.resize]


IMAGENET_PIXELS = {"interpolation": "bilinear", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def has_prompts(variant: Method) -> bool:
    """Whether ``variant`` has temporal visual prompts."""
    return variant in ("prompts", "ezclip")


def stored_size(image_size: int) -> int:
    """Short side to which frames are resized before the crop: S * 256 / 224, as in the release (256 for 224)."""
    return image_size * 256 // 224


def visible_box(height: int, width: int, preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the crop of a frame that is the model input, see ``video.transforms.prepare``."""
    short, image_size = preprocessing.short_side, preprocessing.size
    if short is None:
        return 0.0, 0.0, float(width), float(height)
    rows, columns = (short, short * width // height) if height <= width else (short * height // width, short)
    top, left = round((rows - image_size) / 2), round((columns - image_size) / 2)
    x, y = width / columns, height / rows
    return left * x, top * y, (left + image_size) * x, (top + image_size) * y


@dataclass(frozen=True, eq=False)
class _Images:
    """Frames of one video, upright and in time order.

    Attributes:
        name: file name without folders, for messages and figures.
        images: uint8 RGB, (F, H, W, 3).
        indices: int64 (F,), zero-based positions among the decodable frames of the file.
        seconds: float64 (F,), presentation times; the first frame of the file is at the file's start time.
        total: number of decodable frames in the file.
        lost: number of frames declared by the file that could not be decoded.
    """

    name: str
    images: np.ndarray
    indices: np.ndarray
    seconds: np.ndarray
    total: int
    lost: int = 0

    def __post_init__(self) -> None:
        """Check ranks, dtype and lengths."""
        images, indices, seconds = self.images, len(self.indices), len(self.seconds)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be uint8 (F, H, W, 3), got {images.dtype} {images.shape}")
        if not len(images) == indices == seconds or not indices:
            raise ValueError(f"{len(images)} images, {indices} indices and {seconds} seconds; one each is needed")


class Frames(_Images):
    """Distinct decoded frames with strictly increasing ``indices``."""

    def __post_init__(self) -> None:
        """Also check the order."""
        super().__post_init__()
        if np.any(np.diff(self.indices) <= 0):
            raise ValueError("Frames.indices must increase strictly")

    def select(self, indices: list[int]) -> Clip:
        """The frames at ``indices`` (each among ``self.indices``, repeats allowed) as a Clip."""
        i = np.searchsorted(self.indices, indices)
        return Clip(self.name, self.images[i], self.indices[i], self.seconds[i], self.total, self.lost)


@dataclass(frozen=True, eq=False)
class Clip(_Images):
    """The T input frames of a model; frames may repeat.

    ``source`` identifies the file and the sampled frames, as a cache key; empty for clips created in memory.
    """

    source: str = ""

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.images)

    def downscaled(self, side: int) -> Clip:
        """The clip for display, downscaled to a short side of at most ``side``."""
        height, width = self.images.shape[1:3]
        if (scale := side / min(height, width)) >= 1:
            return self
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return replace(
            self, images=np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in self.images])
        )


@dataclass(frozen=True)
class Prediction:
    """The prediction for one class on one clip.

    Attributes:
        label: the class name as the user wrote it.
        score: mean over templates of the softmax over the classes, in [0, 1].
        logit: mean over templates of exp(logit_scale) * cosine.
    """

    label: str
    score: float
    logit: float


@dataclass(frozen=True)
class MotionStatistics:
    """Spread of a clip's frame embeddings, Var and C of Eq. 4 and 5.

    ``frozen_*`` are measured on the clip's middle frame repeated T times: without motion, all spread comes from the
    positions of the frames. ``*_unit`` are measured on L2-normalised embeddings, because the scale of the raw values
    differs between models.
    """

    reading: Reading
    variance: float
    central_difference: float
    frozen_variance: float
    frozen_central_difference: float
    variance_unit: float
    central_difference_unit: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """An attribution map over the patches of each frame.

    Attributes:
        heat: float32 (T, grid, grid), non-negative, on one scale for all frames; the positive part of a signed map.
        influence: float32 (T, T), row t: attention of frame t's class token to each frame; None for methods that
            process frames independently.
        seconds: float64 (T,).
        method: registry name of the explanation method.
        model: id of the model.
        preprocessing: of the model; determines the crop of each frame that the map covers.
        note: the method's comment on its result, for example a convergence delta.
        signed: float32 (T, grid, grid), the full map of a method with negative values; None for other methods.
        absent: whether this model has no such map; the heat is then 0 everywhere, and the note gives the reason.
    """

    heat: np.ndarray
    influence: np.ndarray | None
    seconds: np.ndarray
    method: str
    model: str
    preprocessing: Preprocessing
    note: str = ""
    signed: np.ndarray | None = None
    absent: bool = False

    @property
    def values(self) -> np.ndarray:
        """The values to draw: the signed map if there is one, else the heat."""
        return self.heat if self.signed is None else self.signed

    def __post_init__(self) -> None:
        """Check ranks, finiteness and sign."""
        T = len(self.seconds)
        if self.heat.ndim != 3 or len(self.heat) != T or self.heat.shape[1] != self.heat.shape[2]:
            raise ValueError(f"heat must be (T={T}, grid, grid), got {self.heat.shape}")
        if not np.isfinite(self.heat).all() or (self.heat < 0).any():
            raise ValueError(f"heat of {self.method} holds negative or non-finite values")
        if self.influence is not None and self.influence.shape != (T, T):
            raise ValueError(f"influence must be ({T}, {T}), got {self.influence.shape}")
