"""Things on a table as RGBA pictures: drawn and shaded once per clip, then moved around by the renderer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 72  # side of a sprite in canvas pixels
_OVERSAMPLING = 3  # sprites are drawn larger by this factor, then downscaled
_ARM = 3.4  # length of an arm with its hand in sprite sides, so that it extends beyond the frame

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 38, 38),
    "orange": (240, 130, 25),
    "yellow": (240, 215, 50),
    "green": (45, 150, 60),
    "blue": (40, 80, 200),
    "purple": (125, 50, 160),
    "pink": (245, 140, 185),
    "white": (238, 238, 235),
    "black": (35, 35, 38),
}
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Sprite:
    """A thing from the front, standing on the lower edge of the visible part of its picture.

    Attributes:
        name: used in captions, for example "red mug".
        image: RGBA, SIZE x SIZE; arms are longer.
        foot: y of the lowest visible row.
        top: y of the highest visible row.
        left: x of the leftmost visible column.
        right: x of the rightmost visible column.
        pivot: x of the point on the foot that is the origin of placement and rotation.
    """

    name: str
    image: Image.Image
    foot: int
    top: int
    left: int
    right: int
    pivot: float

    @property
    def height(self) -> int:
        """Visible height in canvas pixels at scale 1."""
        return self.foot - self.top

    @property
    def width(self) -> int:
        """Visible width in canvas pixels at scale 1."""
        return self.right - self.left


class Pen:
    """Draws polygons and ellipses in unit coordinates, y downwards, in shades of one colour."""

    def __init__(self, colour: tuple[int, int, int], width: float = 1.0):
        self.colour = np.array(colour, float)
        self.picture = Image.new("RGBA", (int(SIZE * _OVERSAMPLING * width), SIZE * _OVERSAMPLING), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.picture)

    def shade(self, k: float) -> tuple[int, ...]:
        """The colour, darkened (k < 1) or mixed with white (k > 1)."""
        c = self.colour * k if k <= 1 else self.colour + (255 - self.colour) * (k - 1)
        return (*(int(v) for v in np.clip(c, 0, 255)), 255)

    def ellipse(self, box: Box, k: float = 1.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled ellipse in the box (left, top, right, bottom)."""
        self._draw.ellipse([v * SIZE * _OVERSAMPLING for v in box], fill=fill or self.shade(k))

    def ring(self, box: Box, width: float, k: float = 1.0) -> None:
        """Outline of an ellipse."""
        self._draw.ellipse(
            [v * SIZE * _OVERSAMPLING for v in box], outline=self.shade(k), width=int(width * SIZE * _OVERSAMPLING)
        )

    def polygon(self, points: list[tuple[float, float]], k: float = 1.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled polygon."""
        self._draw.polygon(
            [(x * SIZE * _OVERSAMPLING, y * SIZE * _OVERSAMPLING) for x, y in points], fill=fill or self.shade(k)
        )

    def block(self, box: Box, k: float = 1.0, radius: float = 0.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled rectangle with round corners."""
        self._draw.rounded_rectangle(
            [v * SIZE * _OVERSAMPLING for v in box], radius * SIZE * _OVERSAMPLING, fill=fill or self.shade(k)
        )


def _ball(pen: Pen) -> None:
    pen.ellipse((0.2, 0.3, 0.8, 0.9))
    pen.ellipse((0.3, 0.36, 0.5, 0.54), 1.5)


def _mug(pen: Pen) -> None:
    pen.ring((0.58, 0.42, 0.9, 0.78), 0.07, 0.85)
    pen.block((0.2, 0.34, 0.7, 0.92), radius=0.06)
    pen.ellipse((0.2, 0.28, 0.7, 0.42), 1.25)
    pen.ellipse((0.25, 0.31, 0.65, 0.39), 0.4)


def _bottle(pen: Pen) -> None:
    pen.block((0.34, 0.36, 0.66, 0.96), radius=0.08)
    pen.polygon([(0.34, 0.42), (0.44, 0.24), (0.56, 0.24), (0.66, 0.42)])
    pen.block((0.44, 0.06, 0.56, 0.28), 0.9)
    pen.block((0.42, 0.03, 0.58, 0.1), 0.5)
    pen.block((0.34, 0.55, 0.66, 0.75), 1.6)


def _box(pen: Pen) -> None:
    pen.polygon([(0.14, 0.48), (0.28, 0.34), (0.88, 0.34), (0.74, 0.48)], 1.35)
    pen.polygon([(0.74, 0.48), (0.88, 0.34), (0.88, 0.8), (0.74, 0.94)], 0.65)
    pen.block((0.14, 0.48, 0.74, 0.94))


def _book(pen: Pen) -> None:
    pen.polygon([(0.1, 0.72), (0.3, 0.5), (0.98, 0.5), (0.78, 0.72)], 1.1)
    pen.polygon([(0.78, 0.72), (0.98, 0.5), (0.98, 0.66), (0.78, 0.9)], fill=(236, 228, 205, 255))
    pen.block((0.1, 0.72, 0.78, 0.9), 0.7)
    pen.polygon([(0.34, 0.66), (0.42, 0.57), (0.78, 0.57), (0.7, 0.66)], 1.7)


def _coin(pen: Pen) -> None:
    pen.ellipse((0.22, 0.62, 0.78, 0.9), 0.6)
    pen.ellipse((0.22, 0.57, 0.78, 0.85), 1.15)
    pen.ellipse((0.32, 0.62, 0.68, 0.8), 0.8)
    pen.ellipse((0.36, 0.64, 0.64, 0.78), 1.15)


def _leaf(pen: Pen) -> None:
    t = np.linspace(0, 1, 24)
    w = 0.26 * np.sin(np.pi * t) ** 0.8
    x, y = 0.1 + 0.78 * t, 0.88 - 0.4 * t
    pen.polygon([*zip(x - w * 0.45, y - w), *zip(x[::-1] + w[::-1] * 0.45, y[::-1] + w[::-1])])
    pen.polygon([(0.04, 0.91), (0.88, 0.47), (0.88, 0.49), (0.06, 0.93)], 0.5)


def _pen(pen: Pen) -> None:
    pen.polygon([(0.06, 0.86), (0.8, 0.5), (0.85, 0.58), (0.1, 0.95)])
    pen.polygon([(0.8, 0.5), (0.97, 0.46), (0.85, 0.58)], fill=(225, 200, 165, 255))
    pen.polygon([(0.06, 0.86), (0.14, 0.825), (0.18, 0.91), (0.1, 0.95)], 0.4)


def _cone(pen: Pen) -> None:
    pen.polygon([(0.5, 0.08), (0.82, 0.86), (0.18, 0.86)])
    pen.ellipse((0.18, 0.78, 0.82, 0.95))
    pen.polygon([(0.5, 0.08), (0.62, 0.37), (0.38, 0.37)], 1.6)


def _star(pen: Pen) -> None:
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radius = np.where(np.arange(10) % 2 == 0, 0.42, 0.18)
    pen.polygon([*zip(0.5 + radius * np.cos(angles), 0.52 + radius * np.sin(angles))])


def _key(pen: Pen) -> None:
    pen.ring((0.06, 0.6, 0.42, 0.92), 0.09)
    pen.block((0.38, 0.72, 0.94, 0.8), 0.9)
    pen.block((0.8, 0.78, 0.86, 0.92), 0.9)
    pen.block((0.68, 0.78, 0.74, 0.9), 0.9)


def _duck(pen: Pen) -> None:
    pen.ellipse((0.12, 0.5, 0.8, 0.92))
    pen.ellipse((0.52, 0.2, 0.88, 0.58), 1.1)
    pen.polygon([(0.84, 0.36), (1.0, 0.42), (0.84, 0.48)], fill=(240, 140, 30, 255))
    pen.ellipse((0.7, 0.3, 0.77, 0.37), fill=(20, 20, 20, 255))


def _fish(pen: Pen) -> None:
    pen.polygon([(0.3, 0.66), (0.02, 0.42), (0.06, 0.9)], 0.8)
    pen.ellipse((0.18, 0.42, 0.96, 0.92))
    pen.ellipse((0.76, 0.54, 0.84, 0.62), fill=(20, 20, 20, 255))


def _tree(pen: Pen) -> None:
    pen.block((0.43, 0.62, 0.57, 0.95), fill=(110, 74, 44, 255))
    for y, half in ((0.66, 0.4), (0.46, 0.32), (0.28, 0.24)):
        pen.polygon([(0.5 - half, y), (0.5 + half, y), (0.5, y - 0.32)], 0.8 + y / 3)


THINGS: dict[str, Callable[[Pen], None]] = {
    "ball": _ball,
    "mug": _mug,
    "bottle": _bottle,
    "box": _box,
    "book": _book,
    "coin": _coin,
    "leaf": _leaf,
    "pen": _pen,
    "cone": _cone,
    "star": _star,
}
UNSEEN_THINGS: dict[str, Callable[[Pen], None]] = {"key": _key, "duck": _duck, "fish": _fish, "tree": _tree}


def thing(draw: Callable[[Pen], None], kind: str, colour: str, rng: np.random.Generator) -> Sprite:
    """A thing drawn in one of ``COLOURS``, with random shade and texture."""
    base = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 7, 3), 0, 255)
    pen = Pen(tuple(base))
    draw(pen)
    return _finish(f"{colour} {kind}", pen.picture, rng)


