"""Augmentation of training clips: sampled and cropped per clip on the CPU, resized and colour-jittered in batches."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

Kind = Literal["none", "shift", "recolour", "release"]
UNCHANGED = (1.0, 1.0, 1.0, 0.0, 0.0)  # brightness, contrast and saturation factors, hue shift in turns, weight of grey
_CHUNK = 16  # clips resized at once; bounds the memory of the float32 copies


class Augmentation:
    """Samples the augmentation of a clip and crops it; ``resize_and_colour`` does the rest.

    "none" takes the central crop, "shift" a random one. "recolour" also changes half of the clips by ``RandomColours``
    and adds noise to them. "release" takes a random resized crop (instead of the release's corner crops at four
    scales), a flip, colour jitter with p 0.8 and grey with p 0.2, sampled once per clip.

    Args:
        kind: one of ``Kind``.
        image_size: S.
        flip: mirror half of the clips; "release" only.
        jitter_frames: sample the colour jitter for every frame; "release" only.
    """

    def __init__(self, kind: Kind, image_size: int, *, flip: bool = False, jitter_frames: bool = False):
        self.kind, self.image_size, self.flip, self.jitter_frames = kind, image_size, flip, jitter_frames
        resized_crop = v2.RandomResizedCrop(image_size, scale=(0.66**2, 1.0), ratio=(0.75, 1.33), antialias=True)
        self.crop = resized_crop if kind == "release" else v2.RandomCrop(image_size)
        self.jitter = v2.ColorJitter(0.2, 0.2, 0.2, 0.1)

    def __call__(self, frames: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
        """Crop a clip, uint8 (T, 3, H, W) -> (T, 3, h, w), with random numbers from ``seed``.

        Returns:
            The crop, S x S except for "release", and for "release" its colours (n, 5) as in ``UNCHANGED``: n = T if
            they are sampled per frame, otherwise 1.
        """
        if self.kind == "none":
            return F.center_crop(frames, [self.image_size, self.image_size]), None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            box = self.crop.make_params([frames])
            cropped = F.crop(frames, *(box[side] for side in ("top", "left", "height", "width")))
            if self.kind == "recolour":
                return _recolour(cropped, np.random.default_rng(seed)), None
            if self.kind == "shift":
                return cropped, None
            if self.flip and torch.rand(()) < 0.5:
                cropped = cropped.flip(-1)
            colours = torch.tensor([UNCHANGED]).repeat(len(frames) if self.jitter_frames else 1, 1)
            if torch.rand(()) < 0.8:
                for row in colours:
                    params = self.jitter.make_params([])
                    names = ("brightness", "contrast", "saturation", "hue")
                    row[:4] = torch.tensor([params[f"{name}_factor"] for name in names])
            colours[:, 4] = torch.rand(()) < 0.2
            return cropped, colours


class RandomColours:
    """Random mixtures of channels, contrast (a third of them inverted) and brightness of n images.

    Args:
        n: number of images.
        rng: random number generator.
    """

    def __init__(self, n: int, rng: np.random.Generator):
        order = rng.random((n, 3)).argsort(axis=1)
        self.mix = 0.5 * np.eye(3)[order] + 0.5 * rng.dirichlet(np.full(3, 0.5), (n, 3))
        self.contrast = rng.uniform(0.4, 1.4, (n, 1, 1, 1)) * rng.choice([1, 1, -1], (n, 1, 1, 1))
        self.brightness = rng.uniform(70, 185, (n, 1, 1, 1))

    def apply(self, images: Tensor) -> Tensor:
        """Images (n, 3, H, W) in [0, 255] -> uint8."""
        mixed = torch.einsum("nij,njhw->nihw", torch.from_numpy(self.mix).float(), images.float())
        mixed -= mixed.mean(dim=(1, 2, 3), keepdim=True)
        contrast, brightness = (torch.from_numpy(a).float() for a in (self.contrast, self.brightness))
        return (mixed * contrast + brightness).clamp(0, 255).byte()


def _recolour(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Change the colours of half of the clips, uint8 (T, 3, H, W), alike in all frames, and add noise to each frame."""
    if rng.random() < 0.5:
        return frames
    stacked = frames.transpose(0, 1).flatten(1, 2)[None]  # (1, 3, T*H, W)
    changed = RandomColours(1, rng).apply(stacked)[0].unflatten(1, (len(frames), -1)).transpose(0, 1)
    noise = rng.normal(scale=rng.uniform(0, 12), size=changed.shape)
    return (changed + torch.from_numpy(noise).float()).round().clamp(0, 255).byte()


def resize_and_colour(frames: Tensor, sizes: Tensor, colours: Tensor, image_size: int) -> Tensor:
    """Resize crops to S x S (bilinear with antialiasing) and change their colours, all on one device.

    Like torchvision's ``ColorJitter``, but always in the order brightness, saturation, contrast, hue instead of a
    random one: the first three commute except where values are clamped.

    Args:
        frames: uint8 (B, T, 3, H, W), each clip in the upper left corner.
        sizes: int (B, 2), height and width of each clip.
        colours: float32 (B, n, 5) as in ``UNCHANGED``.
        image_size: S.

    Returns:
        uint8 (B, T, 3, S, S)
    """
    chunks = zip(*(tensor.split(_CHUNK) for tensor in (frames, sizes, colours)), strict=True)
    return torch.cat([_colour(_resize(f, s, image_size), c).round().byte() for f, s, c in chunks])


def _resize(frames: Tensor, sizes: Tensor, S: int) -> Tensor:
    rows, columns = (_resize_weights(sizes[:, i], S, frames.shape[-2 + i]) for i in (0, 1))  # (B, S, H), (B, S, W)
    narrow = torch.einsum("btchw,bsw->btchs", frames.float(), columns)
    return torch.einsum("btchs,brh->btcrs", narrow, rows)


def _resize_weights(length: Tensor, S: int, padded: int) -> Tensor:
    """Weights (B, S, padded) of ``padded`` input pixels, of which the first ``length`` (B,) count; rows sum to 1."""
    scale = (length / S)[:, None, None]
    outputs, inputs = (torch.arange(n, device=length.device) + 0.5 for n in (S, padded))  # centres of pixels
    distance = (inputs - scale * outputs[:, None]).abs() / scale.clamp(min=1)
    weights = (1 - distance).clamp(min=0) * (inputs < length[:, None, None])
    return weights / weights.sum(-1, keepdim=True)


def _colour(x: Tensor, colours: Tensor) -> Tensor:
    brightness, contrast, saturation, hue, grey = colours[..., None, None, None].unbind(2)  # each (B, n, 1, 1, 1)
    x = (x * brightness).clamp(0, 255)
    x = _grey(x).lerp(x, saturation)
    x = _grey(x).mean((-2, -1), keepdim=True).lerp(x, contrast).clamp(0, 255)
    x = _shift_hue(x, hue)
    return x.lerp(_grey(x), grey)


def _grey(x: Tensor) -> Tensor:
    red, green, blue = x.split(1, dim=2)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue (HSV) of images (B, T, 3, S, S) by a fraction of a turn, keeping value and saturation."""
    red, green, blue = x.split(1, dim=2)
    value = x.amax(2, keepdim=True)
    chroma = value - x.amin(2, keepdim=True)
    unit = chroma.clamp(min=1e-6)
    not_red = torch.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    hue = torch.where(value == red, (green - blue) / unit, not_red) + 6 * turns  # in sixths of a turn
    channels = [(offset + hue) % 6 for offset in (5, 3, 1)]
    return torch.cat([value - chroma * torch.minimum(k, 4 - k).clamp(0, 1) for k in channels], dim=2)
