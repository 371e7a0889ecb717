"""Attention maps over frames, rows of models under the input, one colour scale for all."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

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
    figure, axes = _grid(lines, 1, 1.5 * columns + 2.0, 1.62 * lines + 0.45)
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
    figure, axes = _grid(rows, columns, 1.3 * columns, 1.5 * rows)
    for axis, (title, picture) in zip(axes.ravel(), pictures):
        axis.imshow(picture)
        axis.set_title(title, fontsize=8, pad=2, parse_math=False)
    return figure


def draw_influence(M: np.ndarray, seconds: np.ndarray, *, title: str) -> Figure:
    """The (T, T) influence matrix; values off the diagonal have their own scale.

    The diagonal is near 1 by construction (each block keeps half of its input), so its values are printed and only
    the rest is coloured; the mean influence of other frames is in the title.
    """
    T = len(M)
    figure = Figure(figsize=(5.4, 4.9), layout="constrained")
    axis = figure.subplots()
    across, scale = _without_diagonal(M)
    axis.set_facecolor("0.9")
    axis.imshow(across, cmap=scale.get_cmap(), clim=scale.get_clim())
    labels = [f"{s:.2f}" for s in seconds]
    axis.set_xticks(range(T), labels, rotation=90, fontsize=7)
    axis.set_yticks(range(T), labels, fontsize=7)
    axis.set(xlabel="… attended to the frame at (s)", ylabel="class token of the frame at (s) …")
    if T <= 16:
        for t in range(T):
            axis.text(t, t, f"{M[t, t]:.2f}", ha="center", va="center", fontsize=7, color="0.35")
    told = f"{100 * np.nansum(across) / T:.2f} % of a frame's attention comes from other frames"
    axis.set_title(f"{textwrap.shorten(title, 48)}\n{told}", fontsize=10, parse_math=False)
    figure.colorbar(scale, ax=axis, label="share from another frame", fraction=0.045)
    return figure


def draw_to_prompt(to_prompt: np.ndarray, layers: Sequence[int], seconds: np.ndarray) -> Figure:
    """How much of each patch's attention goes to its frame's prompt, (K, T, grid, grid); row per layer, one scale."""
    K, T = to_prompt.shape[:2]
    scale = Normalize(0, max(float(to_prompt.max()), 1e-9))
    figure = Figure(figsize=(1.2 * T + 1.6, 1.3 * K + 0.4), layout="constrained")
    axes = figure.subplots(K, T, squeeze=False)
    for k, t in np.ndindex(K, T):
        axis: Any = axes[k, t]
        axis.imshow(to_prompt[k, t], cmap=CMAP, norm=scale)
        axis.set(xticks=[], yticks=[])
    for top, s in zip(axes[0], seconds, strict=True):
        top.set_title(f"{s:.2f} s", fontsize=8, pad=2)
    for left, layer in zip(axes[:, 0], layers, strict=True):
        left.set_ylabel(f"layer {layer}", fontsize=8)
    label = "share of a patch's attention"
    figure.colorbar(ScalarMappable(scale, CMAP), ax=axes, fraction=0.03, label=label, format="%.1e")
    return figure


def draw_prompts(prompts: np.ndarray, layers: Sequence[int]) -> Figure:
    """Attention among the temporal prompts, (K, T, T), one panel per layer, all on one scale without the diagonals."""
    K, T = prompts.shape[:2]
    columns = min(4, K)
    rows = -(-K // columns)
    figure, axes = _grid(rows, columns, 2.9 * columns + 0.9, 3.1 * rows)
    across, scale = _without_diagonal(prompts)
    frames = [str(t + 1) for t in range(T)]
    for axis, layer, matrix in zip(axes.ravel(), layers, across):
        axis.set_axis_on()
        axis.set_facecolor("0.9")
        axis.imshow(matrix, cmap=scale.cmap, norm=scale.norm)
        axis.set_title(f"layer {layer}: {np.nansum(matrix) / T:.0%} to other frames", fontsize=8)
        axis.set_xticks(range(T), frames, fontsize=6)
        axis.set_yticks(range(T), frames, fontsize=6)
        axis.set_xlabel("… attends to prompt of frame", fontsize=7)
        axis.set_ylabel("prompt of frame …", fontsize=7)
    figure.colorbar(scale, ax=axes, fraction=0.03, label="share of attention")
    return figure


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) axes, all off."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    return figure, axes


def _without_diagonal(matrices: np.ndarray) -> tuple[np.ndarray, ScalarMappable]:
    """Matrices (..., T, T) with NaN on the diagonals, and the colour scale of their other values."""
    T = matrices.shape[-1]
    across = np.where(np.eye(T, dtype=bool), np.nan, matrices)
    limit = max(float(np.nanmax(across)) if T > 1 else 0.0, 1e-9)
    return across, ScalarMappable(Normalize(0, limit), "viridis")