def container(colour: str, rng: np.random.Generator) -> tuple[Sprite, Sprite]:
    """An open bowl: its back (drawn before its content) and its front (drawn after it)."""
    front, back = Pen(COLOURS[colour]), Pen(COLOURS[colour])
    back.ellipse((0.04, 0.36, 0.96, 0.62), 0.55)
    back.ellipse((0.09, 0.39, 0.91, 0.6), 0.3)
    rim = np.linspace(0, np.pi, 24)
    front.polygon(
        [*zip(0.5 + 0.46 * np.cos(rim), 0.49 + 0.13 * np.sin(rim)), (0.14, 0.8), (0.3, 0.95), (0.7, 0.95), (0.86, 0.8)]
    )
    back_sprite, front_sprite = (_finish(f"{colour} bowl", pen.picture, rng, texture=False) for pen in (back, front))
    return back_sprite, front_sprite


def cloth(colour: str, rng: np.random.Generator) -> Sprite:
    """A draped cloth, wide and tall enough to hide any thing."""
    pen = Pen(COLOURS[colour])
    hem = [(x, 0.93 + 0.03 * np.sin(14 * x + rng.uniform(0, 6))) for x in np.linspace(0.99, 0.01, 18)]
    pen.polygon([(0.16, 0.1), (0.5, 0.04), (0.84, 0.1), *hem])
    for x in (0.2, 0.42, 0.63, 0.82):
        pen.polygon([(0.35 + 0.3 * x, 0.12), (x + 0.03, 0.92), (x - 0.03, 0.92)], 0.8)
    return _finish(f"{colour} cloth", pen.picture, rng)


