"""Captioned stills of the wider world, with looks that photographs have and captions that say where things are."""

import re
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from ezclip.data.tabletop.cast import wide_cast
from ezclip.data.tabletop.scene import VIEW, Camera, Placement, depth_scale, paint, window
from ezclip.data.tabletop.sprites import COLOURS
from ezclip.data.tabletop.stills.scenes import Square, draw_scenes, light, with_article
from ezclip.data.tabletop.surfaces import PATTERNED

PLACED = 0.6  # fraction of captions that say where things are
NAMED = (0.5, 0.3, 0.2)  # fractions of them that give a thing's colour and kind, its kind alone, or neither
LOOKS = {"plain": 0.5, "dark": 0.14, "tinted": 0.14, "sketch": 0.08, "grey": 0.06, "blurred": 0.08}
_COLOUR = "|".join(COLOURS)
_COLUMNS = ("at the far left", "on the left", "in the middle", "on the right", "at the far right")
_ROWS = ("high up", "halfway up", "low down")


def wide_stills(count: int, seed: int, surfaces: float) -> Iterator[tuple[np.ndarray, Square, str]]:
    """Draw still scenes of the wider world on the whole canvas, including the area outside the camera's window.

    Args:
        count: number of scenes.
        seed: any non-negative integer.
        surfaces: fraction of the scenes that are drawn over surfaces and places, with most things textured.

    Yields:
        The canvas, uint8 (CANVAS, CANVAS, 3); the window that the caption describes, as x and y of its centre and its
        side in canvas pixels; the caption.
    """
    for background, placements, camera, captions, rng in draw_scenes(count, seed, surfaces, wide_cast):
        canvas, _ = paint(background, placements)
        caption = places(placements, camera, rng) if rng.random() < PLACED else str(rng.choice(captions))
        left, top, right, _ = window(camera)
        side = right - left
        picture, caption = look(light(canvas, rng), caption, rng)
        yield picture, (left + side / 2, top + side / 2, side), caption


def places(placements: list[Placement], camera: Camera, rng: np.random.Generator) -> str:
    """Where one or two of the things are in the camera's window, by colour and kind, by kind, or as "something"."""
    named = [p for p in placements if p.sprite.name.split()[0] in (*COLOURS, PATTERNED)]
    phrases = []
    for i in rng.permutation(len(named))[: rng.integers(1, 3)]:
        p = named[i]
        name = rng.choice([with_article(p.sprite.name), with_article(p.sprite.name.split()[1]), "something"], p=NAMED)
        phrases.append(f"{name} {place(p, camera, detailed=rng.random() < 0.5)}")
    return " and ".join(phrases) if phrases else "something on a table"


def place(p: Placement, camera: Camera, *, detailed: bool) -> str:
    """The column, and if ``detailed`` the row, of the middle of a thing in the camera's window."""
    x = (p.x - camera.x) * camera.zoom / VIEW
    y = (p.y - p.lift - 25 * depth_scale(p.y) - camera.y) * camera.zoom / VIEW
    column = _COLUMNS[int(np.searchsorted([-0.24, -0.08, 0.08, 0.24], x))]
    return f"{column}, {_ROWS[int(np.searchsorted([-0.1, 0.1], y))]}" if detailed else column


def look(picture: np.ndarray, caption: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A picture, uint8 (H, W, 3), in a random one of ``LOOKS``, and its caption without invisible colours."""
    kind = str(rng.choice(list(LOOKS), p=list(LOOKS.values())))
    image = Image.fromarray(picture)
    if kind == "blurred":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 2)))), caption
    if kind in ("dark", "tinted"):
        gains = rng.uniform(0.12, 0.5) * rng.uniform(0.7, 1.3, 3) if kind == "dark" else rng.uniform(0.3, 1.2, 3)
        noise = rng.normal(0, rng.uniform(0, 10), picture.shape)
        values = picture * gains + rng.uniform(0, 30 if kind == "dark" else 70, 3) + noise
        return np.clip(values, 0, 255).astype(np.uint8), caption
    if kind == "plain":
        return picture, caption
    grey = ImageOps.grayscale(image)
    if kind == "sketch":
        edges = np.asarray(grey.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.4))), np.float32)
        slope = sum(np.abs(np.gradient(edges, axis=axis)) for axis in (0, 1))
        ink = np.clip((slope - rng.uniform(2, 5)) * rng.uniform(8, 24), 0, rng.uniform(150, 255))
        paper = rng.uniform(190, 255)
        grey = Image.fromarray(np.clip(paper - ink, 0, 255).astype(np.uint8))
        if rng.random() < 0.3:
            grey = ImageOps.invert(grey)
    return np.asarray(grey.convert("RGB")), without_colours(caption)


def without_colours(caption: str) -> str:
    """The caption without the colours of its things."""
    caption = re.sub(rf"\ban? (?:{_COLOUR}) (\w+)", lambda match: with_article(match[1]), caption)
    return re.sub(rf" (?:{_COLOUR})\b", "", caption)
