"""Augmentation of training clips: drawn and cropped clip by clip on the CPU, resized and coloured in batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

Kind = Literal["none", "shift", "release"]
UNCHANGED = (1.0, 1.0, 1.0, 0.0, 0.0)  # brightness, contrast, saturation, turns of the hue, share of grey
_GROUP = 16  # clips that are resized at once, which bounds the float32 copies


class Augmentation:
    """The part of the augmentation that decides and crops; ``resized_and_coloured`` is the rest.

    "none" is the central crop and "shift" a random one. "release" is a random resized crop in place of the release's
    corner crops at four scales, a flip, colour jitter with p 0.8 and grey with p 0.2, one draw a clip.

    Args:
        kind: "none", "shift" or "release".
        image_size: S.
        flip: mirror half of the clips; of "release".
        jitter_frames: draw the colour jitter for every frame; of "release".
    """

    def __init__(self, kind: Kind, image_size: int, *, flip: bool = False, jitter_frames: bool = False):
        self.kind, self.image_size, self.flip, self.jitter_frames = kind, image_size, flip, jitter_frames
        resized = v2.RandomResizedCrop(image_size, scale=(0.66**2, 1.0), ratio=(0.75, 1.33), antialias=True)
        self.crop = resized if kind == "release" else v2.RandomCrop(image_size)
        self.jitter = v2.ColorJitter(0.2, 0.2, 0.2, 0.1)

    def __call__(self, frames: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
        """Crop a clip, uint8 (T, 3, H, W) -> (T, 3, h, w), with the draws of ``seed``.

        Returns:
            The crop, S x S except under "release", and under "release" its colours (n, 5) as in ``UNCHANGED``, n = T
            where they are drawn for every frame, otherwise 1.
        """
        if self.kind == "none":
            return F.center_crop(frames, [self.image_size, self.image_size]), None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            box = self.crop.make_params([frames])
            cropped = F.crop(frames, *(box[side] for side in ("top", "left", "height", "width")))
            if self.kind == "shift":
                return cropped, None
            if self.flip and torch.rand(()) < 0.5:
                cropped = cropped.flip(-1)
            colours = torch.tensor([UNCHANGED]).repeat(len(frames) if self.jitter_frames else 1, 1)
            if torch.rand(()) < 0.8:
                for row in colours:
                    drawn = self.jitter.make_params([])
                    names = ("brightness", "contrast", "saturation", "hue")
                    row[:4] = torch.tensor([drawn[f"{name}_factor"] for name in names])
            colours[:, 4] = torch.rand(()) < 0.2
            return cropped, colours


def resized_and_coloured(frames: Tensor, sizes: Tensor, colours: Tensor, image_size: int) -> Tensor:
    """Resize crops to S x S (bilinear with antialiasing) and change their colours, all on one device.

    As torchvision's ``ColorJitter`` but for the order, which is always brightness, contrast, saturation, hue (there
    random): the first three commute except where values are clamped.

    Args:
        frames: uint8 (B, T, 3, H, W), each clip in its upper left corner.
        sizes: int (B, 2), the height and width of each.
        colours: float32 (B, n, 5) as in ``UNCHANGED``.
        image_size: S.

    Returns:
        uint8 (B, T, 3, S, S)
    """
    parts = zip(*(tensor.split(_GROUP) for tensor in (frames, sizes, colours)), strict=True)
    return torch.cat([_coloured(_resized(f, s, image_size), c).round().byte() for f, s, c in parts])


def _resized(frames: Tensor, sizes: Tensor, S: int) -> Tensor:
    rows, columns = (_taps(sizes[:, axis], S, frames.shape[-2 + axis]) for axis in (0, 1))  # (B, S, H), (B, S, W)
    narrow = torch.einsum("btchw,bsw->btchs", frames.float(), columns)
    return torch.einsum("btchs,brh->btcrs", narrow, rows)


def _taps(length: Tensor, S: int, most: int) -> Tensor:
    """Weights of the first ``length`` (B,) of ``most`` pixels in each of S pixels: (B, S, most), rows sum to 1."""
    scale = (length / S)[:, None, None]
    places, pixels = (torch.arange(n, device=length.device) + 0.5 for n in (S, most))
    distance = (pixels - scale * places[:, None]).abs() / scale.clamp(min=1)
    weights = (1 - distance).clamp(min=0) * (pixels < length[:, None, None])
    return weights / weights.sum(-1, keepdim=True)


def _coloured(x: Tensor, colours: Tensor) -> Tensor:
    brightness, contrast, saturation, hue, grey = colours[..., None, None, None].unbind(2)  # each (B, n, 1, 1, 1)
    x = (x * brightness).clamp(0, 255)
    x = _grey(x).lerp(x, saturation)
    x = _grey(x).mean((-2, -1), keepdim=True).lerp(x, contrast).clamp(0, 255)
    x = _turned(x, hue)
    return x.lerp(_grey(x), grey)


def _grey(x: Tensor) -> Tensor:
    red, green, blue = x.split(1, dim=2)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of colours (B, T, 3, S, S), their value and saturation (HSV) kept."""
    red, green, blue = x.split(1, dim=2)
    value = x.amax(2, keepdim=True)
    chroma = value - x.amin(2, keepdim=True)
    unit = chroma.clamp(min=1e-6)
    of_green = torch.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    sixths = torch.where(value == red, (green - blue) / unit, of_green) + 6 * turns
    turned = [(channel + sixths) % 6 for channel in (5, 3, 1)]
    return torch.cat([value - chroma * torch.minimum(k, 4 - k).clamp(0, 1) for k in turned], dim=2)
