"""Pretraining with pairs of views: token means encode where contents lie, and the class token learns to read them.

In EZ-CLIP, frames exchange information only through one appended token per block, which carries frame means (Eq. 2 and
3), and a CLIP pretrained on single pictures hardly attends to it. Here it learns to: in steps with pairs, the token of
each view carries the mean of the other view through the block's attention, as in Eq. 2 and 3 with one frame and p = 0,
and the class token predicts the displacement between the views. Linear heads also predict thumbnails of a view from the
means that enter the blocks, and thumbnails of both views from the class tokens that enter the earlier blocks; without
them, displacements were not learned in 400 steps. Squares are (centre x, centre y, side).
"""

from __future__ import annotations

from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from ezclip.data.augmentation import RandomColours
from ezclip.model.attention import Mix, attend
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.video.transforms import to_device

CROP = 7 / 8  # side of a crop, as a fraction of its window's side
GREY, COLOUR = 4, 2  # largest u + v of the cosines in thumbnails, for brightness and for colour
# Approximate standard deviations of the displacements of camera and object, used to normalise them.
SPREAD = (0.19, 0.19, 0.22, 0.19, 0.19, 0.38)
SIDE, COEFFICIENTS = 8, 27  # side in pixels and number of coefficients of a thumbnail
RAMP = 2.0  # amplitude of the ramps in position embeddings; those of CLIP differ by 1.3 from their mean
STEEP = 1.8  # scale of the directional heads' constant query and of their key along a ramp
WEIGHTS = {"thumbnails": 1.0, "carried": 1.0, "moved": 2.0}  # of the losses added to the contrastive one


@torch.no_grad()
def add_ramps(model: EZCLIP) -> Tensor:
    """Add ramps along x and y, from -``RAMP`` to ``RAMP``, to the position embeddings.

    The positions of a CLIP that was trained on captions without places hardly distinguish left from right, and its
    frame embeddings carry no horizontal contrast. Further training does not change that soon: brightness times position
    is a product, whose gradient is near 0 at the start.

    Returns:
        The random orthonormal directions of the two ramps in embedding space (2, D).
    """
    positions = model.vision.positional_embedding
    side = round((len(positions) - 1) ** 0.5)
    ramp, directions = torch.linspace(-1, 1, side), torch.linalg.qr(torch.randn(positions.shape[1], 2)).Q.T
    ramps = ramp[None, :, None] * directions[0] + ramp[:, None, None] * directions[1]
    positions[1:] += RAMP * ramps.flatten(0, 1)
    return directions


@torch.no_grad()
def init_directional_heads(model: EZCLIP, directions: Tensor) -> None:
    """Initialise the heads of blocks added by ``grow`` to attend to the right, the left, below or above.

    Each head initially attends along one of the ramps of ``add_ramps``, whose ``directions`` are given, for any
    content. Without this, training hardly gives the frame means a horizontal contrast.
    """
    attentions = [block.attn for block in model.vision.blocks if isinstance(block, Block)]
    added = [attention for attention in attentions if not attention.out_proj.weight.any()]
    head_directions = cycle([directions[0], -directions[0], directions[1], -directions[1]])
    for attention in added:
        nn.init.normal_(attention.out_proj.weight, std=0.02)
        query, key, _ = attention.in_proj_weight.view(3, attention.num_heads, -1, directions.shape[1])
        query *= 0.5
        query[:, 0] = 0
        attention.in_proj_bias.view(3, attention.num_heads, -1)[0, :, 0] = STEEP
        for head, direction in zip(key, head_directions):
            head[0] = STEEP * direction


class Pairs(NamedTuple):
    """Pairs of views of n scenes: all first views, then all second views."""

    pixels: Tensor  # uint8 (2n, 3, S, S)
    displacements: Tensor  # float32 (2n, 6): of the other view's window, and of the object in the other view
    mask: Tensor  # float32 (2n, 6): 1 where ``displacements`` must be predicted, else 0


