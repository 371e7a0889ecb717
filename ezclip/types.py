"""The values that flow through the package, each frozen and checked when it is made.

Letters: B videos, T frames, N patches, D width, E embedding, C classes, L text tokens, K layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

Variant = Literal["clip", "base", "motion", "prompts", "ezclip"]  # the five models of the paper
Rival = Literal["vificlip", "actionclip", "a5", "xclip", "mote"]  # other methods, see ``model.rivals``
Built = Literal[Variant, Rival]  # those that are built here, of CLIP's blocks
Method = Literal[Built, "videoprism"]  # what a model is
MapKind = Literal["score", "attention", "blocks"]  # what an explanation method needs of a model
PromptDepth = Literal["deep", "shallow", "none"]
Reading = Literal["paper", "released", "calibrated"]

VARIANTS: tuple[Variant, ...] = get_args(Variant)
RIVALS: tuple[Rival, ...] = get_args(Rival)
Document = dict[str, Any]  # a JSON object, such as ``as_json`` methods return
Keywords = dict[str, Any]  # keyword arguments that several calls share
WITHIN_PAIRS = "chiral accuracy (within pairs)"  # the field's name and the project's; chance 50 %
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
    """From a frame to a model's input.

    Attributes:
        size: S, the side of the input in pixels.
        resize: "release" resizes the short side to S * 256 / 224 and cuts the central square, as EZ-CLIP's release
            does; "shortest" resizes it to S; "squash" resizes the whole frame to S x S, which distorts it.
        interpolation: of the resizing, with antialiasing.
        mean: subtracted from RGB in [0, 1].
        std: divided by afterwards.
    """

    size: int
    resize: Literal["release", "shortest", "squash"] = "release"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def short_side(self) -> int | None:
        """Short side before the crop; None where nothing is cut."""
        return {"release": stored_size(self.size), "shortest": self.size, "squash": None}[self.resize]


IMAGENET_PIXELS = {"interpolation": "bilinear", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def has_prompts(variant: Method) -> bool:
    """Whether the architecture of ``variant`` holds temporal visual prompts."""
    return variant in ("prompts", "ezclip")


def stored_size(image_size: int) -> int:
    """Short side to which frames are resized before the crop: S * 256 / 224, as in the release (256 for 224)."""
    return image_size * 256 // 224


def visible_box(height: int, width: int, seen: Preprocessing) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the part of a frame that a model sees, as ``video.transforms.prepare`` cuts it."""
    short, image_size = seen.short_side, seen.size
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
        indices: int64 (F,), zero-based positions among the frames that can be decoded.
        seconds: float64 (F,), presentation times, the file's first frame at its own start time.
        total: number of frames that the file holds and that can be decoded.
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
    """Distinct decoded frames; ``indices`` increase strictly."""

    def __post_init__(self) -> None:
        """Also check the order."""
        super().__post_init__()
        if np.any(np.diff(self.indices) <= 0):
            raise ValueError("Frames.indices must increase strictly")

    def select(self, indices: list[int]) -> Clip:
        """The frames at ``indices`` (each among ``self.indices``, repeats allowed) as a Clip."""
        at = np.searchsorted(self.indices, indices)
        return Clip(self.name, self.images[at], self.indices[at], self.seconds[at], self.total, self.lost)


@dataclass(frozen=True, eq=False)
class Clip(_Images):
    """The T frames that a model sees; frames may repeat.

    ``source`` identifies file and choice of frames, so that results can be cached; empty for clips made in memory.
    """

    source: str = ""

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.images)

    def reduced(self, side: int) -> Clip:
        """The clip for display, its frames' short side at most ``side``."""
        height, width = self.images.shape[1:3]
        if (scale := side / min(height, width)) >= 1:
            return self
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return replace(
            self, images=np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in self.images])
        )


@dataclass(frozen=True)
class Prediction:
    """One class's result on one clip.

    Attributes:
        label: the class name as the user gave it.
        score: mean over templates of the softmax over the classes, in [0, 1].
        logit: mean over templates of exp(logit_scale) * cosine.
    """

    label: str
    score: float
    logit: float


@dataclass(frozen=True)
class MotionStatistics:
    """Spread of a clip's frame embeddings, Var and C of Eq. 4 and 5.

    ``frozen_*`` are those of the clip's middle frame repeated T times: spread that a model shows when nothing moves
    comes from the frames' positions alone. ``*_unit`` are taken on L2-normalised embeddings, because the raw values of
    two models are not on one scale.
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
    """Where a model looked, frame by frame.

    Attributes:
        heat: float32 (T, grid, grid), not negative, on one scale for all frames; of a signed map the positive part.
        influence: float32 (T, T), row t: how much frame t's class token attends to each frame; None for methods
            that process single frames.
        seconds: float64 (T,).
        method: registry name of the method that made it.
        model: id of the model.
        seen: the model's preprocessing, which fixes the part of each frame that the map covers.
        note: the method's comment on its result, for example a convergence delta.
        signed: float32 (T, grid, grid), the whole map of a method with negative values; None for others.
        absent: whether this model has no such map; then the heat is 0 everywhere, and the note says why.
    """

    heat: np.ndarray
    influence: np.ndarray | None
    seconds: np.ndarray
    method: str
    model: str
    seen: Preprocessing
    note: str = ""
    signed: np.ndarray | None = None
    absent: bool = False

    @property
    def shown(self) -> np.ndarray:
        """What is drawn: the signed map where there is one, else the heat."""
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
