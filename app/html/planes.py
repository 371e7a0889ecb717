"""Planes of embeddings, the models side by side: frames of clips, and videos of classes."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np

from app.html.pieces import render, uris
from ezclip.figures.charts import COLOURS
from ezclip.figures.maps import square
from ezclip.studies.classes import ClassStudy
from ezclip.studies.frames import BENT, PHANTOM, FramePlane

if TYPE_CHECKING:
    from ezclip.evaluation.classwise import ClassMap

_SIZE, _PAD, _THUMB = 420, 30, 96


def _on_canvas(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in pixels, y upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    xy = _PAD + (_SIZE - 2 * _PAD) * (points - low) / np.maximum(high - low, 1e-9)
    return np.stack([xy[:, 0], _SIZE - xy[:, 1]], axis=1)


def _shade(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def frame_plane(plane: FramePlane) -> str:
    """The verdict, and two panels on the same axes: one colour a clip, frames joined in time, static copies hollow.

    The frames of the first clip have ``data-t``: it is the one in the player.
    """
    clips, both = plane.clips, np.concatenate([plane.points, plane.copies])
    shape = (2, len(plane.models), len(clips), -1, 2)
    moving, still = _on_canvas(both).reshape(shape)
    panels = []
    for m, name in enumerate(plane.models):
        lines = []
        for c, clip in enumerate(clips):
            points = [(*at, f"{clip.seconds[t]:.2f} s") for t, at in enumerate(moving[m, c].tolist())]
            lines.append((_shade(c), ascii_uppercase[c], clip.name, points, still[m, c].tolist()))
        panels.append((name, lines))
    rows = [
        [name, clip, *(f"{v:.4f}" for v in values[:4]), *("none" if np.isnan(v) else f"{v:.0f}°" for v in values[4:])]
        + ["no spread at all" if share is None else f"{share:.0%}"]
        for name, clip, values, share in plane.spread()
    ]
    return render(
        "frame_plane",
        plane=plane,
        clips=[(_shade(i), ascii_uppercase[i], clip.name) for i, clip in enumerate(clips)],
        pictures=[uris(square(clip.images, _THUMB, plane.seen)) for clip in clips],
        panels=panels,
        rows=rows,
        size=_SIZE,
        notes=[PHANTOM, BENT],
    )


def class_plane(study: ClassStudy, found: ClassMap) -> str:
    """One panel a model, one point a video; a click or Enter on it selects its data-row, as on a clip's card."""
    xys = _on_canvas(found.points.reshape(-1, 2)).reshape(2, len(found.rows), 2).tolist()
    number = {label: i for i, label in enumerate(found.classes)}
    place = {row.short_name: i for i, row in enumerate(study.model.rows)}
    answers = [[e.labels[i] for i in e.scores.argmax(dim=1).tolist()] for e in study.evaluations]
    panels = []
    for m, (name, xy) in enumerate(zip(found.models, xys, strict=True)):
        points = []
        for row, at in zip(found.rows, xy, strict=True):
            i = place[row.short_name]
            told = {"row": i, "name": row.path.name, "label": row.label, "answer": answers[m][i]}
            points.append((*at, told, _shade(number[row.label]), number[row.label] + 1))
        panels.append((name, points))
    classes = [(_shade(i), i + 1, label) for label, i in number.items()]
    return render("class_plane", map=found, classes=classes, panels=panels, size=_SIZE)
