"""Frames of an overlay video: maps of models side by side, with model names, time and colour scales as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from ezclip.figures.maps import (
    CMAP,
    DIFFERENCE,
    colour_values,
    crop_to_input,
    difference_limit,
    draw_difference,
    overlay,
)
from ezclip.types import Attribution, Clip, Preprocessing

SIDE = 224  # pixels, side of a panel
BAND = 24  # pixels, height of the text above and below the panels
_FONT, _MARGIN, _RAMP = 13, 6, 90  # pixels: font size, margin around text, width of a colour scale
Scale = tuple[str, str, str]  # colour map, and the texts at its lower and upper end


def overlay_frames(
    clip: Clip,
    rows: Mapping[str, Attribution],
    *,
    limit: float,
    opacity: float,
    difference: np.ndarray | None,
    preprocessing: Preprocessing,
) -> np.ndarray:
    """The frames of an overlay video, from the input to the difference; arguments as in ``maps.draw_strip``.

    Returns:
        uint8 (T, SIDE + 2 * BAND, SIDE * number of panels, 3).
    """
    panels = {"Input": crop_to_input(clip.images, SIDE, preprocessing)}
    signed = any(a.signed is not None for a in rows.values())
    end = f"{limit:.1e} per patch"
    scales: list[Scale] = [(DIFFERENCE, f"−{limit:.1e}", f"+{end}") if signed else (CMAP, "0", end)]
    for name, a in rows.items():
        frames = crop_to_input(clip.images, SIDE, a.preprocessing)
        if a.absent:
            panels[f"{name}, no map"] = frames
            continue
        values, cmap = colour_values(a, limit)
        panels[name] = overlay(frames, values, 1.0, opacity, cmap)
    if difference is not None:
        end = f"{difference_limit(difference):.1e}"
        scales.append((DIFFERENCE, f"baseline more −{end}", f"+{end} model more"))
        panels["Difference"] = draw_difference(panels["Input"], difference, opacity)
    pictures = np.concatenate(list(panels.values()), axis=2)
    framed = np.pad(pictures, ((0, 0), (BAND, BAND), (0, 0), (0, 0)))
    return np.stack([_annotate(p, list(panels), s, scales) for p, s in zip(framed, clip.seconds, strict=True)])


def _annotate(picture: np.ndarray, titles: list[str], second: float, scales: list[Scale]) -> np.ndarray:
    """Write a title above each panel, and the frame's time and the colour scales below."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), _FONT)

    def write(x: float, y: float, text: str) -> float:
        draw.text((x, y), text, "white", font, anchor="lm")
        return x + draw.textlength(text, font) + _MARGIN

    for i, title in enumerate(titles):
        while draw.textlength(title, font) > SIDE - 2 * _MARGIN:
            title = f"…{title.removeprefix('…')[1:]}"  # names of models differ at their end
        write(i * SIDE + _MARGIN, BAND / 2, title)
    line = SIDE + 3 * BAND // 2
    x = write(_MARGIN, line, f"{second:.2f} s") + 3 * _MARGIN
    for cmap, low, high in scales:
        x = write(x, line, low)
        ramp = colormaps[cmap](np.linspace(0, 1, _RAMP), bytes=True)[None, :, :3].repeat(BAND // 2, axis=0)
        image.paste(Image.fromarray(ramp), (round(x), line - BAND // 4))
        x = write(x + _RAMP + _MARGIN, line, high) + 3 * _MARGIN
    return np.asarray(image)
