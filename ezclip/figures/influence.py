"""Figures of influence between frames, and of attention among and to the temporal prompts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ezclip.figures.maps import CMAP, blank_axes
from ezclip.figures.report import Picture, Table


def prompt_parts(
    name: str,
    seconds: np.ndarray,
    *,
    influence: np.ndarray,
    prompts: np.ndarray,
    to_prompt: np.ndarray,
    layers: Sequence[int],
) -> list[Table | Picture]:
    """Report parts: influence between frames over all layers, and attention among and to the prompts of each layer.

    Args:
        name: of the model.
        seconds: (T,).
        influence: (T, T); this and the following as in ``explanation.maps.TemporalView``.
        prompts: (K, T, T).
        to_prompt: (K, T, grid, grid).
        layers: the K layers.
    """
    frames = [f"{t + 1}: {s:.2f} s" for t, s in enumerate(seconds)]
    influence_rows = [[frame, *map(float, row)] for frame, row in zip(frames, influence, strict=True)]
    prompt_rows = [
        [layer, frame, *map(float, row)]
        for layer, matrix in zip(layers, prompts, strict=True)
        for frame, row in zip(frames, matrix, strict=True)
    ]
    title, columns = f"{name}: influence between frames", ["layer", "prompt of frame", *frames]
    return [
        Picture("influence", title, draw_influence(influence, seconds, title=name)),
        Table("influence_matrix", title, ["frame, columns: attended frame", *frames], influence_rows, on_page=False),
        Picture("prompts", f"{name}: attention among the prompts", draw_prompts(prompts, layers)),
        Picture("to_prompt", f"{name}: attention to the prompt", draw_to_prompt(to_prompt, layers, seconds)),
        Table("prompts_by_layer", "Attention among the prompts", columns, prompt_rows, on_page=False),
    ]


def draw_influence(M: np.ndarray, seconds: np.ndarray, *, title: str) -> Figure:
    """The (T, T) influence matrix, with a colour scale for the values off the diagonal.

    The diagonal is near 1 by construction (each block keeps half of its input), so its values are printed and only
    the others are coloured; the title shows the mean influence of other frames.
    """
    T = len(M)
    figure = Figure(figsize=(5.4, 4.9), layout="constrained")
    axis = figure.subplots()
    off_diagonal, scale = _off_diagonal(M)
    axis.set_facecolor("0.9")
    axis.imshow(off_diagonal, cmap=scale.get_cmap(), clim=scale.get_clim())
    labels = [f"{s:.2f}" for s in seconds]
    axis.set_xticks(range(T), labels, rotation=90, fontsize=7)
    axis.set_yticks(range(T), labels, fontsize=7)
    axis.set(xlabel="… attended to the frame at (s)", ylabel="class token of the frame at (s) …")
    if T <= 16:
        for t in range(T):
            axis.text(t, t, f"{M[t, t]:.2f}", ha="center", va="center", fontsize=7, color="0.35")
    summary = f"{100 * np.nansum(off_diagonal) / T:.2f} % of a frame's attention comes from other frames"
    axis.set_title(f"{textwrap.shorten(title, 48)}\n{summary}", fontsize=10, parse_math=False)
    figure.colorbar(scale, ax=axis, label="share from another frame", fraction=0.045)
    return figure


def draw_to_prompt(to_prompt: np.ndarray, layers: Sequence[int], seconds: np.ndarray) -> Figure:
    """Each patch's attention to its frame's prompt, (K, T, grid, grid); one row per layer, one colour scale."""
    K, T = to_prompt.shape[:2]
    scale = Normalize(0, max(float(to_prompt.max()), 1e-9))
    figure = Figure(figsize=(1.2 * T + 1.6, 1.3 * K + 0.4), layout="constrained")
    axes = figure.subplots(K, T, squeeze=False)
    for k, t in np.ndindex(K, T):
        axis: Any = axes[k, t]
        axis.imshow(to_prompt[k, t], cmap=CMAP, norm=scale)
        axis.set(xticks=[], yticks=[])
    for axis, s in zip(axes[0], seconds, strict=True):
        axis.set_title(f"{s:.2f} s", fontsize=8, pad=2)
    for axis, layer in zip(axes[:, 0], layers, strict=True):
        axis.set_ylabel(f"layer {layer}", fontsize=8)
    label = "share of a patch's attention"
    figure.colorbar(ScalarMappable(scale, CMAP), ax=axes, fraction=0.03, label=label, format="%.1e")
    return figure


def draw_prompts(prompts: np.ndarray, layers: Sequence[int]) -> Figure:
    """Attention among the temporal prompts, (K, T, T); one panel per layer, one colour scale without the diagonals."""
    K, T = prompts.shape[:2]
    columns = min(4, K)
    rows = -(-K // columns)
    figure, axes = blank_axes(rows, columns, 2.9 * columns + 0.9, 3.1 * rows)
    off_diagonal, scale = _off_diagonal(prompts)
    frames = [str(t + 1) for t in range(T)]
    for axis, layer, matrix in zip(axes.ravel(), layers, off_diagonal):
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


def _off_diagonal(matrices: np.ndarray) -> tuple[np.ndarray, ScalarMappable]:
    """Matrices (..., T, T) with NaN on the diagonals, and the colour scale of the other values."""
    T = matrices.shape[-1]
    values = np.where(np.eye(T, dtype=bool), np.nan, matrices)
    limit = max(float(np.nanmax(values)) if T > 1 else 0.0, 1e-9)
    return values, ScalarMappable(Normalize(0, limit), "viridis")
