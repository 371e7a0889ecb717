"""Pretraining with pairs of views: the frame mean says where contents lie, and the class token reads it.

Frames meet in EZ-CLIP only through one appended token a block, which carries frame means (Eq. 2 and 3). A CLIP that is
pretrained on single pictures hardly attends to such a token. Here it learns to: in steps with pairs, the token of each
view carries the mean of the other view through the block's own attention, as Eq. 2 and 3 do with one frame and p = 0,
and the class token predicts how the views differ. Linear heads predict small thumbnails of a view from the means that
enter the blocks, and thumbnails of both views from the class tokens that enter the earlier blocks: that opens the way
first, which displacements alone did not do in 400 steps. Squares are (x and y of the centre, side).
"""

from __future__ import annotations

from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from ezclip.model.attention import Mix, attend
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.video.transforms import to_device

SEEN = 7 / 8  # share of a window's side that a model sees
GREY, COLOUR = 4, 2  # the largest u + v of the cosines that thumbnails keep
# About the standard deviations of the displacements of camera and thing, by which they are divided.
SPREAD = (0.19, 0.19, 0.22, 0.19, 0.19, 0.38)
SIDE, COEFFICIENTS = 8, 27  # of thumbnails: of the pictures that they describe, and how many numbers they hold
RAMP = 2.0  # of the positions' ramps; CLIP's own positions differ by 1.3 from their mean
STEEP = 1.8  # of the heads that look by place: of the constant query, and of the key along a ramp
WEIGHTS = {"thumbnails": 1.0, "carried": 1.0, "moved": 2.0}  # of the losses beside that of the captions


@torch.no_grad()
def look_by_place(model: EZCLIP) -> None:
    """Show the blocks that ``grow`` has added where contents lie: to the right, the left, below and above.

    The positions of the shipped CLIP hardly tell left from right, and its frame means carry no horizontal contrast at
    all. It does not develop by itself: brightness times place is a product, whose gradient is near 0 at the start. So
    positions get ramps along x and y, each in a random direction, and each head of an added block attends along one of
    them at first, whatever it sees. Without added blocks nothing changes.
    """
    attentions = [block.attn for block in model.vision.blocks if isinstance(block, Block)]
    added = [attention for attention in attentions if not attention.out_proj.weight.any()]
    if not added:
        return
    positions = model.vision.positional_embedding
    side, D = round((len(positions) - 1) ** 0.5), positions.shape[-1]
    ramp, directions = torch.linspace(-1, 1, side), torch.linalg.qr(torch.randn(D, 2)).Q.T
    ramps = ramp[None, :, None] * directions[0] + ramp[:, None, None] * directions[1]
    positions[1:] += RAMP * ramps.flatten(0, 1)
    ways = cycle([directions[0], -directions[0], directions[1], -directions[1]])
    for attention in added:
        nn.init.normal_(attention.out_proj.weight, std=0.02)
        query, key, _ = attention.in_proj_weight.view(3, attention.num_heads, -1, D)
        query *= 0.5
        query[:, 0] = 0
        attention.in_proj_bias.view(3, attention.num_heads, -1)[0, :, 0] = STEEP
        for head, way in zip(key, ways):
            head[0] = STEEP * way


class Pairs(NamedTuple):
    """Views of n scenes, the first views of all before the second ones."""

    pixels: Tensor  # uint8 (2n, 3, S, S)
    moved: Tensor  # float32 (2n, 6): displacement of the other view's window, and of the thing in it
    known: Tensor  # float32 (2n, 6): 1 where ``moved`` is to be predicted, else 0


