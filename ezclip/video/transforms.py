"""Transforms of frames into model inputs, and into static clips."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ezclip.types import Preprocessing


def resize_short_side(images: np.ndarray, size: int) -> Tensor:
    """Resize the short side to ``size``, bicubic with antialiasing, like PIL's bicubic resize in the release.

    Args:
        images: uint8 (T, H, W, 3).
        size: pixels.

    Returns:
        uint8 (T, 3, H', W')
    """
    return _resize(images, [size], "bicubic")


def _resize(images: np.ndarray, size: list[int], interpolation: str) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return F.resize(planes, size, interpolation=InterpolationMode(interpolation), antialias=True)


def view(images: np.ndarray, image_size: int) -> Tensor:
    """The input of a model with EZ-CLIP's preprocessing, see ``prepare``; uint8 (T, 3, S, S)."""
    return prepare(images, Preprocessing(image_size))


def prepare(images: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """The input of a model: the central square of each frame, or the whole frame squashed.

    Args:
        images: uint8 (T, H, W, 3).
        preprocessing: of the model.

    Returns:
        uint8 (T, 3, S, S)
    """
    return crops(images, preprocessing, 1)[0]


def crops(images: np.ndarray, preprocessing: Preprocessing, count: int) -> Tensor:
    """Spatial views: ``count`` squares evenly spaced along the long side; the central square if ``count`` is 1.

    Args:
        images: uint8 (T, H, W, 3).
        preprocessing: of the model; "squash" has only one view.
        count: at least 1.

    Returns:
        uint8 (count, T, 3, S, S)
    """
    size, short = preprocessing.size, preprocessing.short_side
    planes = _resize(images, [short] if short else [size, size], preprocessing.interpolation)
    if count == 1 or short is None:
        return F.center_crop(planes, [size, size])[None]
    H, W = planes.shape[-2:]
    margin = torch.tensor([H - size, W - size])
    is_long = torch.tensor([H > W, H <= W])
    squares = []
    for position in torch.linspace(0, 1, count):
        top, left = torch.where(is_long, (margin * position).round(), margin // 2).int().tolist()
        squares.append(F.crop(planes, top, left, size, size))
    return torch.stack(squares)


def static_copy(pixels: Tensor) -> Tensor:
    """Videos (B, T, 3, S, S) with the middle frame of each repeated T times, as a view without a copy in memory."""
    T = pixels.shape[1]
    return pixels[:, T // 2 : T // 2 + 1].expand_as(pixels)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to a device, asynchronously (from pinned memory) for a GPU."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