def chest(colour: str, rng: np.random.Generator) -> tuple[Sprite, Sprite]:
    """An open chest from the front, and its lid, which rotates about its left end."""
    body, lid = Pen(COLOURS[colour]), Pen(COLOURS[colour])
    body.polygon([(0.06, 0.56), (0.16, 0.46), (0.94, 0.46), (0.84, 0.56)], 0.35)
    body.polygon([(0.84, 0.56), (0.94, 0.46), (0.94, 0.86), (0.84, 0.96)], 0.65)
    body.block((0.06, 0.56, 0.84, 0.96))
    lid.polygon([(0.06, 0.84), (0.16, 0.74), (0.94, 0.74), (0.84, 0.84)], 1.35)
    lid.block((0.06, 0.84, 0.84, 0.94), 0.8)
    lid.polygon([(0.84, 0.84), (0.94, 0.74), (0.94, 0.84), (0.84, 0.94)], 0.6)
    body_sprite, lid_sprite = (_finish(f"{colour} chest", pen.picture, rng, texture=False) for pen in (body, lid))
    return body_sprite, replace(lid_sprite, pivot=lid_sprite.left)


def hand(direction: str, rng: np.random.Generator) -> Sprite:
    """A fist with a long sleeve, reaching in from ``direction``: "left", "right" or "above"."""
    skin = [(236, 188, 150), (198, 134, 94), (141, 85, 54), (90, 56, 40)][rng.integers(4)]
    sleeve = tuple(int(v) for v in rng.integers(40, 220, 3))
    pen = Pen(skin, width=_ARM)
    pen.block((0.0, 0.36, _ARM - 0.58, 0.64), fill=(*sleeve, 255))
    pen.block((_ARM - 0.6, 0.4, _ARM - 0.4, 0.62), 0.92)
    pen.block((_ARM - 0.44, 0.32, _ARM - 0.04, 0.72), radius=0.12)
    for y in (0.42, 0.52, 0.62):
        pen.block((_ARM - 0.26, y - 0.01, _ARM - 0.04, y + 0.01), 0.7)
    return _reach(pen, direction, rng)


