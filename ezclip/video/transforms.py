"""From frames to what a model sees of them, and to clips in which nothing moves."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ezclip.types import Preprocessing


def resize_short_side(images: np.ndarray, size: int) -> Tensor:
    """Short side to ``size``, bicubic with antialiasing (the release resizes with PIL's bicubic, which has it too).

    Args:
        images: uint8 (T, H, W, 3).
        size: pixels.

    Returns:
        uint8 (T, 3, H', W')
    """
    return _resized(images, [size], "bicubic")


def _resized(images: np.ndarray, size: list[int], interpolation: str) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return F.resize(planes, size, interpolation=InterpolationMode(interpolation), antialias=True)


def view(images: np.ndarray, image_size: int) -> Tensor:
    """What a model with EZ-CLIP's own preprocessing sees of each frame, see ``prepare``; uint8 (T, 3, S, S)."""
    return prepare(images, Preprocessing(image_size))


def prepare(images: np.ndarray, seen: Preprocessing) -> Tensor:
    """What a model sees of each frame: the central square, or the whole frame squashed.

    Args:
        images: uint8 (T, H, W, 3).
        seen: the model's preprocessing.

    Returns:
        uint8 (T, 3, S, S)
    """
    return crops(images, seen, 1)[0]


def crops(images: np.ndarray, seen: Preprocessing, count: int) -> Tensor:
    """Spatial views: ``count`` squares evenly spaced along the long side, the central one if it is 1.

    Args:
        images: uint8 (T, H, W, 3).
        seen: the model's preprocessing; one that squashes has one view alone.
        count: at least 1.

    Returns:
        uint8 (count, T, 3, S, S)
    """
    size, short = seen.size, seen.short_side
    planes = _resized(images, [short] if short else [size, size], seen.interpolation)
    if count == 1 or short is None:
        return F.center_crop(planes, [size, size])[None]
    H, W = planes.shape[-2:]
    # along the long side from end to end; across it in the middle
    free = torch.tensor([H - size, W - size])
    along = torch.tensor([H > W, H <= W])
    squares = []
    for place in torch.linspace(0, 1, count):
        top, left = torch.where(along, (free * place).round(), free // 2).int().tolist()
        squares.append(F.crop(planes, top, left, size, size))
    return torch.stack(squares)


def static_copy(pixels: Tensor) -> Tensor:
    """Videos (B, T, 3, S, S) in which nothing moves: each one's middle frame T times, without a copy in memory."""
    T = pixels.shape[1]
    return pixels[:, T // 2 : T // 2 + 1].expand_as(pixels)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor in main memory on a device; a GPU copies it while the program goes on, so that nothing waits."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
