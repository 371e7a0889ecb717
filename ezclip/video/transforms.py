"""Frames to the pixels that CLIP takes."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training images, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


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


def stored_size(image_size: int) -> int:
    """Short side before the crop: S * 256 / 224, as in the release (256 for 224)."""
    return image_size * 256 // 224


def view(images: np.ndarray, image_size: int) -> Tensor:
    """What a model sees of each frame: short side to S * 256 / 224, then the central S x S.

    Args:
        images: uint8 (T, H, W, 3).
        image_size: S.

    Returns:
        uint8 (T, 3, S, S)
    """
    return F.center_crop(resize_short_side(images, stored_size(image_size)), [image_size, image_size])


def normalise(views: Tensor) -> Tensor:
    """uint8 (..., 3, S, S) to float32 with CLIP's mean and standard deviation."""
    mean, std = (torch.tensor(v, device=views.device).view(3, 1, 1) for v in (MEAN, STD))
    return (views.float() / 255 - mean) / std


def frozen_copy(pixels: Tensor) -> Tensor:
    """Videos (B, T, 3, S, S) in which nothing moves: each one's middle frame T times, without a copy in memory."""
    T = pixels.shape[1]
    return pixels[:, T // 2 : T // 2 + 1].expand_as(pixels)
