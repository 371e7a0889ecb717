"""From frames to what a model sees of them, and to clips in which nothing moves."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ezclip.types import stored_size


def resize_short_side(images: np.ndarray, size: int) -> Tensor:
    """Short side to ``size``, bicubic with antialiasing (the release resizes with PIL's bicubic, which has it too).

    Args:
        images: uint8 (T, H, W, 3).
        size: pixels.

    Returns:
        uint8 (T, 3, H', W')
    """
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return F.resize(planes, [size], interpolation=InterpolationMode.BICUBIC, antialias=True)


def view(images: np.ndarray, image_size: int) -> Tensor:
    """What a model sees of each frame: short side to S * 256 / 224, then the central S x S.

    Args:
        images: uint8 (T, H, W, 3).
        image_size: S.

    Returns:
        uint8 (T, 3, S, S)
    """
    return crops(images, image_size, 1)[0]


def crops(images: np.ndarray, image_size: int, count: int) -> Tensor:
    """Spatial views: ``count`` squares evenly spaced along the long side, the central one if it is 1.

    Args:
        images: uint8 (T, H, W, 3).
        image_size: S.
        count: at least 1.

    Returns:
        uint8 (count, T, 3, S, S)
    """
    planes = resize_short_side(images, stored_size(image_size))
    if count == 1:
        return F.center_crop(planes, [image_size, image_size])[None]
    H, W = planes.shape[-2:]
    # along the long side from end to end; across it in the middle
    free = torch.tensor([H - image_size, W - image_size])
    along = torch.tensor([H > W, H <= W])
    squares = []
    for place in torch.linspace(0, 1, count):
        top, left = torch.where(along, (free * place).round(), free // 2).int().tolist()
        squares.append(F.crop(planes, top, left, image_size, image_size))
    return torch.stack(squares)


def static_copy(pixels: Tensor) -> Tensor:
    """Videos (B, T, 3, S, S) in which nothing moves: each one's middle frame T times, without a copy in memory."""
    T = pixels.shape[1]
    return pixels[:, T // 2 : T // 2 + 1].expand_as(pixels)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor in main memory on a device; a GPU copies it while the program goes on, so that nothing waits."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
