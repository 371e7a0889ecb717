"""Procedural pictures with the statistics of natural images, and things that are textured with them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ezclip.data.photographs import cut_out
from ezclip.data.tabletop.sprites import SIZE, Sprite

PATTERNED = "patterned"  # replaces the colour in the names of textured things


def surface(rng: np.random.Generator, size: int) -> Image.Image:
    """A picture of size x size: noise, leaves, a gradient or strokes, or one of them above another."""
    planes = _pattern(rng, size)
    if rng.random() < 0.35:  # a second pattern below a horizon
        edge = size * rng.uniform(0.3, 0.7) + np.cumsum(rng.normal(0, rng.uniform(0, 1.5), size))
        below = np.arange(size)[:, None] > edge
        planes = np.where(below[..., None], _pattern(rng, size), planes)
    x, y = np.meshgrid(*[np.linspace(-1, 1, size)] * 2)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.35) * (x * np.cos(angle) + y * np.sin(angle))
    picture = _picture(planes * light[..., None])
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5))) if rng.random() < 0.4 else picture


def patterned(sprite: Sprite, rng: np.random.Generator) -> Sprite:
    """The thing, or sometimes a random shape, textured with a surface."""
    if rng.random() < 0.4:
        picture = cut_out(np.asarray(surface(rng, 160)), rng).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        left, top, right, foot = picture.getchannel("A").getbbox() or (0, 0, SIZE, SIZE)
        return Sprite(f"{PATTERNED} thing", picture, foot, top, left, right, (left + right) / 2)
    pixels = np.asarray(sprite.image, np.float32).copy()
    shade = pixels[..., :3].mean(axis=-1, keepdims=True)
    solid = pixels[..., 3] > 0
    texture = np.asarray(surface(rng, max(sprite.image.size)), np.float32)[: len(pixels), : pixels.shape[1]]
    pixels[..., :3] = texture * np.clip(shade / max(float(shade[solid].mean()), 1.0), 0.4, 1.6)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return replace(sprite, name=f"{PATTERNED} {sprite.name.split()[1]}", image=picture)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise with a power-law amplitude spectrum, correlated between the three channels."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.normal(size=(3, size, size)))
    waves = np.fft.irfft2(white / frequency ** rng.uniform(0.8, 1.7), s=(size, size))
    waves /= waves.std(axis=(1, 2), keepdims=True)
    shared = rng.uniform(0.3, 0.95)  # weight of the component that all channels share
    noise = shared * waves[:1] + (1 - shared) * waves
    return np.moveaxis(_colour(rng)[:, None, None] + rng.uniform(25, 70) * noise, 0, -1)


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dead leaves: overlapping shapes in a few colours, their sizes from a power law."""
    picture = Image.new("RGB", (size, size), tuple(_colour(rng).astype(int)))
    pen, palette = ImageDraw.Draw(picture), np.stack([_colour(rng) for _ in range(rng.integers(3, 9))])
    count, p_ellipse = int(rng.integers(60, 400)), rng.random()
    smallest, largest = 0.012 * size, rng.uniform(0.15, 0.4) * size
    uniform = rng.random(count)
    radii = 1 / np.sqrt(uniform / smallest**2 + (1 - uniform) / largest**2)  # density falls with the cube of the radius
    for r in radii:
        x, y = rng.uniform(0, size, 2)
        fill = tuple(np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 12, 3), 0, 255).astype(int))
        if rng.random() < p_ellipse:
            a, b = r * rng.uniform(0.5, 1, 2)
            pen.ellipse((x - a, y - b, x + a, y + b), fill=fill)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            pen.polygon([*zip(x + r * np.cos(angles), y + r * np.sin(angles))], fill=fill)
    return np.asarray(picture, np.float32) + rng.uniform(0, 0.5) * (_noise(rng, size) - 128)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """A linear or radial gradient between two colours with slight texture."""
    y, x = np.mgrid[0:size, 0:size] / size - rng.uniform(0, 1, 2)[:, None, None]
    angle = rng.uniform(0, 2 * np.pi)
    position = np.hypot(x, y) if rng.random() < 0.3 else x * np.cos(angle) + y * np.sin(angle)
    weight = (position - position.min()) / np.ptp(position)
    planes = _colour(rng) + weight[..., None] * (_colour(rng) - _colour(rng))
    return planes + rng.uniform(0, 0.4) * (_noise(rng, size) - 128)


def _strokes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Curved strokes over a gradient."""
    picture = _picture(_gradient(rng, size))
    pen, direction = ImageDraw.Draw(picture), rng.uniform(0, np.pi)
    spread = rng.uniform(0.1, 2)
    for _ in range(rng.integers(15, 150)):
        angles = direction + rng.normal(0, spread) + np.cumsum(rng.normal(0, 0.3, 6))
        steps = rng.uniform(0.02, 0.12) * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = rng.uniform(0, size, 2) + np.cumsum(steps, axis=0)
        pen.line([*map(tuple, points)], tuple(_colour(rng).astype(int)), int(rng.integers(1, 2 + size // 30)))
    return np.asarray(picture, np.float32)


_PATTERNS: list[Callable[[np.random.Generator, int], np.ndarray]] = [_noise, _leaves, _leaves, _gradient, _strokes]


def _pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    return _PATTERNS[rng.integers(len(_PATTERNS))](rng, size)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """A random colour, more often pale than vivid."""
    grey, vivid = rng.uniform(15, 240), rng.beta(1, 2)
    return np.clip(grey + vivid * rng.uniform(-120, 120, 3), 0, 255)


def _picture(planes: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))
