"""Scenes at one instant and their rendering: a table against a wall, things with soft shadows, a camera."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

from ezclip.data.tabletop.sprites import Sprite

CANVAS = 224  # side of the canvas on which a scene is composed
VIEW = 160  # side of the camera's window on the canvas at zoom 1
FRAME = 128  # side of a frame
HORIZON = 84.0  # y of the table's far edge on the canvas
BACKGROUND, STILL, MOVING = 0, 1, 2  # mask values


@dataclass(frozen=True)
class Placement:
    """One sprite in the scene.

    Attributes:
        sprite: the sprite.
        x: canvas x of the pivot, by default the centre of the foot.
        y: canvas y of the foot on the table.
        lift: height above the table in canvas pixels; the shadow stays on the table.
        scale: scale factor.
        angle: clockwise rotation about the pivot in degrees.
        moving: whether it counts as a moving object in the masks.
        shadow: whether it casts a shadow.
    """

    sprite: Sprite
    x: float
    y: float
    lift: float = 0.0
    scale: float = 1.0
    angle: float = 0.0
    moving: bool = False
    shadow: bool = True


@dataclass(frozen=True)
class Camera:
    """The camera's window: its centre on the canvas, and zoom."""

    x: float = CANVAS / 2
    y: float = CANVAS / 2
    zoom: float = 1.0


@dataclass(frozen=True)
class Scene:
    """The sprites at one instant, drawn in order."""

    placements: list[Placement]
    camera: Camera = field(default_factory=Camera)


def depth_scale(y: float) -> float:
    """Scale of things whose foot is at canvas row y: smaller towards the table's far edge."""
    return 0.55 + 0.45 * (y - HORIZON) / (CANVAS - 40 - HORIZON)


def table(rng: np.random.Generator) -> Image.Image:
    """A wall and a table top of grained wood, boards, tiles or plain cloth, lit from one side."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    depth = 1.0 / np.maximum(y - HORIZON + 26.0, 1.0)  # perspective: distances on the table shrink towards the horizon
    u, v = (x - CANVAS / 2) * depth * 60.0, 3000.0 * depth
    top = rng.uniform(70, 205) * np.array([1.0, rng.uniform(0.72, 1.0), rng.uniform(0.5, 1.0)])
    kind, period = rng.integers(4), rng.uniform(14, 30)
    if kind == 0:  # grained wood
        pattern = 0.9 + 0.1 * np.sin(v / period * 4 + 2 * np.sin(u / 35 + rng.uniform(0, 6)))
    elif kind == 1:  # boards
        pattern = 1.0 - 0.25 * ((u / period + rng.uniform()) % 1 < 0.07) + 0.03 * np.sin(v / 3)
    elif kind == 2:  # tiles
        pattern = 0.92 + 0.1 * np.sign(np.sin(u / period * np.pi) * np.sin(v / period * np.pi))
    else:
        pattern = np.ones_like(u)
    wall = rng.uniform(90, 235) * np.array([rng.uniform(0.8, 1.0), rng.uniform(0.85, 1.0), rng.uniform(0.8, 1.0)])
    stripes = 1 + 0.05 * np.sign(np.sin(x / rng.uniform(5, 16))) * (rng.random() < 0.4)
    image = np.where((y < HORIZON)[..., None], wall * stripes[..., None], top * pattern[..., None])
    for _ in range(rng.integers(3)):  # pictures on the wall
        px, py, w, h = rng.integers(0, 190), rng.integers(0, 46), rng.integers(18, 44), rng.integers(14, 30)
        image[py : py + h, px : px + w] = wall * rng.uniform(0.45, 0.75)
        image[py + 3 : py + h - 3, px + 3 : px + w - 3] = rng.uniform(110, 235, 3)
    image[(y >= HORIZON - 3) & (y < HORIZON)] *= 0.6  # the table's far edge
    side = rng.choice([-1, 1])
    light = 1.0 + 0.16 * side * (x / CANVAS - 0.5) - 0.1 * (y / CANVAS - 0.5)
    image = image * light[..., None] + rng.normal(0, 2.5, image.shape)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


_SOFT = Image.new("L", (96, 40), 0)
_SOFT.paste(150, (22, 12, 74, 28))
_SOFT = _SOFT.filter(ImageFilter.GaussianBlur(8))


def compose(background: Image.Image, scene: Scene) -> tuple[Image.Image, np.ndarray]:
    """Draw a scene.

    Returns:
        The frame, RGB FRAME x FRAME, and its mask, uint8 (FRAME, FRAME) of BACKGROUND, STILL and MOVING.
    """
    canvas, mask = paint(background, scene.placements)
    box = window(scene.camera)
    frame = canvas.resize((FRAME, FRAME), Image.Resampling.BILINEAR, box=box)
    small = mask.resize((FRAME, FRAME), Image.Resampling.NEAREST, box=box)
    return frame, np.asarray(small)


def window(camera: Camera) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the camera's window, clamped to the canvas."""
    half = VIEW / camera.zoom / 2
    x, y = (min(max(v, half), CANVAS - half) for v in (camera.x, camera.y))
    return x - half, y - half, x + half, y + half


def paint(background: Image.Image, placements: list[Placement]) -> tuple[Image.Image, Image.Image]:
    """Draw things and their shadows on a copy of the background; returns the canvas and its mask."""
    canvas = background.copy()
    mask = Image.new("L", canvas.size, BACKGROUND)
    for p in placements:
        if p.shadow:
            spread = 1 + p.lift / 120
            xs, _ = _corners(p)
            size = (int((xs.max() - xs.min()) * 1.5 * spread) + 1, int(20 * p.scale * spread) + 1)
            soft = _SOFT.resize(size)
            if p.lift:
                soft = soft.point([int(a / spread) for a in range(256)])
            middle = (xs.max() + xs.min()) / 2
            canvas.paste((12, 10, 16), (round(middle - size[0] / 2), round(p.y - size[1] * 0.6)), soft)
    for p in placements:
        picture, corner = _place(p)
        canvas.paste(picture, corner, picture)
        mask.paste(MOVING if p.moving else STILL, corner, picture.getchannel("A").point(_SOLID))
    return canvas, mask


_SOLID = [255 if a > 100 else 0 for a in range(256)]


def _corners(p: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Canvas x and y of the four corners of the sprite's visible part."""
    cos, sin = np.cos(np.radians(p.angle)), np.sin(np.radians(p.angle))
    dx = np.array([p.sprite.left, p.sprite.right] * 2) - p.sprite.pivot
    dy = np.array([p.sprite.top] * 2 + [p.sprite.foot] * 2) - p.sprite.foot
    return p.x + p.scale * (cos * dx - sin * dy), p.y - p.lift + p.scale * (sin * dx + cos * dy)


def _place(p: Placement) -> tuple[Image.Image, tuple[int, int]]:
    """The sprite, scaled and rotated with sub-pixel accuracy, and the upper left canvas corner for pasting it."""
    xs, ys = _corners(p)
    left, top = int(np.floor(xs.min())) - 1, int(np.floor(ys.min())) - 1
    size = (int(np.ceil(xs.max())) - left + 2, int(np.ceil(ys.max())) - top + 2)
    a, b = np.cos(np.radians(p.angle)) / p.scale, np.sin(np.radians(p.angle)) / p.scale
    x, y = left - p.x, top - (p.y - p.lift)  # the corner relative to the pivot
    inverse = (a, b, p.sprite.pivot + a * x + b * y, -b, a, p.sprite.foot - b * x + a * y)
    picture = p.sprite.image.transform(size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    return picture, (left, top)