def crops(windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares (n, 3) with ``CROP`` of each window's side, at random positions in the windows."""
    margin = windows[:, 2:] * (1 - CROP) / 2
    return np.hstack([windows[:, :2] + margin * rng.uniform(-1, 1, (len(windows), 2)), windows[:, 2:] * CROP])


def displacement(squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(dx, dy, log scale) of ``others`` (n, 3) relative to ``squares``, with dx and dy in sides of ``squares``."""
    return np.hstack([(others - squares)[:, :2] / squares[:, 2:], np.log(others[:, 2:] / squares[:, 2:])])


def cut(canvases: Tensor, squares: np.ndarray, size: int) -> Tensor:
    """Cut squares (n, 3), in pixels, from uint8 canvases (n, 3, C, C) and resize them to uint8 (n, 3, size, size)."""
    half = squares[:, 2:] / 2
    boxes = np.hstack([np.arange(len(squares))[:, None], squares[:, :2] - half, squares[:, :2] + half])
    views = roi_align(canvases.float(), torch.from_numpy(boxes).float(), size, sampling_ratio=2, aligned=True)
    return views.round().to(torch.uint8)


def paste(views: Tensor, canvases: Tensor, squares: np.ndarray, textures: np.ndarray, bumps: np.ndarray) -> Tensor:
    """Paste shapes with wavy outlines on views.

    Args:
        views: uint8 (n, 3, S, S).
        canvases: (n, 3, C, C), textures of the shapes.
        squares: (n, 3), bounding squares of the shapes, in sides of a view.
        textures: (n, 3), squares of the canvases to use as textures, in sides of a canvas.
        bumps: (n, 2, 3), amplitude and phase of the outline's waves with 2, 3 and 4 periods.
    """
    S = views.shape[-1]
    x, y, side = torch.from_numpy(squares).float().T[..., None, None]
    coords = (torch.arange(S) + 0.5) / S
    u, v = ((coords - x) / side).expand(-1, S, S), ((coords[:, None] - y) / side).expand(-1, S, S)
    height, phase = torch.from_numpy(bumps).float().permute(1, 0, 2)[..., None, None]  # (n, 3, 1, 1)
    waves = height * torch.cos(torch.tensor([2.0, 3.0, 4.0])[:, None, None] * torch.atan2(v, u)[:, None] + phase)
    inside = 0.5 * (1 + waves.sum(dim=1)) / (1 + height.sum(dim=1)) - torch.hypot(u, v)
    alpha = (inside * side * S + 0.5).clamp(0, 1)[:, None]
    tx, ty, reach = torch.from_numpy(textures).float().T[..., None, None]
    grid = 2 * torch.stack([tx + u * reach, ty + v * reach], dim=-1) - 1
    shapes = F.grid_sample(canvases.float(), grid, padding_mode="reflection", align_corners=False)
    return (alpha * shapes + (1 - alpha) * views).round().to(torch.uint8)


def vary_scenes(canvases: Tensor, rng: np.random.Generator) -> Tensor:
    """Flip, rotate, recolour and blend scenes, uint8 (n, 3, C, C); captions do not apply to the result.

    Each scene is flipped and rotated in one of eight ways and replaced in smooth regions by the next scene; its
    channels are mixed at random, and contrast, brightness and sign are changed. This makes predicted displacements less
    dependent on the drawing style.
    """
    n, C = len(canvases), canvases.shape[-1]
    symmetries, turned = torch.from_numpy(rng.integers(8, size=n)), torch.empty_like(canvases)
    for symmetry in range(8):
        rotated = canvases[symmetries == symmetry].rot90(symmetry % 4, (2, 3))
        turned[symmetries == symmetry] = rotated.flip(3) if symmetry >= 4 else rotated
    colours = RandomColours(n, rng)
    noise = torch.from_numpy(rng.normal(size=(n, 1, *[rng.integers(3, 9)] * 2))).float()
    slope, offset = torch.from_numpy(rng.uniform([[1], [-0.5]], [[30], [1]], (2, n)))[..., None, None, None].float()
    alpha = torch.sigmoid(slope * (F.interpolate(noise, size=(C, C), mode="bicubic") + offset))
    return colours.apply(alpha * turned + (1 - alpha) * turned.roll(1, 0))


def draw_pairs(canvases: Tensor, windows: np.ndarray, size: int, rng: np.random.Generator) -> Pairs:
    """Draw two views of each scene; in every other scene the camera moves, in the rest a pasted shape moves.

    In the first half of the scenes, the first view is a crop of the scene's window; the other scenes pass through
    ``vary_scenes``, and their first view is a random square.

    Args:
        canvases: uint8 (n, 3, C, C).
        windows: (n, 3), in pixels of the canvases.
        size: side S of the views in pixels.
        rng: random number generator.
    """
    n, C = len(windows), canvases.shape[-1]
    anywhere = np.arange(n) >= n // 2
    canvases = torch.cat([canvases[: n // 2], vary_scenes(canvases[n // 2 :], rng)])
    sides = rng.uniform(0.3, 0.7, (n, 1)) * C
    random_squares = np.hstack([sides / 2 + rng.random((n, 2)) * (C - sides), sides])
    first = np.where(anywhere[:, None], random_squares, crops(windows, rng))
    pans = (np.arange(n) % 2 == 0)[:, None]
    second = np.where(pans, _move(first, C, 0.35 * C, 0.7, rng), first)
    start = np.hstack([rng.uniform(0.2, 0.8, (n, 2)), rng.uniform(0.18, 0.4, (n, 1))])
    end = _move(start, 1.0, 0.5, 0.8, rng)
    textures = np.hstack([rng.uniform(0.3, 0.7, (n, 2)), rng.uniform(0.2, 0.6, (n, 1))])
    bumps = np.stack([rng.uniform(0, 1, (n, 3)) / [4, 6, 8], rng.uniform(0, 2 * np.pi, (n, 3))], axis=1)
    has_object, sources = torch.from_numpy(~pans.ravel()), canvases.roll(1, 0)
    views, displacements = [], []
    object_displacement = np.hstack([(end - start)[:, :2], np.log(end[:, 2:] / start[:, 2:])])
    for window, other, square, sign in ((first, second, start, 1), (second, first, end, -1)):
        plain = cut(canvases, window, size)
        views.append(
            torch.where(has_object[:, None, None, None], paste(plain, sources, square, textures, bumps), plain)
        )
        displacements.append(np.hstack([displacement(window, other), sign * object_displacement]))
    mask = np.hstack([np.ones((n, 3)), np.repeat(~pans, 3, axis=1)])
    return Pairs(
        torch.cat(views),
        torch.from_numpy(np.concatenate(displacements)).float(),
        torch.from_numpy(np.concatenate([mask, mask])).float(),
    )


def _move(squares: np.ndarray, C: float, reach: float, zoom: float, rng: np.random.Generator) -> np.ndarray:
    """Shift squares by up to ``reach``, scale them by up to exp(``zoom``), or both, within [0, C]."""
    n = len(squares)
    kind = rng.integers(3, size=(n, 1))
    scale = np.exp(zoom * rng.uniform(-1, 1, (n, 1)) * (kind > 0))
    sides = np.minimum(squares[:, 2:] * scale, C)
    centres = squares[:, :2] + reach * rng.uniform(-1, 1, (n, 2)) * (kind < 2)
    return np.hstack([np.clip(centres, sides / 2, C - sides / 2), sides])


class HeadOutputs(NamedTuple):
    """Predictions of the linear heads for B views."""

    thumbnails: Tensor  # (n, B, 27), of each view, from the means that enter blocks
    pair_thumbnails: Tensor  # (n, B, 54), of each view and its partner, from class tokens that enter the earlier blocks
    displacements: Tensor  # (B, 6), divided by ``SPREAD``


class Carry(nn.Module):
    """Replaces a block's temporal prompt: one token per view, computed from the mean of the other view."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = Mix()

    def forward(self, x: Tensor, ln_1: nn.Module, attention: nn.MultiheadAttention) -> Tensor:
        """Tokens (2n, 1+N, D) of views and of their partners, which are n apart in the batch, -> (2n, 1, D)."""
        other = x.mean(dim=1, keepdim=True).roll(len(x) // 2, 0)
        return attend(attention, ln_1(other), self.mix)


class WithHeads(nn.Module):
    """A CLIP with linear heads for thumbnails and displacements, as one module for distributed training."""

    def __init__(self, model: EZCLIP):
        super().__init__()
        self.model = model
        width, thumbnail = model.vision.class_embedding.shape[-1], COEFFICIENTS
        self.carry, layers = Carry(), model.layers
        self.own = nn.ModuleList(nn.Linear(width, thumbnail) for _ in range(1, layers))
        self.both = nn.ModuleList(nn.Linear(width, 2 * thumbnail) for _ in range(1, layers // 2 + 1))
        self.moved = nn.Linear(width, len(SPREAD))

    def forward(self, pixels: Tensor, tokens: Tensor, paired: bool) -> tuple[Tensor, Tensor, HeadOutputs]:
        """Both encoders and the heads.

        Args:
            pixels: (B, 3, S, S) from ``normalise``.
            tokens: (C, L).
            paired: whether each view's blocks receive the mean of the view half a batch away.

        Returns:
            Embeddings (B, E) and (C, E), and the predictions of the heads.
        """
        vision, means, classes = self.model.vision, [], []
        x = vision.ln_pre(vision.embed(pixels))
        for block in vision.blocks:
            assert isinstance(block, Block)
            block.prompt = self.carry if paired else None
            means.append(block.ln_1(x.mean(dim=1)))
            classes.append(block.ln_1(x[:, 0]))
            x = block(x)
            block.prompt = None
        token = vision.ln_post(x[:, 0])
        single = torch.stack([head(mean) for head, mean in zip(self.own, means[1:])])
        pair = torch.stack([head(class_token) for head, class_token in zip(self.both, classes[1:])])
        return token @ vision.proj, self.model.encode_text(tokens), HeadOutputs(single, pair, self.moved(token))


def thumbnails(pixels: Tensor) -> Tensor:
    """Low spatial frequencies of brightness and two colour contrasts of views from ``normalise`` (B, 3, S, S).

    Returns:
        (B, 27) coefficients of the discrete cosine transform, each with mean 0 and variance 1 over the batch. In pixel
        space, mean brightness would be 70 % of the variance, and left versus right only 2 %.
    """
    red, green, blue = F.adaptive_avg_pool2d(pixels, SIDE).unbind(1)
    planes = [(red + green + blue, GREY), (red - green, COLOUR), (2 * blue - red - green, COLOUR)]
    k = torch.arange(SIDE, device=pixels.device)
    cosines = torch.cos(torch.pi * (k + 0.5) * k[:, None] / SIDE)  # one frequency per row
    spectra = [(cosines @ plane @ cosines.T, limit) for plane, limit in planes]
    # slices instead of a mask, which would synchronise with the GPU
    values = torch.cat([s[:, u, : limit + 1 - u] for s, limit in spectra for u in range(limit + 1)], dim=1)
    return (values - values.mean(dim=0)) / (values.std(dim=0) + 1e-6)


def auxiliary_losses(pixels: Tensor, outputs: HeadOutputs, pairs: Pairs | None) -> dict[str, Tensor]:
    """Losses of the heads of ``WithHeads`` for views from ``normalise``.

    Returns:
        Mean squared errors with the names of ``WEIGHTS``: "thumbnails" of each view from all heads, "carried" of its
        partner's thumbnail, "moved" of the displacements in ``pairs.mask``; without pairs the last two are 0.
    """
    target = thumbnails(pixels)
    same, partner = outputs.pair_thumbnails.float().chunk(2, dim=-1)
    same = torch.cat([outputs.thumbnails.float(), same])
    losses = {"thumbnails": F.mse_loss(same, target.expand_as(same))}
    if pairs is None:
        return losses | {"carried": 0 * partner.sum(), "moved": 0 * outputs.displacements.float().sum()}
    mask = to_device(pairs.mask, pixels.device)
    displacements = to_device(pairs.displacements / torch.tensor(SPREAD), pixels.device)
    errors = mask * (outputs.displacements.float() - displacements) ** 2
    carried = F.mse_loss(partner, target.roll(len(target) // 2, 0).expand_as(partner))
    return losses | {"carried": carried, "moved": errors.sum() / mask.sum()}
