"""Procedural pictures with the statistics of natural images, places, and things textured with such pictures."""

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
    return _lit(planes, rng)


def place(rng: np.random.Generator, size: int) -> Image.Image:
    """A picture of a room, a corridor, shelves, a street, a kitchen or a lake, size x size, with slight noise."""
    sketch = Image.new("RGB", (size, size), _fill(rng))
    _PLACES[rng.integers(len(_PLACES))](ImageDraw.Draw(sketch), size, rng)
    return _lit(np.asarray(sketch, np.float32) + rng.uniform(0, 0.3) * (_noise(rng, size) - 128), rng)


def backdrop(rng: np.random.Generator, size: int) -> Image.Image:
    """A place or, more often, a surface, size x size."""
    return place(rng, size) if rng.random() < 0.3 else surface(rng, size)


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


def _lit(planes: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Planes (size, size, 3) as a picture, brighter towards one side and sometimes blurred."""
    x, y = np.meshgrid(*[np.linspace(-1, 1, len(planes))] * 2)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.35) * (x * np.cos(angle) + y * np.sin(angle))
    picture = _picture(planes * light[..., None])
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5))) if rng.random() < 0.4 else picture


def _room(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """A wall with windows or pictures, and a floor of boards."""
    floor = size * rng.uniform(0.6, 0.85)
    for left in np.arange(rng.uniform(0.02, 0.2), 0.8, rng.uniform(0.3, 0.6)) * size:
        right, top, foot = left + size * rng.uniform(0.12, 0.26), size * rng.uniform(0.05, 0.25), floor * 0.8
        pen.rectangle((left, top, right, foot), _fill(rng), _fill(rng), int(rng.integers(2, 7)))
        pen.line(((left + right) / 2, top, (left + right) / 2, foot), _fill(rng), 2)
    pen.rectangle((0, floor, size, size), _fill(rng))
    centre, seam = rng.uniform(0, size), _fill(rng)
    for x in np.linspace(-size, 2 * size, int(rng.integers(8, 24))):
        pen.line((centre + (x - centre) * 0.5, floor, x, size), seam)
    pen.line((0, floor, size, floor), _fill(rng), int(rng.integers(2, 8)))


def _corridor(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """A floor, a ceiling and two walls with doors, in perspective."""
    x, y = size * rng.uniform(0.3, 0.7, 2)
    half = size * rng.uniform(0.06, 0.2)
    corners, back = [(0, 0), (size, 0), (size, size), (0, size)], [
        (x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)
    ]  # fmt: skip
    for i in range(4):
        pen.polygon([corners[i - 1], corners[i], back[i], back[i - 1]], _fill(rng))
    pen.rectangle((*back[0], *back[2]), _fill(rng))
    door = _fill(rng)
    for near in np.cumsum(rng.uniform(0.08, 0.22, 4)):
        side = int(rng.integers(2))
        a, b = (np.array(corners[side]) * (1 - t) + np.array(back[side]) * t for t in (near, near + 0.08))
        c, d = (np.array(corners[3 - side]) * (1 - t) + np.array(back[3 - side]) * t for t in (near, near + 0.08))
        pen.polygon([tuple(a * 0.7 + c * 0.3), tuple(b * 0.7 + d * 0.3), tuple(d), tuple(c)], door)


def _shelves(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """Boards with upright blocks of many colours and heights."""
    step = size * rng.uniform(0.2, 0.4)
    board = _fill(rng)
    for foot in np.arange(step, size + step, step):
        x = 0.0
        while x < size:
            width, height = size * rng.uniform(0.02, 0.12), step * rng.uniform(0.3, 0.85)
            if rng.random() < 0.8:
                pen.rectangle((x, foot - height, x + width, foot), _fill(rng))
            x += width + size * rng.uniform(0, 0.02)
        pen.rectangle((0, foot, size, foot + size * 0.02), board)


def _street(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """Houses with rows of windows along a road."""
    road = size * rng.uniform(0.65, 0.85)
    x = 0.0
    while x < size:
        width, top = size * rng.uniform(0.12, 0.35), road * rng.uniform(0.05, 0.6)
        pen.rectangle((x, top, x + width, road), _fill(rng))
        pane, gap = _fill(rng), size * rng.uniform(0.035, 0.07)
        for left in np.arange(x + gap / 2, x + width - gap, gap * 1.5):
            for above in np.arange(top + gap / 2, road - gap, gap * 1.6):
                pen.rectangle((left, above, left + gap * 0.8, above + gap), pane)
        x += width
    grey = int(rng.integers(50, 140))
    pen.rectangle((0, road, size, size), (grey,) * 3)
    for left in np.arange(0, size, size * 0.16):
        pen.rectangle((left, (road + size) / 2, left + size * 0.08, (road + size) / 2 + size * 0.015), (225,) * 3)


def _kitchen(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """Tiles above a counter, cupboards below it."""
    counter, tile, joint = size * rng.uniform(0.45, 0.7), size * rng.uniform(0.06, 0.16), _fill(rng)
    for v in np.arange(0, size, tile):
        pen.line((v, 0, v, counter), joint, 2)
        pen.line((0, v, size, v), joint, 2)
    front, width = _fill(rng), size * rng.uniform(0.18, 0.4)
    pen.rectangle((0, counter, size, size), front)
    for x in np.arange(-width * rng.random(), size, width):
        pen.rectangle((x + 3, counter + size * 0.06, x + width - 3, size), None, joint, 2)
        pen.ellipse((x + width * 0.8, counter + size * 0.14, x + width * 0.86, counter + size * 0.17), _fill(rng))
    pen.rectangle((0, counter, size, counter + size * 0.04), _fill(rng))


def _lake(pen: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    """Hills above water with waves."""
    shore = size * rng.uniform(0.35, 0.6)
    for _ in range(rng.integers(1, 4)):
        x = np.linspace(0, size, 24)
        hills = 1 + np.sin(x / size * rng.uniform(2, 9) + rng.uniform(0, 6))
        ridge = shore - size * rng.uniform(0.02, 0.15) * hills
        pen.polygon([(0.0, shore), *zip(x, ridge), (float(size), shore)], _fill(rng))
    pen.rectangle((0, shore, size, size), _fill(rng))
    wave = _fill(rng)
    for depth in rng.random(int(rng.integers(20, 90))) ** 0.7:
        x, y, length = rng.uniform(0, size), shore + depth * (size - shore), size * (0.02 + 0.1 * depth)
        pen.line((x, y, x + length, y), wave, 1 + int(2 * depth))


_PLACES: list[Callable[[ImageDraw.ImageDraw, int, np.random.Generator], None]] = [
    _room, _corridor, _shelves, _street, _kitchen, _lake
]  # fmt: skip


def _fill(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(map(int, _colour(rng)))


def _colour(rng: np.random.Generator) -> np.ndarray:
    """A random colour, more often pale than vivid."""
    grey, vivid = rng.uniform(15, 240), rng.beta(1, 2)
    return np.clip(grey + vivid * rng.uniform(-120, 120, 3), 0, 255)


def _picture(planes: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))
