"""Things as shapes in unit coordinates, y downwards, from the front and standing on the ground."""

from collections.abc import Callable
from functools import partial
from operator import methodcaller

import numpy as np
from PIL import Image, ImageDraw

SIZE = 72  # side of a sprite in canvas pixels
OVERSAMPLING = 3  # sprites are drawn larger by this factor, then downscaled
Box = tuple[float, float, float, float]
Colour = tuple[int, ...]  # RGBA


class Pen:
    """Draws polygons and ellipses in unit coordinates, y downwards, in shades of one colour."""

    def __init__(self, colour: tuple[int, int, int], width: float = 1.0):
        self.colour = np.array(colour, float)
        self.picture = Image.new("RGBA", (int(SIZE * OVERSAMPLING * width), SIZE * OVERSAMPLING), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.picture)

    def shade(self, k: float) -> tuple[int, ...]:
        """The colour, darkened (k < 1) or mixed with white (k > 1)."""
        c = self.colour * k if k <= 1 else self.colour + (255 - self.colour) * (k - 1)
        return (*(int(v) for v in np.clip(c, 0, 255)), 255)

    def ellipse(self, box: Box, k: float = 1.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled ellipse in the box (left, top, right, bottom)."""
        self._draw.ellipse([v * SIZE * OVERSAMPLING for v in box], fill=fill or self.shade(k))

    def ring(self, box: Box, width: float, k: float = 1.0) -> None:
        """Outline of an ellipse."""
        self._draw.ellipse(
            [v * SIZE * OVERSAMPLING for v in box], outline=self.shade(k), width=int(width * SIZE * OVERSAMPLING)
        )

    def polygon(self, points: list[tuple[float, float]], k: float = 1.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled polygon."""
        self._draw.polygon(
            [(x * SIZE * OVERSAMPLING, y * SIZE * OVERSAMPLING) for x, y in points], fill=fill or self.shade(k)
        )

    def block(self, box: Box, k: float = 1.0, radius: float = 0.0, fill: tuple[int, ...] | None = None) -> None:
        """Filled rectangle with round corners."""
        self._draw.rounded_rectangle(
            [v * SIZE * OVERSAMPLING for v in box], radius * SIZE * OVERSAMPLING, fill=fill or self.shade(k)
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


Shape = Callable[[Pen], None]
INK, CREAM, WOOD, METAL = (30, 30, 34, 255), (238, 228, 205, 255), (120, 80, 48, 255), (150, 155, 162, 255)
LEAF, GLASS, FIRE = (70, 130, 60, 255), (190, 215, 228, 255), (246, 190, 60, 255)


def _oval(*box: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    return methodcaller("ellipse", box, k, fill)


def _block(*box: float, k: float = 1.0, radius: float = 0.0, fill: Colour | None = None) -> Shape:
    return methodcaller("block", box, k, radius, fill)


def _poly(*points: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    """A polygon through x, y, x, y, ..."""
    return methodcaller("polygon", [*zip(points[::2], points[1::2])], k, fill)


def _ring(*box: float, width: float = 0.06, k: float = 1.0) -> Shape:
    return methodcaller("ring", box, width, k)


def _dome(left: float, top: float, right: float, foot: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    """The upper half of an ellipse; the lower half if ``top`` is below ``foot``."""
    angles = np.linspace(0, np.pi, 24)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angles)
    return methodcaller("polygon", [*zip(x, foot + (top - foot) * np.sin(angles))], k, fill)


def _wheels(*centres: float) -> list[Shape]:
    return [_oval(x - 0.1, 0.74, x + 0.1, 0.94, fill=INK) for x in centres] + [
        _oval(x - 0.04, 0.8, x + 0.04, 0.88, fill=METAL) for x in centres
    ]


_SHAPES: dict[str, list[Shape]] = {
    "anchor": [
        _dome(0.1, 0.96, 0.9, 0.62),
        _dome(0.22, 0.8, 0.78, 0.58, fill=(0, 0, 0, 0)),
        _block(0.45, 0.24, 0.55, 0.92),
        _block(0.3, 0.34, 0.7, 0.42),
        _ring(0.4, 0.06, 0.6, 0.28),
    ],
    "apple": [
        _oval(0.18, 0.34, 0.6, 0.94),
        _oval(0.4, 0.34, 0.82, 0.94),
        _oval(0.28, 0.44, 0.42, 0.6, k=1.5),
        _block(0.48, 0.18, 0.53, 0.42, fill=WOOD),
        _oval(0.52, 0.2, 0.76, 0.32, fill=LEAF),
    ],
    "bag": [
        _ring(0.32, 0.14, 0.68, 0.7, k=0.6),
        _poly(0.18, 0.44, 0.82, 0.44, 0.92, 0.95, 0.08, 0.95),
        _block(0.3, 0.6, 0.7, 0.8, k=1.4),
    ],
    "balloon": [
        _block(0.49, 0.72, 0.51, 0.97, fill=INK),
        _oval(0.22, 0.06, 0.78, 0.72),
        _poly(0.5, 0.7, 0.58, 0.78, 0.42, 0.78, k=0.7),
        _oval(0.32, 0.16, 0.46, 0.34, k=1.5),
    ],
    "banana": [
        _poly(0.06, 0.44, 0.14, 0.66, 0.3, 0.84, 0.52, 0.92, 0.76, 0.84, 0.96, 0.58, 0.9, 0.52, 0.7, 0.66, 0.5, 0.7,
              0.32, 0.64, 0.18, 0.52, 0.12, 0.38),
        _poly(0.06, 0.44, 0.12, 0.38, 0.16, 0.46, 0.09, 0.52, fill=WOOD),
    ],
    "bell": [
        _oval(0.4, 0.8, 0.6, 0.97, fill=METAL),
        _dome(0.24, 0.14, 0.76, 0.6),
        _poly(0.24, 0.58, 0.76, 0.58, 0.92, 0.86, 0.08, 0.86),
        _block(0.08, 0.8, 0.92, 0.87, k=0.7),
        _oval(0.44, 0.04, 0.56, 0.18, k=0.8),
    ],
    "boat": [
        _block(0.48, 0.1, 0.52, 0.68, fill=WOOD),
        _poly(0.54, 0.1, 0.9, 0.58, 0.54, 0.58, fill=CREAM),
        _poly(0.46, 0.2, 0.46, 0.58, 0.18, 0.58, k=1.4),
        _poly(0.04, 0.64, 0.96, 0.64, 0.8, 0.94, 0.2, 0.94),
    ],
    "bucket": [
        _ring(0.18, 0.08, 0.82, 0.76, width=0.03, k=0.6),
        _poly(0.14, 0.42, 0.86, 0.42, 0.72, 0.95, 0.28, 0.95),
        _oval(0.14, 0.32, 0.86, 0.52, k=0.45),
        _block(0.2, 0.6, 0.8, 0.66, k=1.3),
    ],
    "butterfly": [
        _oval(0.06, 0.14, 0.5, 0.58),
        _oval(0.5, 0.14, 0.94, 0.58),
        _oval(0.14, 0.52, 0.5, 0.9, k=0.8),
        _oval(0.5, 0.52, 0.86, 0.9, k=0.8),
        _oval(0.18, 0.26, 0.34, 0.42, k=1.6),
        _oval(0.66, 0.26, 0.82, 0.42, k=1.6),
        _oval(0.45, 0.16, 0.55, 0.92, fill=INK),
    ],
    "cactus": [
        _block(0.4, 0.1, 0.6, 0.8, radius=0.1),
        _block(0.14, 0.3, 0.28, 0.56, radius=0.07),
        _block(0.14, 0.46, 0.46, 0.58, radius=0.05),
        _block(0.72, 0.22, 0.86, 0.5, radius=0.07),
        _block(0.54, 0.4, 0.86, 0.52, radius=0.05),
        _poly(0.26, 0.72, 0.74, 0.72, 0.66, 0.96, 0.34, 0.96, fill=(176, 98, 60, 255)),
    ],
    "cake": [
        _block(0.12, 0.5, 0.88, 0.94, radius=0.04),
        _block(0.12, 0.44, 0.88, 0.6, k=1.6, radius=0.05),
        _block(0.12, 0.72, 0.88, 0.77, k=1.6),
        _block(0.47, 0.2, 0.53, 0.46, fill=CREAM),
        _oval(0.46, 0.06, 0.54, 0.22, fill=FIRE),
    ],
    "can": [
        _oval(0.26, 0.82, 0.74, 0.96, fill=METAL),
        _block(0.26, 0.26, 0.74, 0.89),
        _oval(0.26, 0.18, 0.74, 0.34, fill=METAL),
        _oval(0.44, 0.22, 0.56, 0.29, fill=INK),
        _block(0.26, 0.48, 0.74, 0.68, k=1.5),
    ],
    "candle": [
        _oval(0.42, 0.06, 0.58, 0.34, fill=FIRE),
        _block(0.49, 0.28, 0.51, 0.42, fill=INK),
        _block(0.38, 0.4, 0.62, 0.9),
        _oval(0.22, 0.84, 0.78, 0.97, fill=METAL),
        _block(0.38, 0.4, 0.44, 0.66, k=1.4, radius=0.03),
    ],
    "car": [
        _poly(0.2, 0.62, 0.32, 0.38, 0.7, 0.38, 0.84, 0.62),
        _poly(0.28, 0.6, 0.36, 0.44, 0.49, 0.44, 0.49, 0.6, fill=GLASS),
        _poly(0.53, 0.6, 0.53, 0.44, 0.67, 0.44, 0.75, 0.6, fill=GLASS),
        _block(0.03, 0.6, 0.97, 0.84, radius=0.07),
        _block(0.9, 0.66, 0.97, 0.72, fill=FIRE),
        *_wheels(0.26, 0.75),
    ],
    "carrot": [
        _poly(0.5, 0.4, 0.38, 0.06, 0.52, 0.26, 0.6, 0.04, 0.62, 0.28, 0.78, 0.12, 0.66, 0.4, fill=LEAF),
        _poly(0.38, 0.4, 0.5, 0.34, 0.7, 0.36, 0.78, 0.46, 0.56, 0.97, 0.5, 0.97),
        _poly(0.42, 0.56, 0.56, 0.58, 0.56, 0.6, 0.43, 0.58, k=0.7),
        _poly(0.56, 0.72, 0.67, 0.7, 0.66, 0.72, 0.56, 0.74, k=0.7),
    ],
    "castle": [
        _block(0.24, 0.5, 0.76, 0.95),
        _block(0.08, 0.28, 0.32, 0.95, k=0.85),
        _block(0.68, 0.28, 0.92, 0.95, k=0.85),
        *[_block(x, 0.2, x + 0.07, 0.3, k=0.85) for x in (0.08, 0.25, 0.68, 0.85)],
        *[_block(x, 0.43, x + 0.08, 0.52) for x in (0.36, 0.46, 0.56)],
        _dome(0.4, 0.62, 0.6, 0.78, fill=INK),
        _block(0.4, 0.77, 0.6, 0.95, fill=INK),
    ],
    "cat": [
        _ring(0.66, 0.4, 0.96, 0.86, width=0.07, k=0.8),
        _oval(0.3, 0.44, 0.8, 0.96),
        _poly(0.12, 0.08, 0.28, 0.22, 0.14, 0.36),
        _poly(0.58, 0.08, 0.42, 0.22, 0.56, 0.36),
        _oval(0.1, 0.16, 0.6, 0.58, k=1.1),
        _oval(0.21, 0.3, 0.29, 0.4, fill=INK),
        _oval(0.41, 0.3, 0.49, 0.4, fill=INK),
        _poly(0.32, 0.42, 0.38, 0.42, 0.35, 0.47, fill=(220, 130, 130, 255)),
    ],
    "chair": [
        _block(0.22, 0.06, 0.32, 0.95, k=0.8),
        _block(0.22, 0.06, 0.66, 0.34, radius=0.03),
        _block(0.56, 0.06, 0.66, 0.6, k=0.8),
        _poly(0.22, 0.52, 0.66, 0.52, 0.82, 0.64, 0.3, 0.64, k=1.2),
        _block(0.3, 0.62, 0.38, 0.97, k=0.7),
        _block(0.74, 0.62, 0.82, 0.97, k=0.7),
    ],
    "clock": [
        _oval(0.1, 0.14, 0.9, 0.94),
        _oval(0.19, 0.23, 0.81, 0.85, fill=CREAM),
        _poly(0.48, 0.54, 0.48, 0.3, 0.52, 0.3, 0.52, 0.54, fill=INK),
        _poly(0.48, 0.52, 0.68, 0.62, 0.66, 0.66, 0.48, 0.57, fill=INK),
        *[_oval(x - 0.02, y - 0.02, x + 0.02, y + 0.02, fill=INK)
          for x, y in ((0.5, 0.27), (0.77, 0.54), (0.5, 0.81), (0.23, 0.54))],
    ],
    "cloud": [
        _oval(0.04, 0.5, 0.44, 0.9),
        _oval(0.22, 0.28, 0.64, 0.84),
        _oval(0.46, 0.38, 0.84, 0.88),
        _oval(0.62, 0.54, 0.97, 0.9),
        _block(0.22, 0.7, 0.8, 0.9),
    ],
    "crown": [
        _poly(0.1, 0.9, 0.04, 0.34, 0.28, 0.58, 0.5, 0.2, 0.72, 0.58, 0.96, 0.34, 0.9, 0.9),
        _block(0.1, 0.78, 0.9, 0.93, k=0.75),
        *[_oval(x - 0.05, y - 0.05, x + 0.05, y + 0.05, k=1.5) for x, y in ((0.05, 0.32), (0.5, 0.18), (0.95, 0.32))],
        *[_oval(x - 0.04, 0.82, x + 0.04, 0.9, k=1.6) for x in (0.26, 0.5, 0.74)],
    ],
    "domino": [
        _block(0.04, 0.52, 0.96, 0.96, radius=0.05),
        _block(0.49, 0.56, 0.51, 0.92, k=0.3),
        *[_oval(x - 0.05, y - 0.05, x + 0.05, y + 0.05, fill=CREAM)
          for x, y in ((0.16, 0.84), (0.37, 0.64), (0.63, 0.64), (0.84, 0.64), (0.63, 0.84), (0.84, 0.84))],
    ],
    "drum": [
        _oval(0.12, 0.72, 0.88, 0.96, k=0.6),
        _block(0.12, 0.46, 0.88, 0.84),
        *[_poly(x, 0.5, x + 0.19, 0.88, x + 0.22, 0.86, x + 0.03, 0.48, fill=CREAM) for x in (0.13, 0.32, 0.51)],
        _oval(0.12, 0.34, 0.88, 0.58, fill=CREAM),
        _poly(0.3, 0.44, 0.86, 0.1, 0.9, 0.14, 0.34, 0.48, fill=WOOD),
    ],
    "egg": [
        _oval(0.24, 0.3, 0.76, 0.95),
        _dome(0.29, 0.3, 0.71, 0.62),
        _oval(0.36, 0.42, 0.48, 0.6, k=1.5),
    ],
    "envelope": [
        _block(0.06, 0.34, 0.94, 0.92),
        _poly(0.06, 0.34, 0.94, 0.34, 0.5, 0.7, k=1.4),
        _poly(0.06, 0.35, 0.5, 0.7, 0.94, 0.35, 0.94, 0.4, 0.5, 0.75, 0.06, 0.4, k=0.5),
        _oval(0.43, 0.64, 0.57, 0.78, k=0.4),
    ],
    "flag": [
        _block(0.12, 0.06, 0.19, 0.97, fill=METAL),
        _poly(0.19, 0.1, 0.5, 0.17, 0.7, 0.12, 0.95, 0.16, 0.95, 0.58, 0.7, 0.54, 0.5, 0.6, 0.19, 0.52),
        _poly(0.19, 0.26, 0.5, 0.32, 0.7, 0.27, 0.95, 0.31, 0.95, 0.42, 0.7, 0.39, 0.5, 0.44, 0.19, 0.37, k=1.6),
    ],
    "flower": [
        _block(0.47, 0.5, 0.53, 0.96, fill=LEAF),
        _oval(0.52, 0.72, 0.84, 0.86, fill=LEAF),
        *[_oval(0.5 + 0.2 * np.cos(a) - 0.16, 0.34 + 0.2 * np.sin(a) - 0.16, 0.5 + 0.2 * np.cos(a) + 0.16,
                0.34 + 0.2 * np.sin(a) + 0.16) for a in 2 * np.pi * np.arange(6) / 6],
        _oval(0.38, 0.22, 0.62, 0.46, fill=FIRE),
    ],
    "gift": [
        _block(0.12, 0.46, 0.88, 0.95),
        _block(0.07, 0.36, 0.93, 0.54, k=0.85),
        _block(0.44, 0.36, 0.56, 0.95, k=1.7),
        _ring(0.22, 0.12, 0.5, 0.38, k=1.7),
        _ring(0.5, 0.12, 0.78, 0.38, k=1.7),
    ],
    "glass": [
        _poly(0.28, 0.3, 0.72, 0.3, 0.64, 0.62, 0.36, 0.62),
        _poly(0.26, 0.1, 0.74, 0.1, 0.72, 0.32, 0.28, 0.32, fill=GLASS),
        _block(0.47, 0.6, 0.53, 0.9, fill=GLASS),
        _oval(0.28, 0.86, 0.72, 0.97, fill=GLASS),
    ],
    "hammer": [
        _poly(0.08, 0.88, 0.56, 0.36, 0.66, 0.44, 0.18, 0.97, fill=WOOD),
        _poly(0.38, 0.22, 0.54, 0.06, 0.94, 0.42, 0.78, 0.6),
        _poly(0.38, 0.22, 0.54, 0.06, 0.6, 0.11, 0.44, 0.28, k=0.6),
    ],
    "hat": [
        _oval(0.02, 0.7, 0.98, 0.95),
        _block(0.25, 0.3, 0.75, 0.84, radius=0.08),
        _block(0.25, 0.64, 0.75, 0.78, k=0.4),
    ],
    "heart": [
        _oval(0.08, 0.2, 0.54, 0.64),
        _oval(0.46, 0.2, 0.92, 0.64),
        _poly(0.1, 0.5, 0.9, 0.5, 0.5, 0.95),
        _oval(0.18, 0.28, 0.32, 0.42, k=1.5),
    ],
    "house": [
        _block(0.66, 0.14, 0.78, 0.4, k=0.5),
        _poly(0.5, 0.08, 0.98, 0.5, 0.02, 0.5, k=0.6),
        _block(0.14, 0.48, 0.86, 0.95),
        _block(0.42, 0.66, 0.6, 0.95, fill=WOOD),
        _block(0.2, 0.58, 0.36, 0.74, fill=GLASS),
        _block(0.66, 0.58, 0.82, 0.74, fill=GLASS),
    ],
    "jar": [
        _block(0.2, 0.32, 0.8, 0.95, radius=0.12),
        _block(0.26, 0.14, 0.74, 0.3, fill=METAL, radius=0.03),
        _block(0.28, 0.28, 0.72, 0.36, k=1.3),
        _block(0.2, 0.54, 0.8, 0.78, fill=CREAM),
    ],
    "kettle": [
        _ring(0.26, 0.08, 0.74, 0.6, k=0.5),
        _poly(0.14, 0.8, 0.02, 0.5, 0.1, 0.46, 0.28, 0.66, k=0.85),
        _dome(0.16, 0.32, 0.84, 0.92),
        _oval(0.16, 0.86, 0.84, 0.96, k=0.7),
        _oval(0.44, 0.26, 0.56, 0.38, fill=INK),
    ],
    "ladder": [
        _poly(0.26, 0.06, 0.34, 0.06, 0.26, 0.97, 0.16, 0.97),
        _poly(0.66, 0.06, 0.74, 0.06, 0.84, 0.97, 0.74, 0.97),
        *[_block(0.32 - 0.08 * y, y, 0.68 + 0.08 * y, y + 0.05, k=0.8) for y in (0.16, 0.34, 0.52, 0.7, 0.86)],
    ],
    "lamp": [
        _block(0.46, 0.46, 0.54, 0.9, fill=METAL),
        _oval(0.28, 0.84, 0.72, 0.97, fill=METAL),
        _poly(0.32, 0.08, 0.68, 0.08, 0.9, 0.52, 0.1, 0.52),
        _poly(0.38, 0.08, 0.5, 0.08, 0.46, 0.52, 0.26, 0.52, k=1.4),
    ],
    "laptop": [
        _block(0.16, 0.26, 0.84, 0.74, radius=0.03),
        _block(0.21, 0.31, 0.79, 0.69, fill=GLASS),
        _poly(0.16, 0.74, 0.84, 0.74, 0.98, 0.94, 0.02, 0.94, k=0.7),
        _poly(0.24, 0.78, 0.76, 0.78, 0.82, 0.86, 0.18, 0.86, k=0.35),
    ],
    "lemon": [
        _poly(0.04, 0.68, 0.24, 0.5, 0.76, 0.5, 0.96, 0.68, 0.76, 0.86, 0.24, 0.86),
        _oval(0.14, 0.44, 0.86, 0.93),
        _oval(0.28, 0.54, 0.46, 0.66, k=1.5),
    ],
    "moon": [
        _poly(*np.stack([
            np.r_[0.56 + 0.4 * np.cos(t := np.linspace(0.35, 1.65, 20) * np.pi), 0.68 + 0.28 * np.cos(t[::-1])],
            np.r_[0.52 - 0.42 * np.sin(t), 0.52 - 0.36 * np.sin(t[::-1])],
        ], axis=1).ravel().tolist()),
    ],
    "mushroom": [
        _block(0.36, 0.54, 0.64, 0.96, fill=CREAM, radius=0.08),
        _dome(0.06, 0.14, 0.94, 0.62),
        _oval(0.2, 0.38, 0.34, 0.5, fill=CREAM),
        _oval(0.44, 0.22, 0.58, 0.36, fill=CREAM),
        _oval(0.66, 0.4, 0.8, 0.54, fill=CREAM),
    ],
    "pan": [
        _block(0.62, 0.66, 1.0, 0.74, fill=INK, radius=0.03),
        _oval(0.02, 0.56, 0.68, 0.94),
        _oval(0.08, 0.6, 0.62, 0.84, k=0.45),
    ],
    "pear": [
        _poly(0.36, 0.34, 0.64, 0.34, 0.8, 0.72, 0.2, 0.72),
        _oval(0.2, 0.5, 0.8, 0.96),
        _oval(0.35, 0.2, 0.65, 0.52),
        _block(0.48, 0.06, 0.53, 0.24, fill=WOOD),
        _oval(0.3, 0.62, 0.42, 0.78, k=1.5),
    ],
    "phone": [
        _block(0.28, 0.06, 0.72, 0.96, radius=0.07),
        _block(0.33, 0.15, 0.67, 0.82, fill=GLASS),
        _oval(0.45, 0.85, 0.55, 0.93, k=0.5),
    ],
    "pizza": [
        _poly(0.1, 0.32, 0.9, 0.32, 0.5, 0.97),
        _block(0.05, 0.22, 0.95, 0.38, fill=(198, 140, 78, 255), radius=0.08),
        *[_oval(x - 0.07, y - 0.07, x + 0.07, y + 0.07, k=0.55) for x, y in ((0.34, 0.48), (0.62, 0.5), (0.48, 0.7))],
    ],
    "plane": [
        _poly(0.06, 0.3, 0.2, 0.3, 0.3, 0.56, 0.14, 0.56, k=0.75),
        _block(0.06, 0.5, 0.96, 0.72, radius=0.11),
        _poly(0.4, 0.6, 0.62, 0.6, 0.42, 0.94, 0.28, 0.94, k=0.7),
        _poly(0.44, 0.52, 0.6, 0.52, 0.48, 0.26, 0.38, 0.26, k=0.85),
        *[_oval(x, 0.54, x + 0.05, 0.6, fill=GLASS) for x in (0.62, 0.71, 0.8)],
    ],
    "plate": [
        _oval(0.02, 0.6, 0.98, 0.94),
        _oval(0.18, 0.66, 0.82, 0.86, k=0.75),
        _oval(0.2, 0.67, 0.8, 0.84, k=1.3),
    ],
    "pot": [
        _block(0.02, 0.52, 0.98, 0.6, k=0.6, radius=0.03),
        _block(0.14, 0.42, 0.86, 0.94, radius=0.06),
        _dome(0.14, 0.24, 0.86, 0.43, k=1.25),
        _oval(0.43, 0.14, 0.57, 0.28, fill=INK),
    ],
    "rabbit": [
        _oval(0.26, 0.04, 0.42, 0.44),
        _oval(0.46, 0.04, 0.62, 0.44),
        _oval(0.76, 0.66, 0.96, 0.86, k=1.6),
        _oval(0.26, 0.5, 0.86, 0.96),
        _oval(0.18, 0.3, 0.66, 0.7, k=1.1),
        _oval(0.29, 0.42, 0.36, 0.5, fill=INK),
        _oval(0.48, 0.42, 0.55, 0.5, fill=INK),
    ],
    "robot": [
        _block(0.48, 0.02, 0.52, 0.16, fill=METAL),
        _block(0.3, 0.12, 0.7, 0.42, radius=0.04),
        _oval(0.37, 0.2, 0.47, 0.3, fill=FIRE),
        _oval(0.53, 0.2, 0.63, 0.3, fill=FIRE),
        _block(0.08, 0.46, 0.22, 0.76, k=0.7, radius=0.03),
        _block(0.78, 0.46, 0.92, 0.76, k=0.7, radius=0.03),
        _block(0.24, 0.44, 0.76, 0.8),
        _block(0.34, 0.52, 0.66, 0.64, fill=METAL),
        _block(0.28, 0.8, 0.44, 0.97, k=0.7),
        _block(0.56, 0.8, 0.72, 0.97, k=0.7),
    ],
    "rocket": [
        _poly(0.38, 0.78, 0.62, 0.78, 0.5, 0.99, fill=FIRE),
        _poly(0.34, 0.5, 0.14, 0.86, 0.36, 0.8, k=0.6),
        _poly(0.66, 0.5, 0.86, 0.86, 0.64, 0.8, k=0.6),
        _oval(0.3, 0.02, 0.7, 0.72),
        _block(0.33, 0.4, 0.67, 0.8),
        _oval(0.41, 0.26, 0.59, 0.44, fill=GLASS),
    ],
    "shirt": [
        _poly(0.34, 0.16, 0.66, 0.16, 0.98, 0.4, 0.86, 0.58, 0.76, 0.5, 0.76, 0.95, 0.24, 0.95, 0.24, 0.5, 0.14, 0.58,
              0.02, 0.4),
        _poly(0.4, 0.15, 0.6, 0.15, 0.5, 0.3, k=0.4),
        *[_oval(0.48, y, 0.52, y + 0.04, k=0.4) for y in (0.42, 0.58, 0.74)],
    ],
    "shoe": [
        _poly(0.06, 0.5, 0.36, 0.5, 0.52, 0.66, 0.86, 0.74, 0.97, 0.9, 0.06, 0.9),
        _block(0.05, 0.86, 0.97, 0.95, fill=INK, radius=0.03),
        _poly(0.36, 0.54, 0.54, 0.7, 0.5, 0.74, 0.32, 0.58, k=1.6),
    ],
    "snail": [
        _poly(0.04, 0.95, 0.1, 0.8, 0.3, 0.88, 0.72, 0.88, 0.78, 0.5, 0.9, 0.5, 0.9, 0.82, 0.82, 0.95, k=1.4),
        _block(0.78, 0.38, 0.8, 0.54, k=1.4),
        _block(0.88, 0.38, 0.9, 0.54, k=1.4),
        _oval(0.16, 0.3, 0.74, 0.9),
        _ring(0.26, 0.42, 0.64, 0.8, width=0.05, k=0.6),
        _oval(0.38, 0.54, 0.52, 0.68, k=0.6),
    ],
    "sock": [
        _poly(0.34, 0.1, 0.64, 0.1, 0.64, 0.6, 0.9, 0.76, 0.92, 0.88, 0.82, 0.96, 0.58, 0.94, 0.36, 0.78),
        _block(0.32, 0.08, 0.66, 0.22, k=1.6),
        _poly(0.72, 0.68, 0.9, 0.76, 0.92, 0.88, 0.82, 0.96, 0.66, 0.94, k=0.6),
    ],
    "sofa": [
        _block(0.12, 0.3, 0.88, 0.72, k=0.85, radius=0.06),
        _block(0.14, 0.58, 0.86, 0.78, k=1.15, radius=0.04),
        _block(0.49, 0.58, 0.51, 0.78, k=0.7),
        _block(0.02, 0.46, 0.18, 0.88, radius=0.07),
        _block(0.82, 0.46, 0.98, 0.88, radius=0.07),
        _block(0.1, 0.76, 0.9, 0.88),
        _block(0.1, 0.88, 0.18, 0.96, fill=WOOD),
        _block(0.82, 0.88, 0.9, 0.96, fill=WOOD),
    ],
    "spoon": [
        _poly(0.3, 0.72, 0.94, 0.34, 0.98, 0.42, 0.36, 0.8),
        _oval(0.02, 0.62, 0.42, 0.94),
        _oval(0.09, 0.68, 0.34, 0.86, k=0.6),
    ],
    "television": [
        _poly(0.34, 0.94, 0.44, 0.78, 0.56, 0.78, 0.66, 0.94, k=0.6),
        _block(0.02, 0.2, 0.98, 0.82, radius=0.04),
        _block(0.09, 0.27, 0.91, 0.75, fill=INK),
        _poly(0.09, 0.75, 0.09, 0.27, 0.4, 0.27, fill=(70, 74, 84, 255)),
    ],
    "train": [
        _block(0.12, 0.28, 0.22, 0.5, k=0.5),
        _block(0.04, 0.48, 0.66, 0.8, radius=0.08),
        _block(0.56, 0.22, 0.94, 0.8, k=0.85),
        _block(0.52, 0.16, 0.98, 0.26, k=0.5),
        _block(0.64, 0.34, 0.86, 0.54, fill=GLASS),
        _poly(0.04, 0.78, 0.2, 0.78, 0.0, 0.92, k=0.5),
        *_wheels(0.24, 0.5, 0.78),
    ],
    "trophy": [
        _ring(0.06, 0.14, 0.38, 0.52, k=0.8),
        _ring(0.62, 0.14, 0.94, 0.52, k=0.8),
        _dome(0.22, 0.66, 0.78, 0.1),
        _block(0.45, 0.6, 0.55, 0.82, k=0.7),
        _block(0.28, 0.8, 0.72, 0.95, fill=INK),
        _oval(0.34, 0.16, 0.44, 0.4, k=1.5),
    ],
    "truck": [
        _block(0.3, 0.22, 0.98, 0.8),
        _poly(0.02, 0.8, 0.02, 0.58, 0.12, 0.4, 0.28, 0.4, 0.28, 0.8, k=0.8),
        _poly(0.07, 0.58, 0.14, 0.45, 0.23, 0.45, 0.23, 0.58, fill=GLASS),
        *[_block(x, 0.28, x + 0.02, 0.74, k=0.7) for x in (0.46, 0.62, 0.78)],
        *_wheels(0.2, 0.6, 0.84),
    ],
    "umbrella": [
        _block(0.48, 0.4, 0.52, 0.86, fill=INK),
        _ring(0.48, 0.76, 0.68, 0.96, width=0.04, k=0.3),
        _dome(0.02, 0.08, 0.98, 0.54),
        _dome(0.34, 0.1, 0.66, 0.54, k=1.4),
        _poly(0.5, 0.0, 0.53, 0.12, 0.47, 0.12, fill=INK),
    ],
}  # fmt: skip


def _draw(shapes: list[Shape], pen: Pen) -> None:
    for shape in shapes:
        shape(pen)


# Things of the wider world, in stills and clips over surfaces only; the benchmark keeps the ten of THINGS.
WIDE_THINGS: dict[str, Callable[[Pen], None]] = {name: partial(_draw, shapes) for name, shapes in _SHAPES.items()}
