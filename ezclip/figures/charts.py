"""Charts of evaluations as matplotlib Figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ezclip.types import Keywords

# Okabe and Ito's colour-blind-safe palette
COLOURS = ("#999999", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = "oDsv^P"
MAX_NAMED_CLASSES = 120  # a confusion matrix of more classes has no class names
Bar = tuple[float, float, float]  # value, lower and upper end of the interval
NO_INTERVAL = (float("nan"), float("nan"))
_HEADING: Keywords = {"fontsize": 10, "parse_math": False}


def differences(rows: Sequence[tuple[str, Bar]], *, title: str, limit: int = 20) -> Figure:
    """Horizontal bars around zero with intervals: the ``limit`` largest gains, below them as many losses.

    Values are in [-1, 1]; rows without a change are skipped.
    """
    ordered = sorted(rows, key=lambda row: row[1][0])
    losses, gains = ([row for row in ordered if sign * row[1][0] > 0] for sign in (-1, 1))
    selected = [*losses[:limit], *gains[-limit:]]
    summary = f"{len(gains)} of {len(rows)} classes gain, {len(losses)} lose; at most {limit} of each are shown"
    label = "points of top-1 accuracy" if selected else "no class changed"
    figure, axis = _chart(8.4, 1.3 + 0.3 * max(1, len(selected)), "x", x_label=label)
    values = 100 * np.array([bar for _, bar in selected]).reshape(-1, 3)
    _bars(axis, {"": values}, horizontal=True, colours=[[COLOURS[1 if v >= 0 else 6] for v in values[:, 0]]])
    axis.set_yticks(range(len(selected)), [_short(name, 52) for name, _ in selected], fontsize=8)
    axis.axvline(0, color="0.2", linewidth=0.8)
    _suptitle(figure, f"{title} ({summary})")
    return figure


def most_changed(rows: Sequence[tuple[str, float, Bar]], limit: int) -> list[tuple[str, float, Bar]]:
    """The ``limit`` rows of ``dumbbells`` with the largest changes, sorted by gain in ascending order."""
    return sorted(sorted(rows, key=lambda row: -abs(row[2][0]))[:limit], key=lambda row: row[2][0])


def draw_dumbbells(
    axis: Axes, rows: Sequence[tuple[str, float, Bar]], names: tuple[str, str], size: float = 26
) -> None:
    """Draw rows of ``dumbbells`` from bottom to top; ``size`` is the area of a point."""
    first = 100 * np.array([value for _, value, _ in rows])
    second, low, high = (first + 100 * np.array([gain[i] for *_, gain in rows]) for i in range(3))
    low, high = low.clip(0, 100), high.clip(0, 100)
    colours, y = [COLOURS[1 if gain[0] >= 0 else 6] for *_, gain in rows], range(len(rows))
    axis.barh(y, high - low, 0.6, left=low, color=colours, alpha=0.2, label="95 % interval of the change")
    axis.hlines(y, first, second, colors=colours, linewidth=1.8)
    axis.scatter(first, y, s=size, color="0.45", zorder=3, label=_short(names[0], 40))
    axis.scatter(second, y, s=0.85 * size, color=COLOURS[1], zorder=4, label=_short(names[1], 40))
    axis.set(xlim=(-1, 101), ylim=(-0.7, len(rows) - 0.3))


def dumbbells(rows: Sequence[tuple[str, float, Bar]], names: tuple[str, str], *, title: str, limit: int = 60) -> Figure:
    """A line for each class from a first model's value to a second's, the largest gain on top.

    ``rows`` are label, the first value in [0, 1], and the gain with its interval in [-1, 1]; the band is the interval
    around the second value. At most ``limit`` rows are drawn, those with the largest changes.
    """
    selected = most_changed(rows, limit)
    if len(selected) < len(rows):
        title = f"{title}: the {limit} of {len(rows)} classes that change most"
    figure, axis = _chart(8.4, 1.4 + 0.22 * len(selected), "x", x_label="top-1, %")
    draw_dumbbells(axis, selected, names)
    axis.set_yticks(range(len(selected)), [_short(name, 52) for name, *_ in selected], fontsize=8)
    _suptitle(figure, title)
    figure.legend(fontsize=8, ncols=3, loc="outside lower center", frameon=False)
    return figure


def slopes(series: Mapping[str, Sequence[tuple[str, float, float]]], *, ends: tuple[str, str], title: str) -> Figure:
    """A panel per model with lines between two conditions: name -> (label, score in [0, 1] at each end).

    The first line of a model is solid with filled points, the others are dashed with hollow points.
    """
    figure = Figure(figsize=(3.6 * len(series), 3.6), layout="constrained")
    panels = figure.subplots(1, len(series), squeeze=False, sharey=True)[0]
    for i, (axis, (name, lines)) in enumerate(zip(panels, series.items(), strict=True)):
        colour = COLOURS[1] if i == len(series) - 1 else "0.45"
        for number, (label, *scores) in enumerate(lines):
            style = {"linestyle": "--", "markerfacecolor": "white"} if number else {}
            axis.plot((0, 1), [100 * v for v in scores], marker="o", color=colour, label=_short(label, 48), **style)
        axis.set_title(name, **_HEADING)
        axis.set(xlim=(-0.25, 1.25), ylim=(-4, 104), ylabel="score, %" if i == 0 else "")
        axis.set_xticks((0, 1), ends)
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)
    _suptitle(figure, title)
    return figure


def hide_numbers(figure: Figure, dimension: Literal["x", "y"]) -> None:
    """Remove the numbers from the x or y axis of all panels, for scores that are guesses."""
    for axis in figure.axes:
        scale = axis.xaxis if dimension == "x" else axis.yaxis
        scale.set_major_formatter(NullFormatter())
        if scale.get_label_text():
            scale.set_label_text("score (a guess)")


def by_class(
    series: Mapping[str, Mapping[str, Bar]], *, title: str, axis_label: str = "top-1, %", limit: int = 40
) -> Figure:
    """Horizontal bars with intervals for each class, one colour per model, the best class of the last model on top.

    ``series`` is model -> class -> value in [0, 1] with its interval, with the same classes for all models. At most
    ``limit`` classes are drawn, half of them the best, half the worst.
    """
    last = list(series.values())[-1]
    labels = sorted(last, key=lambda label: last[label][0])
    if (total := len(labels)) > limit:
        labels = [*labels[: limit // 2], *labels[-(limit // 2) :]]
        title = f"{title}: {limit // 2} best, {limit // 2} worst of {total}"
    figure, axis = _chart(8.4, 1.6 + (0.12 + 0.16 * len(series)) * len(labels), "x", x_label=axis_label)
    values = {name: 100 * np.array([bars[label] for label in labels]) for name, bars in series.items()}
    _bars(axis, values, horizontal=True, colours=COLOURS[len(series) == 1 :])
    axis.set_yticks(range(len(labels)), [_short(name, 52) for name in labels], fontsize=8)
    axis.set_ylim(-0.6, len(labels) - 0.4)
    axis.set_xlim(0, 101)
    _suptitle(figure, title)
    axis.legend(fontsize=8, loc="lower right")
    return figure


def grouped(
    groups: Sequence[str],
    series: Mapping[str, Sequence[Bar]],
    *,
    title: str,
    axis_label: str,
    reference: tuple[float, str] | None = None,
    percent: bool = True,
) -> Figure:
    """Bars side by side for each group, one colour per series: legend -> one bar per group, NaN leaves a gap.

    ``reference`` is the value and name of a dashed line. With ``percent``, values in [0, 1] are shown in per cent.
    """
    factor = 100 if percent else 1
    figure, axis = _chart(max(6.5, 1.05 * len(groups) + 2.5), 3.9, "y", title, y_label=axis_label)
    _bars(axis, {name: factor * np.array(bars, float) for name, bars in series.items()})
    _name_groups(axis, groups)
    if reference is not None:
        axis.axhline(factor * reference[0], color="0.2", linestyle="--", linewidth=1, label=reference[1])
    axis.legend(fontsize=8, ncols=min(5, len(series) + 1), loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def panels(groups: Sequence[str], rows: Mapping[str, Mapping[str, Sequence[float]]], *, title: str) -> Figure:
    """One panel of bars per quantity, stacked over the same groups, one colour per series.

    ``rows`` is quantity -> legend -> one value per group; NaN leaves a gap.
    """
    figure = Figure(figsize=(max(6.5, 1.05 * len(groups) + 2.0), 1.35 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (quantity, series) in zip(axes, rows.items(), strict=True):
        _bars(axis, {name: np.array([(v, *NO_INTERVAL) for v in values]) for name, values in series.items()})
        axis.set_ylabel(textwrap.fill(quantity, 18), fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    _name_groups(axes[-1], groups)
    axes[-1].legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.32))
    _suptitle(figure, title)
    return figure


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    reference: tuple[float, str] | None = None,
) -> Figure:
    """Lines over x, legend -> (x, y)."""
    figure, axis = _chart(6.6, 3.8, "both", title, x_label, y_label)
    for i, (name, (x, y)) in enumerate(lines.items()):
        marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
        axis.plot(x, y, marker=marker, markersize=3.5, color=colour, label=_short(name, 60))
    if reference is not None:
        axis.axhline(reference[0], color="0.2", linestyle="--", linewidth=1, label=reference[1])
    axis.legend(fontsize=8)
    return figure


def bubbles(
    points: Sequence[tuple[str, float, float, float]], *, title: str, x_label: str, y_label: str, size_label: str
) -> Figure:
    """Named points (name, x, y, size), with areas proportional to size (the paper's Fig. 1)."""
    figure, axis = _chart(7.2, 4.4, "both", title, x_label, y_label)
    largest = max(size for *_, size in points) or 1.0
    for i, (name, x, y, size) in enumerate(points):
        label = f"{_short(name, 40)} ({size:.3g} {size_label})"
        axis.scatter(x, y, s=30 + 900 * size / largest, color=COLOURS[i % len(COLOURS)], alpha=0.75, label=label)
    axis.set_xlim(0, 1.25 * max(x for _, x, *_ in points))
    axis.set_ylim(0, 1.25 * max(y for _, _, y, _ in points))
    legend = axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([50])  # type: ignore[union-attr]
    return figure


def confusion(matrix: np.ndarray, labels: Sequence[str], *, title: str) -> Figure:
    """Rows are true classes, columns predictions, as fractions of a row's clips; named up to 120 classes."""
    C = len(labels)
    named = C <= MAX_NAMED_CLASSES
    side = max(4.5, 0.19 * C + 3.4) if named else 14.0
    figure, axis = _chart(side + 0.8, side, None, title, "answer", "true class")
    image = axis.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="viridis", vmin=0, vmax=1)
    if named:
        names, size = [_short(name, 34) for name in labels], 8 if C <= 12 else 5.5
        axis.set_xticks(range(C), names, rotation=90, fontsize=size)
        axis.set_yticks(range(C), names, fontsize=size)
    figure.colorbar(image, ax=axis, fraction=0.04, label="fraction of true class's clips")
    return figure


