"""Frames with the maps of models side by side, with the models' names, the time and the colour scales as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from ezclip.figures.maps import CMAP, DIFFERENCE, coloured, difference_limit, draw_difference, overlay, square
from ezclip.types import Attribution, Clip, Preprocessing

SIDE = 224  # pixels of a panel
BAND = 24  # pixels of the text above and below the panels
_FONT, _EDGE, _RAMP = 13, 6, 90  # pixels of the letters, around them, and of a colour scale
Scale = tuple[str, str, str]  # colour map, and the texts at its lower and upper end


def overlay_frames(
    clip: Clip,
    rows: Mapping[str, Attribution],
    *,
    limit: float,
    opacity: float,
    difference: np.ndarray | None,
    seen: Preprocessing,
) -> np.ndarray:
    """The pictures of an overlay video, input first, the difference last; arguments as in ``maps.draw_strip``.

    Returns:
        uint8 (T, SIDE + 2 * BAND, SIDE * number of panels, 3).
    """
    panels = {"Input": square(clip.images, SIDE, seen)}
    signed = any(a.signed is not None for a in rows.values())
    end = f"{limit:.1e} per patch"
    scales: list[Scale] = [(DIFFERENCE, f"−{limit:.1e}", f"+{end}") if signed else (CMAP, "0", end)]
    for name, a in rows.items():
        frames = square(clip.images, SIDE, a.seen)
        if a.absent:
            panels[f"{name}, no map"] = frames
            continue
        values, cmap = coloured(a, limit)
        panels[name] = overlay(frames, values, 1.0, opacity, cmap)
    if difference is not None:
        end = f"{difference_limit(difference):.1e}"
        scales.append((DIFFERENCE, f"baseline more −{end}", f"+{end} model more"))
        panels["Difference"] = draw_difference(panels["Input"], difference, opacity)
    pictures = np.concatenate(list(panels.values()), axis=2)
    framed = np.pad(pictures, ((0, 0), (BAND, BAND), (0, 0), (0, 0)))
    return np.stack([_lettered(p, list(panels), s, scales) for p, s in zip(framed, clip.seconds, strict=True)])


def _lettered(picture: np.ndarray, titles: list[str], second: float, scales: list[Scale]) -> np.ndarray:
    """A title above each panel; below them the time of the frame and the colour scales."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), _FONT)

    def write(x: float, y: float, text: str) -> float:
        draw.text((x, y), text, "white", font, anchor="lm")
        return x + draw.textlength(text, font) + _EDGE

    for i, title in enumerate(titles):
        while draw.textlength(title, font) > SIDE - 2 * _EDGE:
            title = f"…{title.removeprefix('…')[1:]}"  # names of models differ at their end
        write(i * SIDE + _EDGE, BAND / 2, title)
    line = SIDE + 3 * BAND // 2
    x = write(_EDGE, line, f"{second:.2f} s") + 3 * _EDGE
    for cmap, low, high in scales:
        x = write(x, line, low)
        ramp = colormaps[cmap](np.linspace(0, 1, _RAMP), bytes=True)[None, :, :3].repeat(BAND // 2, axis=0)
        image.paste(Image.fromarray(ramp), (round(x), line - BAND // 4))
        x = write(x + _RAMP + _EDGE, line, high) + 3 * _EDGE
    return np.asarray(image)
