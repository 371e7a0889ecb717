"""Figures in the size and font of a paper: maps of clips, classes of two models, and projected frames."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from ezclip.figures.charts import COLOURS, Bar, draw_dumbbells, draw_points
from ezclip.figures.report import LIVE_TEXT
from ezclip.files import write_atomically
from ezclip.parameters import Parameter
from ezclip.types import Keywords

Font = Literal["serif", "sans"]
WIDTHS = {1: 3.25, 2: 6.75}  # inches of one and of two columns
DPI = 300
MIN_FRAME_SIDE = 0.5  # inches, for automatic selection of frames
POINT_AREA = 11.0
_FRAME_GAP, _CLIP_GAP = 0.03, 0.12  # inches between frames, and between clips
_FONTS: dict[Font, dict[Any, Any]] = {
    "serif": {"font.family": "serif", "font.serif": ["STIXGeneral", "Times New Roman", "Times"]},
    "sans": {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"]},
}
_SIZES = ("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")


@dataclass(frozen=True)
class Look:
    """Width and font of a figure."""

    columns: Annotated[int, Parameter("Width in columns of a paper, 3.25 or 6.75 inches.", "Columns", 1, 2, 1)] = 2
    font: Annotated[Font, Parameter("Font: serif is STIX, sans is DejaVu Sans.", choices=get_args(Font))] = "serif"
    font_size: Annotated[float, Parameter("Size of the text in points.", low=5.0, high=14.0, step=0.5)] = 8.0

    @property
    def width(self) -> float:
        """In inches."""
        return WIDTHS[self.columns]

    @property
    def line(self) -> float:
        """Height of a line of text in inches."""
        return 1.25 * self.font_size / 72

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Context manager for drawing with this font and saving text as text."""
        sizes: dict[Any, Any] = {
            "font.size": self.font_size,
            **dict.fromkeys(_SIZES, self.font_size),
            "axes.linewidth": 0.6,
        }
        with rc_context(LIVE_TEXT | _FONTS[self.font] | sizes):
            yield


@dataclass(frozen=True, eq=False)
class Strip:
    """The frames and maps of a clip; ``rows`` are titles with uint8 pictures (n, side, side, 3)."""

    title: str
    seconds: Sequence[float]  # times of the n frames
    rows: Sequence[tuple[str, np.ndarray]]


def frames_that_fit(T: int, clips: int, look: Look) -> list[int]:
    """Indices in [0, T) of evenly spaced frames, as many as fit with a width of half an inch."""
    across = _across(clips, look)
    width = (look.width - 2.2 * look.line - (across - 1) * _CLIP_GAP) / across
    return np.linspace(0, T - 1, min(T, int(width / MIN_FRAME_SIDE))).round().astype(int).tolist()


