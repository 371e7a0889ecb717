"""Points of two models in one plane: frames of clips, and videos of classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np

from app.widgets.parts import table, uri
from ezclip.figures.charts import COLOURS
from ezclip.figures.maps import square

if TYPE_CHECKING:
    from ezclip.evaluation.class_map import ClassMap
    from ezclip.studies.frames import Layout

_SIZE = 420
_PAD = 30
_THUMB = 96


def _spread_out(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) on the canvas, y upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    xy = _PAD + (_SIZE - 2 * _PAD) * (points - low) / np.maximum(high - low, 1e-9)
    return np.stack([xy[:, 0], _SIZE - xy[:, 1]], axis=1)


def _panels(shapes: dict[str, list[str]], what: str) -> str:
    parts = [
        f'<section><h2>{escape(name)}</h2><svg class="ez-plane" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{what} under {escape(name)}">{"".join(of_model)}</svg></section>'
        for name, of_model in shapes.items()
    ]
    return f'<div class="ez-pair">{"".join(parts)}</div>'


def _legend(names: list[str], marks: Sequence[object]) -> str:
    parts = [
        f'<span><i style="background:{_shade(i)}"></i>{mark}. {escape(name)}</span>'
        for i, (mark, name) in enumerate(zip(marks, names))
    ]
    return f'<div class="ez-legend">{"".join(parts)}</div>'


def _point(x: float, y: float, shade: str, mark: object) -> str:
    """A disc with a letter or number in it."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="{shade}" stroke="#222" stroke-width=".6"/>'
        f'<text x="{x:.1f}" y="{y + 3:.1f}" text-anchor="middle">{mark}</text>'
    )


def _shade(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def frame_plane(found: Layout) -> str:
    """Two panels on the same axes, one colour a clip, frames joined in time; pictures show on hover or focus."""
    from ezclip.studies.frames import PHANTOM

    xys = _spread_out(found.points).reshape(len(found.models), len(found.clips), -1, 2)
    pictures = [[uri(i) for i in square(clip.images, _THUMB)] for clip in found.clips]
    panels: dict[str, list[str]] = {}
    for m, name in enumerate(found.models):
        shapes = []
        for c, clip in enumerate(found.clips):
            shade, xy = _shade(c), xys[m, c]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
            shapes.append(f'<polyline points="{path}" fill="none" stroke="{shade}" stroke-opacity=".6"/>')
            for t, (x, y) in enumerate(xy):
                told = f"{escape(clip.name)}, frame {t + 1} at {clip.seconds[t]:.2f} s"
                px, py = min(max(x + 8, 0), _SIZE - _THUMB), min(max(y - _THUMB - 8, 0), _SIZE - _THUMB)
                disc = _point(x, y, shade, f"{ascii_uppercase[c]}{t + 1}")
                shapes.append(
                    f'<g tabindex="0" class="ez-point" aria-label="{told}"><title>{told}</title>{disc}<image '
                    f'href="{pictures[c][t]}" x="{px:.0f}" y="{py:.0f}" width="{_THUMB}" height="{_THUMB}"/></g>'
                )
        panels[name] = shapes
    trust = "too few points" if np.isnan(found.trustworthiness) else f"{found.trustworthiness:.2f}"
    rows = [
        [name, clip, *(f"{v:.4f}" for v in values), "no spread at all" if phantom is None else f"{phantom:.0%}"]
        for name, clip, *values, phantom in found.spread()
    ]
    columns = ["Model", "Clip", "Var", "Var, frozen copy", "C", "C, frozen copy", "Phantom share"]
    note = "".join(f"<p>{escape(told)}</p>" for told in found.still())
    return (
        f"<p><b>{escape(found.method)}</b>, one fit for both models; {escape(found.difference)}. Trustworthiness "
        f"{trust} (1 is best). Letters are clips, numbers their frames in time order.</p>"
        f"{_legend([clip.name for clip in found.clips], marks=ascii_uppercase)}"
        f"{_panels(panels, 'Frames')}{note}{table(columns, rows)}"
        f"<p>{PHANTOM}</p>"
    )


def class_plane(found: ClassMap) -> str:
    """One panel a model, one point a video; a click or Enter on it is heard as data-row."""
    xys = _spread_out(found.points.reshape(-1, 2)).reshape(2, len(found.rows), 2)
    number = {label: i for i, label in enumerate(found.classes)}
    shapes: dict[str, list[str]] = {}
    for m, name in enumerate(found.models):
        shapes[name] = []
        for i, (x, y) in enumerate(xys[m]):
            told = escape(f"{found.rows[i].path.name}: {found.rows[i].label}")
            k = number[found.rows[i].label]
            shapes[name].append(
                f'<g tabindex="0" role="button" class="ez-point" data-row="{i}" aria-label="{told}">'
                f"<title>{told}</title>{_point(x, y, _shade(k), k + 1)}</g>"
            )
    return (
        f"<h2>Videos of the {len(found.classes)} classes that changed most</h2><p><b>{escape(found.method)}</b>, one "
        f"fit for both models; the number is the class. {escape(found.note)} Click a point to see its clip and both "
        "models' maps.</p>"
        f"{_legend(found.classes, range(1, len(found.classes) + 1))}{_panels(shapes, 'Videos')}"
    )