def draw_points(
    axis: Axes,
    points: np.ndarray,
    selected: Sequence[bool],
    group: Sequence[str],
    hollow: Sequence[bool],
    *,
    trajectories: bool = False,
    size: float = 34,
) -> None:
    """Draw the ``selected`` points of ``plane``, with axis limits from all points; ``size`` is the area of a point."""
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.06 * np.maximum(high - low, 1e-6)
    for g, name in enumerate(dict.fromkeys(group)):
        members = [i for i in range(len(points)) if selected[i] and group[i] == name]
        filled, rings = ([i for i in members if hollow[i] == flag] for flag in (False, True))
        colour, marker = COLOURS[g % len(COLOURS)], MARKERS[g // len(COLOURS) % len(MARKERS)]
        if trajectories and filled:
            axis.plot(*points[filled].T, color=colour, linewidth=0.8, alpha=0.6)
            centred = {"ha": "center", "va": "center", "zorder": 5, "color": "white"}
            axis.annotate("1", points[filled[0]], fontsize=size**0.5, **centred)
        style = {"s": size, "color": colour, "marker": marker, "edgecolors": "0.2", "linewidths": 0.3}
        axis.scatter(*points[filled].T, label=_short(name, 36), **style)
        if rings:
            axis.plot(*points[rings].T, color=colour, linewidth=0.7, linestyle=":")
            axis.scatter(*points[rings].T, s=size, marker=marker, facecolors="none", edgecolors=colour, linewidths=1)
    axis.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]))
    axis.set(xticks=[], yticks=[])