def crops(windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares of ``SEEN`` of each window's side (n, 3), each at a random place in its window."""
    room = windows[:, 2:] * (1 - SEEN) / 2
    return np.hstack([windows[:, :2] + room * rng.uniform(-1, 1, (len(windows), 2)), windows[:, 2:] * SEEN])


def displacement(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(dx, dy, log scale) of the ``other`` squares (n, 3), the centres in sides of one's ``own``."""
    return np.hstack([(other - own)[:, :2] / own[:, 2:], np.log(other[:, 2:] / own[:, 2:])])


def cut(canvases: Tensor, squares: np.ndarray, size: int) -> Tensor:
    """The squares (n, 3), in pixels of uint8 canvases (n, 3, C, C), as uint8 (n, 3, size, size)."""
    half = squares[:, 2:] / 2
    boxes = np.hstack([np.arange(len(squares))[:, None], squares[:, :2] - half, squares[:, :2] + half])
    views = roi_align(canvases.float(), torch.from_numpy(boxes).float(), size, sampling_ratio=2, aligned=True)
    return views.round().to(torch.uint8)


def paste(views: Tensor, canvases: Tensor, squares: np.ndarray, textures: np.ndarray, bumps: np.ndarray) -> Tensor:
    """Shapes with a wavy outline over views.

    Args:
        views: uint8 (n, 3, S, S).
        canvases: (n, 3, C, C), from which the shapes are cut.
        squares: (n, 3) around the shapes, in sides of a view.
        textures: (n, 3) squares of the canvases, in sides of a canvas.
        bumps: (n, 2, 3), amplitude and phase of the outline's waves of 2, 3 and 4 turns.
    """
    S = views.shape[-1]
    x, y, side = torch.from_numpy(squares).float().T[..., None, None]
    at = (torch.arange(S) + 0.5) / S
    u, v = ((at - x) / side).expand(-1, S, S), ((at[:, None] - y) / side).expand(-1, S, S)
    height, phase = torch.from_numpy(bumps).float().permute(1, 0, 2)[..., None, None]  # (n, 3, 1, 1)
    waves = height * torch.cos(torch.tensor([2.0, 3.0, 4.0])[:, None, None] * torch.atan2(v, u)[:, None] + phase)
    inside = 0.5 * (1 + waves.sum(dim=1)) / (1 + height.sum(dim=1)) - torch.hypot(u, v)
    alpha = (inside * side * S + 0.5).clamp(0, 1)[:, None]
    tx, ty, reach = torch.from_numpy(textures).float().T[..., None, None]
    grid = 2 * torch.stack([tx + u * reach, ty + v * reach], dim=-1) - 1
    shapes = F.grid_sample(canvases.float(), grid, padding_mode="reflection", align_corners=False)
    return (alpha * shapes + (1 - alpha) * views).round().to(torch.uint8)


def varied(canvases: Tensor, rng: np.random.Generator) -> Tensor:
    """Scenes mirrored, turned, in other colours and in parts of others, uint8 (n, 3, C, C); captions do not hold.

    Each is one of the eight mirrored and turned versions; in smooth regions it gives way to the next one; its channels
    are mixed at random, and its contrast, its brightness and their sign change. Displacements read on them depend less
    on how the scenes were drawn.
    """
    n, C = len(canvases), canvases.shape[-1]
    ways, turned = torch.from_numpy(rng.integers(8, size=n)), torch.empty_like(canvases)
    for way in range(8):
        some = canvases[ways == way].rot90(way % 4, (2, 3))
        turned[ways == way] = some.flip(3) if way >= 4 else some
    order = rng.random((n, 3)).argsort(axis=1)
    mix = 0.5 * np.eye(3)[order] + 0.5 * rng.dirichlet(np.full(3, 0.5), (n, 3))
    contrast = rng.uniform(0.4, 1.4, (n, 1, 1, 1)) * rng.choice([1, 1, -1], (n, 1, 1, 1))
    brightness = rng.uniform(70, 185, (n, 1, 1, 1))
    hills = torch.from_numpy(rng.normal(size=(n, 1, *[rng.integers(3, 9)] * 2))).float()
    steep, least = torch.from_numpy(rng.uniform([[1], [-0.5]], [[30], [1]], (2, n)))[..., None, None, None].float()
    share = torch.sigmoid(steep * (F.interpolate(hills, size=(C, C), mode="bicubic") + least))
    parts = share * turned + (1 - share) * turned.roll(1, 0)
    mixed = torch.einsum("nij,njhw->nihw", torch.from_numpy(mix).float(), parts)
    mixed -= mixed.mean(dim=(1, 2, 3), keepdim=True)
    return (mixed * torch.from_numpy(contrast).float() + torch.from_numpy(brightness).float()).clamp(0, 255).byte()


def draw_pairs(canvases: Tensor, windows: np.ndarray, size: int, rng: np.random.Generator) -> Pairs:
    """Two views of each scene; in every other scene the camera moves, in the rest a pasted shape does.

    The first view is a crop of the scene's window in the first half of the scenes, and any square of ``varied`` scenes
    in the others.

    Args:
        canvases: uint8 (n, 3, C, C).
        windows: (n, 3), in pixels of the canvases.
        size: S.
        rng: source of randomness.
    """
    n, C = len(windows), canvases.shape[-1]
    anywhere = np.arange(n) >= n // 2
    canvases = torch.cat([canvases[: n // 2], varied(canvases[n // 2 :], rng)])
    sides = rng.uniform(0.3, 0.7, (n, 1)) * C
    free = np.hstack([sides / 2 + rng.random((n, 2)) * (C - sides), sides])
    first = np.where(anywhere[:, None], free, crops(windows, rng))
    pans = (np.arange(n) % 2 == 0)[:, None]
    second = np.where(pans, _moved(first, C, 0.35 * C, 0.7, rng), first)
    start = np.hstack([rng.uniform(0.2, 0.8, (n, 2)), rng.uniform(0.18, 0.4, (n, 1))])
    end = _moved(start, 1.0, 0.5, 0.8, rng)
    textures = np.hstack([rng.uniform(0.3, 0.7, (n, 2)), rng.uniform(0.2, 0.6, (n, 1))])
    bumps = np.stack([rng.uniform(0, 1, (n, 3)) / [4, 6, 8], rng.uniform(0, 2 * np.pi, (n, 3))], axis=1)
    things, others = torch.from_numpy(~pans.ravel()), canvases.roll(1, 0)
    views, moved = [], []
    thing = np.hstack([(end - start)[:, :2], np.log(end[:, 2:] / start[:, 2:])])
    for own, other, square, sign in ((first, second, start, 1), (second, first, end, -1)):
        plain = cut(canvases, own, size)
        views.append(torch.where(things[:, None, None, None], paste(plain, others, square, textures, bumps), plain))
        moved.append(np.hstack([displacement(own, other), sign * thing]))
    known = np.hstack([np.ones((n, 3)), np.repeat(~pans, 3, axis=1)])
    return Pairs(
        torch.cat(views),
        torch.from_numpy(np.concatenate(moved)).float(),
        torch.from_numpy(np.concatenate([known, known])).float(),
    )


def _moved(squares: np.ndarray, C: float, reach: float, zoom: float, rng: np.random.Generator) -> np.ndarray:
    """Squares elsewhere in [0, C]: shifted up to ``reach`` in some, scaled up to exp(``zoom``) in others, or both."""
    n = len(squares)
    kind = rng.integers(3, size=(n, 1))
    scale = np.exp(zoom * rng.uniform(-1, 1, (n, 1)) * (kind > 0))
    sides = np.minimum(squares[:, 2:] * scale, C)
    centres = squares[:, :2] + reach * rng.uniform(-1, 1, (n, 2)) * (kind < 2)
    return np.hstack([np.clip(centres, sides / 2, C - sides / 2), sides])


class Seen(NamedTuple):
    """What the linear heads predict of B views."""

    own: Tensor  # (n, B, 27), a view's thumbnail from the means that enter blocks
    both: Tensor  # (n, B, 54), its own and the other view's from the class tokens that enter the earlier ones
    moved: Tensor  # (B, 6), displacements over ``SPREAD``


class Carry(nn.Module):
    """In place of a block's temporal prompt: one token for each view, made of the other view's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = Mix()

    def forward(self, x: Tensor, ln_1: nn.Module, attention: nn.MultiheadAttention) -> Tensor:
        """Tokens of views and of their partners, half a batch apart (2n, 1+N, D) -> (2n, 1, D)."""
        other = x.mean(dim=1, keepdim=True).roll(len(x) // 2, 0)
        return attend(attention, ln_1(other), self.mix)


class WithHeads(nn.Module):
    """A CLIP with linear heads for thumbnails and displacements, in the form that distributed training wraps."""

    def __init__(self, model: EZCLIP):
        super().__init__()
        self.model = model
        width, thumbnail = model.vision.class_embedding.shape[-1], COEFFICIENTS
        self.carry, layers = Carry(), model.layers
        self.own = nn.ModuleList(nn.Linear(width, thumbnail) for _ in range(1, layers))  # from the means
        self.both = nn.ModuleList(nn.Linear(width, 2 * thumbnail) for _ in range(1, layers // 2 + 1))
        self.moved = nn.Linear(width, len(SPREAD))

    def forward(self, pixels: Tensor, tokens: Tensor, paired: bool) -> tuple[Tensor, Tensor, Seen]:
        """Both encoders and the heads.

        Args:
            pixels: (B, 3, S, S) from ``normalise``.
            tokens: (C, L).
            paired: whether each picture's blocks see the mean of the picture half a batch away.

        Returns:
            Embeddings (B, E) and (C, E), and what the heads predict.
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
        own = torch.stack([head(mean) for head, mean in zip(self.own, means[1:])])
        both = torch.stack([head(one) for head, one in zip(self.both, classes[1:])])
        return token @ vision.proj, self.model.encode_text(tokens), Seen(own, both, self.moved(token))


def thumbnails(pixels: Tensor) -> Tensor:
    """Low spatial frequencies of brightness and of two colour contrasts, of views from ``normalise`` (B, 3, S, S).

    Returns:
        (B, 27) coefficients of the discrete cosine transform, each with mean 0 and variance 1 in the batch. In pixels
        the mean brightness alone would be 70 % of the variance, and left against right 2 %.
    """
    red, green, blue = F.adaptive_avg_pool2d(pixels, SIDE).unbind(1)
    planes = [(red + green + blue, GREY), (red - green, COLOUR), (2 * blue - red - green, COLOUR)]
    at = torch.arange(SIDE, device=pixels.device)
    cosines = torch.cos(torch.pi * (at + 0.5) * at[:, None] / SIDE)  # one frequency a row
    spectra = [(cosines @ plane @ cosines.T, most) for plane, most in planes]
    # by slices, since a mask waits for a GPU
    found = torch.cat([spectrum[:, u, : most + 1 - u] for spectrum, most in spectra for u in range(most + 1)], dim=1)
    return (found - found.mean(dim=0)) / (found.std(dim=0) + 1e-6)


def auxiliary(pixels: Tensor, seen: Seen, pairs: Pairs | None) -> dict[str, Tensor]:
    """The losses beside that of the captions, of ``WithHeads``' predictions for views from ``normalise``.

    Returns:
        Mean squared errors by the names of ``WEIGHTS``: "thumbnails" of a view's own from all heads, "carried" of the
        other view's, "moved" of the displacements that are to be predicted; without pairs the last two are 0.
    """
    target = thumbnails(pixels)
    own, other = seen.both.float().chunk(2, dim=-1)
    of_own = torch.cat([seen.own.float(), own])
    found = {"thumbnails": F.mse_loss(of_own, target.expand_as(of_own))}
    if pairs is None:
        return found | {"carried": 0 * other.sum(), "moved": 0 * seen.moved.float().sum()}
    known = to_device(pairs.known, pixels.device)
    moved = to_device(pairs.moved / torch.tensor(SPREAD), pixels.device)
    errors = known * (seen.moved.float() - moved) ** 2
    carried = F.mse_loss(other, target.roll(len(target) // 2, 0).expand_as(other))
    return found | {"carried": carried, "moved": errors.sum() / known.sum()}
