"""Attention maps over frames, rows of models under the input, one colour scale for all."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from ezclip.types import Attribution, Clip, Preprocessing, visible_box

DIFFERENCE = "PuOr_r"  # symmetric, colour-blind-safe
CMAP = "magma"  # perceptually uniform, also in greyscale; colour-blind-safe
_SIDE, _GAP = 160, 12  # pixels of a picture in a strip, and between two


def shared_limit(attributions: list[Attribution]) -> float:
    """Upper end of the colour scale: the 99.5th percentile over all maps, so that one patch does not hide the rest."""
    return max(float(np.percentile(np.abs(np.concatenate([a.shown.ravel() for a in attributions])), 99.5)), 1e-12)


def coloured(attribution: Attribution, limit: float) -> tuple[np.ndarray, str]:
    """A map as values of [0, 1] up to ``limit`` and their colour map; 0 of a signed map is in its middle."""
    values = attribution.shown / limit
    return (values, CMAP) if attribution.signed is None else ((values + 1) / 2, DIFFERENCE)


def square(images: np.ndarray, side: int, seen: Preprocessing) -> np.ndarray:
    """The part of frames that a model sees (``visible_box``), uint8 (T, side, side, 3)."""
    box = visible_box(images.shape[1], images.shape[2], seen)
    return np.stack(
        [np.asarray(Image.fromarray(i).resize((side, side), Image.Resampling.BICUBIC, box=box)) for i in images]
    )


def overlay(
    frames: np.ndarray,
    heat: np.ndarray,
    limit: float,
    opacity: float = 0.6,
    cmap: str = CMAP,
    *,
    proportional: bool = False,
) -> np.ndarray:
    """Heat (T, grid, grid), not negative, over frames; these and the result are uint8 (T, side, side, 3).

    The brightest colour is heat of ``limit``; opacity 0 shows the frames alone, 1 the map alone. ``proportional`` lets
    the opacity grow with the heat's size, up to ``opacity``, so that frames stay readable.
    """
    side = frames.shape[1]
    values = np.clip(heat / limit, 0, 1).astype(np.float32)
    smooth = np.stack([np.asarray(Image.fromarray(v).resize((side, side), Image.Resampling.BILINEAR)) for v in values])
    colours = colormaps[cmap](smooth)[..., :3] * 255
    strength = np.abs(2 * smooth - 1) if cmap == DIFFERENCE else smooth
    alpha = opacity * strength[..., None] if proportional else opacity
    return ((1 - alpha) * frames + alpha * colours).astype(np.uint8)


def difference_limit(difference: np.ndarray) -> float:
    """Both ends of a difference's colour scale: the 99.5th percentile of its size."""
    return max(float(np.percentile(np.abs(difference), 99.5)), 1e-12)


def draw_difference(frames: np.ndarray, difference: np.ndarray, opacity: float) -> np.ndarray:
    """A difference of maps (T, grid, grid) over frames as ``overlay`` has them, its colours symmetric around zero."""
    return overlay(frames, (difference / difference_limit(difference) + 1) / 2, 1.0, opacity, DIFFERENCE)


def draw_strip(
    clip: Clip,
    rows: Mapping[str, Attribution],
    *,
    limit: float,
    opacity: float = 0.6,
    difference: np.ndarray | None = None,
    notes: Mapping[str, str] | None = None,
    seen: Preprocessing | None = None,
) -> Figure:
    """Input frames and, under them, one row of overlays for each model.

    Args:
        clip: the T frames.
        rows: row title -> map; all maps have T frames.
        limit: from ``shared_limit``.
        opacity: of the maps.
        difference: (T, grid, grid), the model's map minus the baseline's, drawn below on a scale of its own.
        notes: row title -> text below it.
        seen: preprocessing of the model whose view the input row shows; None takes that of the last map.
    """
    T = len(clip)
    frames = square(clip.images, _SIDE, seen or list(rows.values())[-1].seen)
    pictures, scales = [("Input", frames)], []
    for name, a in rows.items():
        values, cmap = coloured(a, limit)
        pictures.append((name, overlay(square(clip.images, _SIDE, a.seen), values, 1.0, opacity, cmap)))
    if rows:
        signed = any(a.signed is not None for a in rows.values())
        scale = (
            ScalarMappable(Normalize(-limit, limit), DIFFERENCE)
            if signed
            else ScalarMappable(Normalize(0, limit), CMAP)
        )
        scales.append((scale, "heat per patch\n(one scale for all rows)"))
    if difference is not None:
        pictures.append(("Model minus baseline", draw_difference(frames, difference, opacity)))
        end = difference_limit(difference)
        scales.append((ScalarMappable(Normalize(-end, end), DIFFERENCE), "model minus baseline"))
    columns = min(T, 8)
    bands = [range(start, min(start + columns, T)) for start in range(0, T, columns)]
    lines = len(pictures) * len(bands)
    figure, axes = blank_axes(lines, 1, 1.5 * columns + 2.0, 1.62 * lines + 0.45)
    for line, axis in enumerate(axes.ravel()):
        band, (title, images) = bands[line // len(pictures)], pictures[line % len(pictures)]
        axis.imshow(_row([images[t] for t in band], columns))
        if title == "Input":
            for c, t in enumerate(band):
                middle = c * (_SIDE + _GAP) + _SIDE / 2
                axis.text(middle, -8, f"{clip.seconds[t]:.2f} s", ha="center", va="bottom", fontsize=8)
        told = {"x": -0.01, "ha": "right", "transform": axis.transAxes, "parse_math": False}
        name = textwrap.fill(title, 16, max_lines=3, placeholder="…")
        note = (notes or {}).get(title, "")
        axis.text(y=0.5, s=name, va="bottom" if note else "center", fontsize=9, **told)
        axis.text(y=0.46, s=note, va="top", fontsize=7, color="0.35", **told)
    for scale, meaning in scales:
        bar = figure.colorbar(scale, ax=axes, fraction=0.018, pad=0.01, format="%.1e")
        bar.set_label(meaning, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def _row(images: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures beside each other on white: one axis draws them many times faster than one each."""
    row = np.full((_SIDE, columns * (_SIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for place, image in enumerate(images):
        row[:, place * (_SIDE + _GAP) :][:, :_SIDE] = image
    return row


def gains(deletion: tuple[float, float, float], insertion: tuple[float, float, float]) -> str:
    """A map's faithfulness as a short note; each gain as value, low and high."""
    named = {"deletion": deletion, "insertion": insertion}
    lines = [f"{name} {value:+.2f} ({low:+.2f} to {high:+.2f})" for name, (value, low, high) in named.items()]
    return "\n".join(["gain over chance", *lines])


def draw_thumbnails(pictures: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Pictures, uint8 (side, side, 3), in rows of eight, each with its title."""
    columns, rows = 8, -(-len(pictures) // 8)
    figure, axes = blank_axes(rows, columns, 1.3 * columns, 1.5 * rows)
    for axis, (title, picture) in zip(axes.ravel(), pictures):
        axis.imshow(picture)
        axis.set_title(title, fontsize=8, pad=2, parse_math=False)
    return figure


def blank_axes(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) axes, all off."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    return figure, axes
