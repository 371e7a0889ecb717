"""Named things of the wider world, which only stills and clips over surfaces show; Tabletop's own are in ``sprites``.

Shapes are listed from back to front, in hundredths of the picture's side; k darkens (< 1) or lightens (> 1) the colour.
"""

from collections.abc import Callable
from functools import partial
from operator import methodcaller

import numpy as np

from ezclip.data.tabletop.sprites import Pen

Colour = tuple[int, int, int, int]
Shape = Callable[[Pen], None]
INK, CREAM, WOOD, METAL = (30, 30, 34, 255), (238, 228, 205, 255), (120, 80, 48, 255), (150, 155, 162, 255)
LEAF, GLASS, FIRE = (70, 130, 60, 255), (190, 215, 228, 255), (246, 190, 60, 255)


def _oval(*box: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    return methodcaller("ellipse", [v / 100 for v in box], k, fill)


def _block(*box: float, k: float = 1.0, radius: float = 0, fill: Colour | None = None) -> Shape:
    return methodcaller("block", [v / 100 for v in box], k, radius / 100, fill)


def _ring(*box: float, width: float = 6, k: float = 1.0) -> Shape:
    return methodcaller("ring", [v / 100 for v in box], width / 100, k)


def _poly(*points: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    """A polygon through x, y, x, y, ..."""
    return methodcaller("polygon", [(x / 100, y / 100) for x, y in zip(points[::2], points[1::2])], k, fill)


def _dome(left: float, top: float, right: float, foot: float, k: float = 1.0, fill: Colour | None = None) -> Shape:
    """The upper half of an ellipse; the lower half if ``top`` is below ``foot``."""
    angles = np.linspace(0, np.pi, 24)
    x, y = (left + right) / 2 + (right - left) / 2 * np.cos(angles), foot + (top - foot) * np.sin(angles)
    return _poly(*np.stack([x, y], axis=1).ravel(), k=k, fill=fill)


def _crescent() -> Shape:
    outer = np.linspace(0.35, 1.65, 20) * np.pi
    x = np.r_[56 + 40 * np.cos(outer), 68 + 28 * np.cos(outer[::-1])]
    y = np.r_[52 - 42 * np.sin(outer), 52 - 36 * np.sin(outer[::-1])]
    return _poly(*np.stack([x, y], axis=1).ravel())


def _dots(radius: float, *points: float, k: float = 1.0, fill: Colour | None = None) -> list[Shape]:
    """Discs around x, y, x, y, ..."""
    centres = zip(points[::2], points[1::2])
    return [_oval(x - radius, y - radius, x + radius, y + radius, k=k, fill=fill) for x, y in centres]


def _wheels(*centres: float) -> list[Shape]:
    points = [v for x in centres for v in (x, 84)]
    return _dots(10, *points, fill=INK) + _dots(4, *points, fill=METAL)


_SHAPES: dict[str, list[Shape]] = {
    "anchor": [
        _dome(10, 96, 90, 62), _dome(22, 80, 78, 58, fill=(0, 0, 0, 0)), _block(45, 24, 55, 92), _block(30, 34, 70, 42),
        _ring(40, 6, 60, 28),
    ],
    "apple": [
        _oval(18, 34, 60, 94), _oval(40, 34, 82, 94), _oval(28, 44, 42, 60, k=1.5), _block(48, 18, 53, 42, fill=WOOD),
        _oval(52, 20, 76, 32, fill=LEAF),
    ],
    "bag": [_ring(32, 14, 68, 70, k=0.6), _poly(18, 44, 82, 44, 92, 95, 8, 95), _block(30, 60, 70, 80, k=1.4)],
    "balloon": [
        _block(49, 72, 51, 97, fill=INK), _oval(22, 6, 78, 72), _poly(50, 70, 58, 78, 42, 78, k=0.7),
        _oval(32, 16, 46, 34, k=1.5),
    ],
    "banana": [
        _poly(6, 44, 14, 66, 30, 84, 52, 92, 76, 84, 96, 58, 90, 52, 70, 66, 50, 70, 32, 64, 18, 52, 12, 38),
        _poly(6, 44, 12, 38, 16, 46, 9, 52, fill=WOOD),
    ],
    "bell": [
        _oval(40, 80, 60, 97, fill=METAL), _dome(24, 14, 76, 60), _poly(24, 58, 76, 58, 92, 86, 8, 86),
        _block(8, 80, 92, 87, k=0.7), _oval(44, 4, 56, 18, k=0.8),
    ],
    "boat": [
        _block(48, 10, 52, 68, fill=WOOD), _poly(54, 10, 90, 58, 54, 58, fill=CREAM),
        _poly(46, 20, 46, 58, 18, 58, k=1.4), _poly(4, 64, 96, 64, 80, 94, 20, 94),
    ],
    "bucket": [
        _ring(18, 8, 82, 76, width=3, k=0.6), _poly(14, 42, 86, 42, 72, 95, 28, 95), _oval(14, 32, 86, 52, k=0.45),
        _block(20, 60, 80, 66, k=1.3),
    ],
    "butterfly": [
        _oval(6, 14, 50, 58), _oval(50, 14, 94, 58), _oval(14, 52, 50, 90, k=0.8), _oval(50, 52, 86, 90, k=0.8),
        _oval(18, 26, 34, 42, k=1.6), _oval(66, 26, 82, 42, k=1.6), _oval(45, 16, 55, 92, fill=INK),
    ],
    "cactus": [
        _block(40, 10, 60, 80, radius=10), _block(14, 30, 28, 56, radius=7), _block(14, 46, 46, 58, radius=5),
        _block(72, 22, 86, 50, radius=7), _block(54, 40, 86, 52, radius=5),
        _poly(26, 72, 74, 72, 66, 96, 34, 96, fill=(176, 98, 60, 255)),
    ],
    "cake": [
        _block(12, 50, 88, 94, radius=4), _block(12, 44, 88, 60, k=1.6, radius=5), _block(12, 72, 88, 77, k=1.6),
        _block(47, 20, 53, 46, fill=CREAM), _oval(46, 6, 54, 22, fill=FIRE),
    ],
    "can": [
        _oval(26, 82, 74, 96, fill=METAL), _block(26, 26, 74, 89), _oval(26, 18, 74, 34, fill=METAL),
        _oval(44, 22, 56, 29, fill=INK), _block(26, 48, 74, 68, k=1.5),
    ],
    "candle": [
        _oval(42, 6, 58, 34, fill=FIRE), _block(49, 28, 51, 42, fill=INK), _block(38, 40, 62, 90),
        _oval(22, 84, 78, 97, fill=METAL), _block(38, 40, 44, 66, k=1.4, radius=3),
    ],
    "car": [
        _poly(20, 62, 32, 38, 70, 38, 84, 62), _poly(28, 60, 36, 44, 49, 44, 49, 60, fill=GLASS),
        _poly(53, 60, 53, 44, 67, 44, 75, 60, fill=GLASS), _block(3, 60, 97, 84, radius=7),
        _block(90, 66, 97, 72, fill=FIRE), *_wheels(26, 75),
    ],
    "carrot": [
        _poly(50, 40, 38, 6, 52, 26, 60, 4, 62, 28, 78, 12, 66, 40, fill=LEAF),
        _poly(38, 40, 50, 34, 70, 36, 78, 46, 56, 97, 50, 97), _poly(42, 56, 56, 58, 56, 60, 43, 58, k=0.7),
        _poly(56, 72, 67, 70, 66, 72, 56, 74, k=0.7),
    ],
    "castle": [
        _block(24, 50, 76, 95), _block(8, 28, 32, 95, k=0.85), _block(68, 28, 92, 95, k=0.85),
        *[_block(x, 20, x + 7, 30, k=0.85) for x in (8, 25, 68, 85)], *[_block(x, 43, x + 8, 52) for x in (36, 46, 56)],
        _dome(40, 62, 60, 78, fill=INK), _block(40, 77, 60, 95, fill=INK),
    ],
    "cat": [
        _ring(66, 40, 96, 86, width=7, k=0.8), _oval(30, 44, 80, 96), _poly(12, 8, 28, 22, 14, 36),
        _poly(58, 8, 42, 22, 56, 36), _oval(10, 16, 60, 58, k=1.1), _oval(21, 30, 29, 40, fill=INK),
        _oval(41, 30, 49, 40, fill=INK), _poly(32, 42, 38, 42, 35, 47, fill=(220, 130, 130, 255)),
    ],
    "chair": [
        _block(22, 6, 32, 95, k=0.8), _block(22, 6, 66, 34, radius=3), _block(56, 6, 66, 60, k=0.8),
        _poly(22, 52, 66, 52, 82, 64, 30, 64, k=1.2), _block(30, 62, 38, 97, k=0.7), _block(74, 62, 82, 97, k=0.7),
    ],
    "clock": [
        _oval(10, 14, 90, 94), _oval(19, 23, 81, 85, fill=CREAM), _poly(48, 54, 48, 30, 52, 30, 52, 54, fill=INK),
        _poly(48, 52, 68, 62, 66, 66, 48, 57, fill=INK),
        *_dots(2, 50, 27, 77, 54, 50, 81, 23, 54, fill=INK),
    ],
    "cloud": [
        _oval(4, 50, 44, 90), _oval(22, 28, 64, 84), _oval(46, 38, 84, 88), _oval(62, 54, 97, 90),
        _block(22, 70, 80, 90),
    ],
    "crown": [
        _poly(10, 90, 4, 34, 28, 58, 50, 20, 72, 58, 96, 34, 90, 90), _block(10, 78, 90, 93, k=0.75),
        *_dots(5, 5, 32, 50, 18, 95, 32, k=1.5),
        *[_oval(x - 4, 82, x + 4, 90, k=1.6) for x in (26, 50, 74)],
    ],
    "domino": [
        _block(4, 52, 96, 96, radius=5), _block(49, 56, 51, 92, k=0.3),
        *_dots(5, 16, 84, 37, 64, 63, 64, 84, 64, 63, 84, 84, 84, fill=CREAM),
    ],
    "drum": [
        _oval(12, 72, 88, 96, k=0.6), _block(12, 46, 88, 84),
        *[_poly(x, 50, x + 19, 88, x + 22, 86, x + 3, 48, fill=CREAM) for x in (13, 32, 51)],
        _oval(12, 34, 88, 58, fill=CREAM), _poly(30, 44, 86, 10, 90, 14, 34, 48, fill=WOOD),
    ],
    "egg": [_oval(24, 30, 76, 95), _dome(29, 30, 71, 62), _oval(36, 42, 48, 60, k=1.5)],
    "envelope": [
        _block(6, 34, 94, 92), _poly(6, 34, 94, 34, 50, 70, k=1.4),
        _poly(6, 35, 50, 70, 94, 35, 94, 40, 50, 75, 6, 40, k=0.5), _oval(43, 64, 57, 78, k=0.4),
    ],
    "flag": [
        _block(12, 6, 19, 97, fill=METAL), _poly(19, 10, 50, 17, 70, 12, 95, 16, 95, 58, 70, 54, 50, 60, 19, 52),
        _poly(19, 26, 50, 32, 70, 27, 95, 31, 95, 42, 70, 39, 50, 44, 19, 37, k=1.6),
    ],
    "flower": [
        _block(47, 50, 53, 96, fill=LEAF), _oval(52, 72, 84, 86, fill=LEAF),
        *_dots(16, 70, 34, 60, 51, 40, 51, 30, 34, 40, 17, 60, 17), _oval(38, 22, 62, 46, fill=FIRE),
    ],
    "gift": [
        _block(12, 46, 88, 95), _block(7, 36, 93, 54, k=0.85), _block(44, 36, 56, 95, k=1.7),
        _ring(22, 12, 50, 38, k=1.7), _ring(50, 12, 78, 38, k=1.7),
    ],
    "glass": [
        _poly(28, 30, 72, 30, 64, 62, 36, 62), _poly(26, 10, 74, 10, 72, 32, 28, 32, fill=GLASS),
        _block(47, 60, 53, 90, fill=GLASS), _oval(28, 86, 72, 97, fill=GLASS),
    ],
    "hammer": [
        _poly(8, 88, 56, 36, 66, 44, 18, 97, fill=WOOD), _poly(38, 22, 54, 6, 94, 42, 78, 60),
        _poly(38, 22, 54, 6, 60, 11, 44, 28, k=0.6),
    ],
    "hat": [_oval(2, 70, 98, 95), _block(25, 30, 75, 84, radius=8), _block(25, 64, 75, 78, k=0.4)],
    "heart": [_oval(8, 20, 54, 64), _oval(46, 20, 92, 64), _poly(10, 50, 90, 50, 50, 95), _oval(18, 28, 32, 42, k=1.5)],
    "house": [
        _block(66, 14, 78, 40, k=0.5), _poly(50, 8, 98, 50, 2, 50, k=0.6), _block(14, 48, 86, 95),
        _block(42, 66, 60, 95, fill=WOOD), _block(20, 58, 36, 74, fill=GLASS), _block(66, 58, 82, 74, fill=GLASS),
    ],
    "jar": [
        _block(20, 32, 80, 95, radius=12), _block(26, 14, 74, 30, fill=METAL, radius=3), _block(28, 28, 72, 36, k=1.3),
        _block(20, 54, 80, 78, fill=CREAM),
    ],
    "kettle": [
        _ring(26, 8, 74, 60, k=0.5), _poly(14, 80, 2, 50, 10, 46, 28, 66, k=0.85), _dome(16, 32, 84, 92),
        _oval(16, 86, 84, 96, k=0.7), _oval(44, 26, 56, 38, fill=INK),
    ],
    "ladder": [
        _poly(26, 6, 34, 6, 26, 97, 16, 97), _poly(66, 6, 74, 6, 84, 97, 74, 97),
        *[_block(32 - 0.08 * y, y, 68 + 0.08 * y, y + 5, k=0.8) for y in (16, 34, 52, 70, 86)],
    ],
    "lamp": [
        _block(46, 46, 54, 90, fill=METAL), _oval(28, 84, 72, 97, fill=METAL), _poly(32, 8, 68, 8, 90, 52, 10, 52),
        _poly(38, 8, 50, 8, 46, 52, 26, 52, k=1.4),
    ],
    "laptop": [
        _block(16, 26, 84, 74, radius=3), _block(21, 31, 79, 69, fill=GLASS),
        _poly(16, 74, 84, 74, 98, 94, 2, 94, k=0.7), _poly(24, 78, 76, 78, 82, 86, 18, 86, k=0.35),
    ],
    "lemon": [
        _poly(4, 68, 24, 50, 76, 50, 96, 68, 76, 86, 24, 86), _oval(14, 44, 86, 93), _oval(28, 54, 46, 66, k=1.5),
    ],
    "moon": [_crescent()],
    "mushroom": [
        _block(36, 54, 64, 96, fill=CREAM, radius=8), _dome(6, 14, 94, 62), _oval(20, 38, 34, 50, fill=CREAM),
        _oval(44, 22, 58, 36, fill=CREAM), _oval(66, 40, 80, 54, fill=CREAM),
    ],
    "pan": [_block(62, 66, 100, 74, fill=INK, radius=3), _oval(2, 56, 68, 94), _oval(8, 60, 62, 84, k=0.45)],
    "pear": [
        _poly(36, 34, 64, 34, 80, 72, 20, 72), _oval(20, 50, 80, 96), _oval(35, 20, 65, 52),
        _block(48, 6, 53, 24, fill=WOOD), _oval(30, 62, 42, 78, k=1.5),
    ],
    "phone": [_block(28, 6, 72, 96, radius=7), _block(33, 15, 67, 82, fill=GLASS), _oval(45, 85, 55, 93, k=0.5)],
    "pizza": [
        _poly(10, 32, 90, 32, 50, 97), _block(5, 22, 95, 38, fill=(198, 140, 78, 255), radius=8),
        *_dots(7, 34, 48, 62, 50, 48, 70, k=0.55),
    ],
    "plane": [
        _poly(6, 30, 20, 30, 30, 56, 14, 56, k=0.75), _block(6, 50, 96, 72, radius=11),
        _poly(40, 60, 62, 60, 42, 94, 28, 94, k=0.7), _poly(44, 52, 60, 52, 48, 26, 38, 26, k=0.85),
        *[_oval(x, 54, x + 5, 60, fill=GLASS) for x in (62, 71, 80)],
    ],
    "plate": [_oval(2, 60, 98, 94), _oval(18, 66, 82, 86, k=0.75), _oval(20, 67, 80, 84, k=1.3)],
    "pot": [
        _block(2, 52, 98, 60, k=0.6, radius=3), _block(14, 42, 86, 94, radius=6), _dome(14, 24, 86, 43, k=1.25),
        _oval(43, 14, 57, 28, fill=INK),
    ],
    "rabbit": [
        _oval(26, 4, 42, 44), _oval(46, 4, 62, 44), _oval(76, 66, 96, 86, k=1.6), _oval(26, 50, 86, 96),
        _oval(18, 30, 66, 70, k=1.1), _oval(29, 42, 36, 50, fill=INK), _oval(48, 42, 55, 50, fill=INK),
    ],
    "robot": [
        _block(48, 2, 52, 16, fill=METAL), _block(30, 12, 70, 42, radius=4), _oval(37, 20, 47, 30, fill=FIRE),
        _oval(53, 20, 63, 30, fill=FIRE), _block(8, 46, 22, 76, k=0.7, radius=3),
        _block(78, 46, 92, 76, k=0.7, radius=3), _block(24, 44, 76, 80), _block(34, 52, 66, 64, fill=METAL),
        _block(28, 80, 44, 97, k=0.7), _block(56, 80, 72, 97, k=0.7),
    ],
    "rocket": [
        _poly(38, 78, 62, 78, 50, 99, fill=FIRE), _poly(34, 50, 14, 86, 36, 80, k=0.6),
        _poly(66, 50, 86, 86, 64, 80, k=0.6), _oval(30, 2, 70, 72), _block(33, 40, 67, 80),
        _oval(41, 26, 59, 44, fill=GLASS),
    ],
    "shirt": [
        _poly(34, 16, 66, 16, 98, 40, 86, 58, 76, 50, 76, 95, 24, 95, 24, 50, 14, 58, 2, 40),
        _poly(40, 15, 60, 15, 50, 30, k=0.4), *[_oval(48, y, 52, y + 4, k=0.4) for y in (42, 58, 74)],
    ],
    "shoe": [
        _poly(6, 50, 36, 50, 52, 66, 86, 74, 97, 90, 6, 90), _block(5, 86, 97, 95, fill=INK, radius=3),
        _poly(36, 54, 54, 70, 50, 74, 32, 58, k=1.6),
    ],
    "snail": [
        _poly(4, 95, 10, 80, 30, 88, 72, 88, 78, 50, 90, 50, 90, 82, 82, 95, k=1.4), _block(78, 38, 80, 54, k=1.4),
        _block(88, 38, 90, 54, k=1.4), _oval(16, 30, 74, 90), _ring(26, 42, 64, 80, width=5, k=0.6),
        _oval(38, 54, 52, 68, k=0.6),
    ],
    "sock": [
        _poly(34, 10, 64, 10, 64, 60, 90, 76, 92, 88, 82, 96, 58, 94, 36, 78), _block(32, 8, 66, 22, k=1.6),
        _poly(72, 68, 90, 76, 92, 88, 82, 96, 66, 94, k=0.6),
    ],
    "sofa": [
        _block(12, 30, 88, 72, k=0.85, radius=6), _block(14, 58, 86, 78, k=1.15, radius=4),
        _block(49, 58, 51, 78, k=0.7), _block(2, 46, 18, 88, radius=7), _block(82, 46, 98, 88, radius=7),
        _block(10, 76, 90, 88), _block(10, 88, 18, 96, fill=WOOD), _block(82, 88, 90, 96, fill=WOOD),
    ],
    "spoon": [_poly(30, 72, 94, 34, 98, 42, 36, 80), _oval(2, 62, 42, 94), _oval(9, 68, 34, 86, k=0.6)],
    "television": [
        _poly(34, 94, 44, 78, 56, 78, 66, 94, k=0.6), _block(2, 20, 98, 82, radius=4), _block(9, 27, 91, 75, fill=INK),
        _poly(9, 75, 9, 27, 40, 27, fill=(70, 74, 84, 255)),
    ],
    "train": [
        _block(12, 28, 22, 50, k=0.5), _block(4, 48, 66, 80, radius=8), _block(56, 22, 94, 80, k=0.85),
        _block(52, 16, 98, 26, k=0.5), _block(64, 34, 86, 54, fill=GLASS), _poly(4, 78, 20, 78, 0, 92, k=0.5),
        *_wheels(24, 50, 78),
    ],
    "trophy": [
        _ring(6, 14, 38, 52, k=0.8), _ring(62, 14, 94, 52, k=0.8), _dome(22, 66, 78, 10), _block(45, 60, 55, 82, k=0.7),
        _block(28, 80, 72, 95, fill=INK), _oval(34, 16, 44, 40, k=1.5),
    ],
    "truck": [
        _block(30, 22, 98, 80), _poly(2, 80, 2, 58, 12, 40, 28, 40, 28, 80, k=0.8),
        _poly(7, 58, 14, 45, 23, 45, 23, 58, fill=GLASS), *[_block(x, 28, x + 2, 74, k=0.7) for x in (46, 62, 78)],
        *_wheels(20, 60, 84),
    ],
    "umbrella": [
        _block(48, 40, 52, 86, fill=INK), _ring(48, 76, 68, 96, width=4, k=0.3), _dome(2, 8, 98, 54),
        _dome(34, 10, 66, 54, k=1.4), _poly(50, 0, 53, 12, 47, 12, fill=INK),
    ],
}  # fmt: skip


def _draw(shapes: list[Shape], pen: Pen) -> None:
    for shape in shapes:
        shape(pen)


WIDE_THINGS: dict[str, Callable[[Pen], None]] = {name: partial(_draw, shapes) for name, shapes in _SHAPES.items()}