def strips(clips: Sequence[Strip], look: Look, scales: Sequence[tuple[ScalarMappable, str]]) -> Figure:
    """Clips with their rows of frames, in pairs side by side if the figure has two columns (Fig. 4, 7).

    All clips have the same number of frames and the same rows. ``scales`` are colour scales with labels.
    """
    n, rows, across = len(clips[0].seconds), len(clips[0].rows), _across(len(clips), look)
    line, title_width = look.line, 2.2 * look.line
    strip_width = (look.width - title_width - (across - 1) * _CLIP_GAP) / across
    side = (strip_width - (n - 1) * _FRAME_GAP) / n
    strip_height = 2 * line + rows * (side + _FRAME_GAP) + _CLIP_GAP
    height = -(-len(clips) // across) * strip_height + 2.9 * line
    with look.apply():
        figure = Figure(figsize=(look.width, height), dpi=DPI)

        def add_axes(x: float, y: float, w: float, h: float) -> Axes:
            """Axes with a position in inches from the upper left."""
            return figure.add_axes((x / look.width, 1 - (y + h) / height, w / look.width, h / height))

        for c, clip in enumerate(clips):
            left, top = title_width + c % across * (strip_width + _CLIP_GAP), c // across * strip_height
            letter = f"({chr(ord('a') + c)}) " if len(clips) > 1 else ""
            heading = letter + textwrap.shorten(clip.title, int(2 * strip_width / line), placeholder="…")
            y = 1 - (top + 0.8 * line) / height
            figure.text(left / look.width, y, heading, va="center", parse_math=False, weight="bold")
            for r, (title, pictures) in enumerate(clip.rows):
                y = top + 2 * line + r * (side + _FRAME_GAP)
                for i, picture in enumerate(pictures):
                    axis = add_axes(left + i * (side + _FRAME_GAP), y, side, side)
                    axis.imshow(picture)
                    axis.set_axis_off()
                    if r == 0:
                        axis.set_title(f"{clip.seconds[i]:.2f} s", pad=1.5, fontsize=0.85 * look.font_size)
                if c % across == 0:
                    name = _in_two_lines(title, int(2.9 * side / line))
                    style: Keywords = {"rotation": 90, "ha": "center", "va": "center", "linespacing": 0.95}
                    x = title_width / 2 / look.width
                    figure.text(x, 1 - (y + side / 2) / height, name, parse_math=False, **style)
        room = look.width / len(scales)
        for s, (scale, meaning) in enumerate(scales):
            axis = add_axes(s * room + 0.18 * room, height - 2.7 * line, 0.64 * room, 0.45 * line)
            bar = figure.colorbar(scale, cax=axis, orientation="horizontal")
            bar.outline.set_linewidth(0.4)  # type: ignore[operator]
            bar.ax.tick_params(labelsize=0.85 * look.font_size, length=2, width=0.4, pad=1)
            bar.ax.locator_params(nbins=5)
            bar.set_label(meaning, labelpad=1, fontsize=0.85 * look.font_size)
    return figure


def classes(
    rows: Sequence[tuple[str, float, Bar]],
    names: tuple[str, str],
    look: Look,
    maps: Mapping[str, np.ndarray],
    labels: Sequence[str],
) -> Figure:
    """Dumbbells of classes, and next to or below them videos of some classes as points of both models (Fig. 5).

    Args:
        rows: of ``charts.dumbbells``, the largest gain last.
        names: of the two models.
        look: width and font.
        maps: model -> points (n, 2); empty for dumbbells only.
        labels: classes of the n points.
    """
    wide, chart_height = look.columns == 2 and bool(maps), 1.1 * look.line * len(rows) + 0.75
    marks = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    with look.apply():
        map_height = 0.0 if wide or not maps else 0.45 * look.width
        figure = Figure(figsize=(look.width, chart_height + map_height), dpi=DPI, layout="constrained")
        left, planes = figure, []
        if maps:
            grid: Keywords = {"ncols": 2, "width_ratios": (2.6, 1)}
            if not wide:
                grid = {"nrows": 2, "height_ratios": (chart_height, map_height)}
            left, right = np.ravel(cast(np.ndarray, figure.subfigures(**grid)))
            planes = right.subplots(*((2, 1) if wide else (1, 2)))
        chart = left.subplots()
        draw_dumbbells(chart, rows, names, size=POINT_AREA)
        chart.set_yticks(range(len(rows)), [_plain(label, 46 if look.columns == 2 else 34) for label, *_ in rows])
        chart.tick_params(axis="y", length=0, pad=1.4 * look.font_size)
        chart.set_xlabel("top-1, %")
        chart.grid(axis="x", alpha=0.3, linewidth=0.5)
        chart.set_axisbelow(True)
        for y, (label, *_) in enumerate(rows):
            if label in marks:
                _mark(chart, marks[label], (-0.7 * look.font_size, 0), (0, y), look, chart.get_yaxis_transform())
        handles, legend = chart.get_legend_handles_labels()
        layout = {"loc": "outside lower left", "ncols": 3 if look.columns == 2 else 2, "frameon": False}
        left.legend(handles, legend, handletextpad=0.3, **layout)
        for axis, (name, points) in zip(planes, maps.items(), strict=True):
            all_points, hollow = np.concatenate(list(maps.values())), [False] * len(labels) * len(maps)
            selected = [name == model for model in maps for _ in labels]
            draw_points(axis, all_points, selected, [*labels] * len(maps), hollow, size=POINT_AREA)
            for label, i in marks.items():
                centre = np.median(points[np.array(labels) == label], axis=0)
                _mark(axis, i, (0, 0), tuple(centre), look, axis.transData)
            axis.set_title(name, pad=2, parse_math=False)
            axis.set_box_aspect(0.85)
    return figure


def plane(points: np.ndarray, panel: Sequence[str], group: Sequence[str], hollow: Sequence[bool], look: Look) -> Figure:
    """Projected frames, a panel per model, a colour per clip, static copies hollow (Fig. 8); see ``charts.plane``."""
    names = list(dict.fromkeys(panel))
    columns = 4 if look.columns == 2 else 2
    legend_height = -(-len(set(group)) // columns) * 1.2 * look.line
    with look.apply():
        size = (look.width, 0.8 * look.width / len(names) + 1.6 * look.line + legend_height)
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for axis, name in zip(axes, names, strict=True):
            selected = [model == name for model in panel]
            draw_points(axis, points, selected, group, hollow, trajectories=True, size=POINT_AREA * look.columns)
            axis.set_title(name, pad=3, parse_math=False)
        handles, clips = axes[0].get_legend_handles_labels()
        layout = {"loc": "outside lower center", "ncols": columns, "frameon": False}
        figure.legend(handles, [_plain(clip, 28) for clip in clips], handletextpad=0.1, columnspacing=1, **layout)
    return figure


def save(figure: Figure, out: Path, name: str, look: Look) -> dict[str, Path]:
    """Write a figure into a folder as PDF and SVG with live text, and as PNG with 300 dpi; format -> path."""
    files = {kind: out / f"{name}.{kind}" for kind in ("pdf", "svg", "png")}
    with look.apply():
        for kind, path in files.items():
            save_as: Callable[[Path], object] = lambda file, kind=kind: figure.savefig(file, format=kind, dpi=DPI)  # noqa: E731
            write_atomically(path, save_as)
    return files


def _across(clips: int, look: Look) -> int:
    return 2 if look.columns == 2 and clips > 1 else 1


def _mark(axis: Axes, i: int, offset: tuple[float, float], xy: tuple[float, float], look: Look, transform: Any) -> None:
    """Write the number of a class in its colour, ``offset`` points from ``xy``."""
    axis.annotate(
        str(i + 1), xy, offset, transform, "offset points", ha="center", va="center", fontsize=0.75 * look.font_size,
        bbox={"boxstyle": "circle,pad=0.15", "fc": COLOURS[i % len(COLOURS)], "ec": "0.2", "lw": 0.4},
        annotation_clip=False, zorder=6,
    )  # fmt: skip


def _in_two_lines(name: str, width: int) -> str:
    """A model's name in at most two lines, broken after a slash."""
    first, slash, last = name.rpartition("/")
    lines = [f"{first}{slash}", last] if len(name) > width and slash else textwrap.wrap(name, width) or [name]
    return "\n".join(_short(line, width) for line in lines[:2])


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _plain(text: str, width: int) -> str:
    """At most ``width`` characters, with dollar signs escaped for labels that parse mathematics."""
    return _short(text, width).replace("$", r"\$")