def arm(direction: str, rng: np.random.Generator) -> Sprite:
    """Like ``hand``, of many looks: any skin, thin or thick, bare or in a sleeve; a fist, a flat hand or a finger."""
    light, dark = np.array([(245, 208, 180), (72, 44, 32)])
    pen = Pen(tuple(light + rng.random() * (dark - light) + rng.normal(0, 6, 3)), width=_ARM)
    thick, middle, bare = rng.uniform(0.6, 1.2), 0.52, _ARM - rng.uniform(0.5, 2.6)
    pen.block((0.0, middle - 0.09 * thick, _ARM - 0.3, middle + 0.09 * thick), 0.92)
    sleeve, stripe = ((*map(int, rng.integers(20, 235, 3)), 255) for _ in range(2))
    if rng.random() < 0.75:
        pen.block((0.0, middle - 0.14 * thick, bare, middle + 0.14 * thick), fill=sleeve)
        for x in np.arange(0.0, bare - 0.08, rng.uniform(0.14, 0.4)) if rng.random() < 0.4 else ():
            pen.block((x, middle - 0.14 * thick, x + 0.07, middle + 0.14 * thick), fill=stripe)
    if rng.random() < 0.25:  # a watch or bracelet
        pen.block((_ARM - 0.56, middle - 0.11 * thick, _ARM - 0.46, middle + 0.11 * thick), fill=stripe)
    kind = rng.integers(3)
    if kind == 0:  # flat
        pen.block((_ARM - 0.44, middle - 0.1 * thick, _ARM - 0.02, middle + 0.06 * thick), radius=0.06)
        pen.polygon([(_ARM - 0.4, middle), (_ARM - 0.18, middle + 0.2), (_ARM - 0.26, middle + 0.22)], 0.85)
    else:
        reach = 0.04 if kind == 1 else 0.2  # a fist, or one with a pointing finger
        pen.block((_ARM - 0.44, middle - 0.18 * thick, _ARM - reach, middle + 0.18 * thick), radius=0.1)
        if kind == 2:
            pen.block((_ARM - 0.3, middle - 0.14 * thick, _ARM - 0.02, middle - 0.05 * thick), radius=0.03)
        for y in np.array([-0.08, 0.0, 0.08]) * thick + middle:
            pen.block((_ARM - 0.3, y - 0.008, _ARM - reach, y + 0.008), 0.7)
    return _reach(pen, direction, rng)


def _reach(pen: Pen, direction: str, rng: np.random.Generator) -> Sprite:
    turn = {"left": 0, "right": 180, "above": -90}[direction]
    return _finish("hand", pen.picture.rotate(turn, expand=True), rng, texture=False)


def _finish(name: str, picture: Image.Image, rng: np.random.Generator, texture: bool = True) -> Sprite:
    """Apply texture, light from the upper left and a darker rim, and downscale to the final size."""
    pixels = np.asarray(picture, np.float32).copy()
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] / (SIZE * _OVERSAMPLING)
    light = 1.12 - 0.22 * np.minimum(x, 1) - 0.16 * np.minimum(y, 1)
    if texture and (kind := rng.integers(4)) < 2:  # stripes (0), dots (1), otherwise plain
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.09, 0.16)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        wave = np.sin(2 * np.pi * u / period)
        light = light * (1 + 0.09 * np.sign(wave if kind == 0 else wave * np.sin(2 * np.pi * v / period) - 0.3))
    alpha = picture.getchannel("A")
    inner = np.asarray(alpha.filter(ImageFilter.GaussianBlur(SIZE * _OVERSAMPLING / 28)), np.float32) / 255
    pixels[..., :3] *= (light * (0.72 + 0.28 * inner))[..., None]
    shaded = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).reduce(_OVERSAMPLING)
    left, top, right, foot = shaded.getchannel("A").getbbox() or (0, 0, SIZE, SIZE)
    return Sprite(name, shaded, foot, top, left, right, (left + right) / 2)
