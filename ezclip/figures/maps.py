"""Attention maps over frames, in rows per model below the input, with a shared colour scale."""

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
_SIDE, _GAP = 160, 12  # pixels, side of a picture in a strip and gap between pictures


def shared_limit(attributions: list[Attribution]) -> float:
    """Upper end of the colour scale: the 99.5th percentile over all maps, so that no single patch dominates it."""
    return max(float(np.percentile(np.abs(np.concatenate([a.values.ravel() for a in attributions])), 99.5)), 1e-12)


def colour_values(attribution: Attribution, limit: float) -> tuple[np.ndarray, str]:
    """A map scaled so that ``limit`` is 1, and its colour map; in a signed map, 0 becomes 0.5 and -``limit`` 0."""
    values = attribution.values / limit
    return (values, CMAP) if attribution.signed is None else ((values + 1) / 2, DIFFERENCE)


def crop_to_input(images: np.ndarray, side: int, preprocessing: Preprocessing) -> np.ndarray:
    """Crop frames to the model input (``visible_box``), uint8 (T, side, side, 3)."""
    box = visible_box(images.shape[1], images.shape[2], preprocessing)
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
    """Overlay non-negative heat (T, grid, grid) on frames; frames and result are uint8 (T, side, side, 3).

    Heat of ``limit`` has the brightest colour; opacity 0 shows only the frames, 1 only the map. With ``proportional``,
    the opacity grows with the heat up to ``opacity``, so that frames stay visible.
    """
    side = frames.shape[1]
    values = np.clip(heat / limit, 0, 1).astype(np.float32)
    smooth = np.stack([np.asarray(Image.fromarray(v).resize((side, side), Image.Resampling.BILINEAR)) for v in values])
    colours = colormaps[cmap](smooth)[..., :3] * 255
    strength = np.abs(2 * smooth - 1) if cmap == DIFFERENCE else smooth
    alpha = opacity * strength[..., None] if proportional else opacity
    return ((1 - alpha) * frames + alpha * colours).astype(np.uint8)


def difference_limit(difference: np.ndarray) -> float:
    """End of the symmetric colour scale of a difference: the 99.5th percentile of its absolute values."""
    return max(float(np.percentile(np.abs(difference), 99.5)), 1e-12)


def draw_difference(frames: np.ndarray, difference: np.ndarray, opacity: float) -> np.ndarray:
    """Overlay a difference of maps (T, grid, grid) on frames as in ``overlay``, with colours symmetric around zero."""
    return overlay(frames, (difference / difference_limit(difference) + 1) / 2, 1.0, opacity, DIFFERENCE)


def draw_strip(
    clip: Clip,
    rows: Mapping[str, Attribution],
    *,
    limit: float,
    opacity: float = 0.6,
    difference: np.ndarray | None = None,
    notes: Mapping[str, str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Figure:
    """Input frames with one row of overlays per model below.

    Args:
        clip: the T frames.
        rows: row title -> map; all maps have T frames.
        limit: from ``shared_limit``.
        opacity: of the maps.
        difference: (T, grid, grid), the model's map minus the baseline's, drawn in the last row with its own scale.
        notes: row title -> text below the title.
        preprocessing: of the model whose input the first row shows; None uses the last map's.
    """
    T = len(clip)
    frames = crop_to_input(clip.images, _SIDE, preprocessing or list(rows.values())[-1].preprocessing)
    pictures, scales = [("Input", frames)], []
    for name, a in rows.items():
        values, cmap = colour_values(a, limit)
        crop = crop_to_input(clip.images, _SIDE, a.preprocessing)
        pictures.append((name, overlay(crop, values, 1.0, opacity, cmap)))
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
        style = {"x": -0.01, "ha": "right", "transform": axis.transAxes, "parse_math": False}
        name = textwrap.fill(title, 16, max_lines=3, placeholder="…")
        note = (notes or {}).get(title, "")
        axis.text(y=0.5, s=name, va="bottom" if note else "center", fontsize=9, **style)
        axis.text(y=0.46, s=note, va="top", fontsize=7, color="0.35", **style)
    for scale, meaning in scales:
        bar = figure.colorbar(scale, ax=axes, fraction=0.018, pad=0.01, format="%.1e")
        bar.set_label(meaning, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def _row(images: list[np.ndarray], columns: int) -> np.ndarray:
    """Join pictures side by side on white; a single axis draws them much faster than one axis per picture."""
    row = np.full((_SIDE, columns * (_SIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for column, image in enumerate(images):
        row[:, column * (_SIDE + _GAP) :][:, :_SIDE] = image
    return row


def gains(deletion: tuple[float, float, float], insertion: tuple[float, float, float]) -> str:
    """A short note on the faithfulness of a map; each gain is value, low and high."""
    metrics = {"deletion": deletion, "insertion": insertion}
    lines = [f"{name} {value:+.2f} ({low:+.2f} to {high:+.2f})" for name, (value, low, high) in metrics.items()]
    return "\n".join(["gain over chance", *lines])


def draw_thumbnails(pictures: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Pictures with titles, uint8 (side, side, 3), in rows of eight."""
    columns, rows = 8, -(-len(pictures) // 8)
    figure, axes = blank_axes(rows, columns, 1.3 * columns, 1.5 * rows)
    for axis, (title, picture) in zip(axes.ravel(), pictures):
        axis.imshow(picture)
        axis.set_title(title, fontsize=8, pad=2, parse_math=False)
    return figure


def blank_axes(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) axes, all hidden."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    return figure, axes