def plane(
    points: np.ndarray,
    panel: Sequence[str],
    group: Sequence[str],
    *,
    title: str,
    trajectories: bool = False,
    hollow: Sequence[bool] | None = None,
) -> Figure:
    """Points (n, 2) of a projection, one panel per model and one colour per group, with shared axis limits.

    ``panel`` has the model of each of the n points, ``group`` the clip or class; ``trajectories`` connects the points
    of a group in order; ``hollow`` has n flags for points that are drawn as rings, without a legend entry.
    """
    hollow = [False] * len(points) if hollow is None else hollow
    names = list(dict.fromkeys(panel))
    figure = Figure(figsize=(4.6 * len(names) + 2.2, 4.6), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        draw_points(axis, points, [name == model for model in panel], group, hollow, trajectories=trajectories)
        axis.set_title(name, **_HEADING)
    axes[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(title, **_HEADING)
    return figure


def _chart(
    width: float, height: float, grid: str | None, title: str = "", x_label: str = "", y_label: str = ""
) -> tuple[Figure, Axes]:
    """A figure with one axis and grid lines along "x", "y" or "both" in the background."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.set_title(title, **_HEADING)
    if grid is not None:
        axis.grid(axis=grid, alpha=0.3)  # type: ignore[arg-type]
        axis.set_axisbelow(True)
    return figure, axis


def _suptitle(figure: Figure, text: str) -> None:
    """Put a title above the whole figure, because long labels may leave the axes little width."""
    figure.suptitle(textwrap.fill(text, 100), **_HEADING)


def _name_groups(axis: Axes, groups: Sequence[str]) -> None:
    axis.set_xticks(range(len(groups)), [textwrap.fill(_short(g, 40), 14) for g in groups], fontsize=8)


def _bars(
    axis: Axes, series: Mapping[str, np.ndarray], *, horizontal: bool = False, colours: Sequence[Any] = COLOURS
) -> None:
    """Bars of each series (n, 3) side by side, with error bars if there are intervals."""
    thickness = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        offset = (i - (len(series) - 1) / 2) * thickness
        positions = np.arange(len(values)) + (-offset if horizontal else offset)
        style = {"label": _short(name, 40), "color": colours[i % len(colours)]}
        (axis.barh if horizontal else axis.bar)(positions, values[:, 0], thickness * 0.94, **style)
        error = np.abs(values[:, 1:].T - values[:, 0])
        if np.isfinite(error).any():
            x, y = (values[:, 0], positions) if horizontal else (positions, values[:, 0])
            x_error, y_error = (error, None) if horizontal else (None, error)
            axis.errorbar(x, y, y_error, x_error, fmt="none", ecolor="0.15", elinewidth=0.9, capsize=2)


def _short(text: str, width: int) -> str:
    """At most ``width`` characters, with dollar signs escaped."""
    return (text if len(text) <= width else text[: width - 1] + "…").replace("$", r"\$")
