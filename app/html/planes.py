"""Projected embeddings of the models side by side: frames of clips, and videos of classes."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

import numpy as np

from app.html.pieces import render, uris
from ezclip.figures.charts import COLOURS
from ezclip.figures.maps import crop_to_input
from ezclip.studies.classes import ClassStudy
from ezclip.studies.frames import CURVATURE_NOTE, PHANTOM_NOTE, FramePlane

if TYPE_CHECKING:
    from ezclip.evaluation.classwise import ClassMap

_SIZE, _PAD, _THUMB = 420, 30, 96


def _on_canvas(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in pixels, with the y axis upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    xy = _PAD + (_SIZE - 2 * _PAD) * (points - low) / np.maximum(high - low, 1e-9)
    return np.stack([xy[:, 0], _SIZE - xy[:, 1]], axis=1)


def _shade(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def frame_plane(plane: FramePlane) -> str:
    """The verdict, and two panels on the same axes: one colour per clip, frames joined in time, static copies hollow.

    The frames of the first clip, which is the one in the player, have ``data-t``.
    """
    clips, both = plane.clips, np.concatenate([plane.points, plane.copies])
    shape = (2, len(plane.models), len(clips), -1, 2)
    moving, still = _on_canvas(both).reshape(shape)
    panels = []
    for m, name in enumerate(plane.models):
        lines = []
        for c, clip in enumerate(clips):
            points = [(*xy, f"{clip.seconds[t]:.2f} s") for t, xy in enumerate(moving[m, c].tolist())]
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
        pictures=[uris(crop_to_input(clip.images, _THUMB, plane.preprocessing)) for clip in clips],
        panels=panels,
        rows=rows,
        size=_SIZE,
        notes=[PHANTOM_NOTE, CURVATURE_NOTE],
    )


def class_plane(study: ClassStudy, class_map: ClassMap) -> str:
    """One panel per model, one point per video; a click or Enter on a point selects its data-row, as on a clip card."""
    xys = _on_canvas(class_map.points.reshape(-1, 2)).reshape(2, len(class_map.rows), 2).tolist()
    class_numbers = {label: i for i, label in enumerate(class_map.classes)}
    row_numbers = {row.short_name: i for i, row in enumerate(study.model.rows)}
    answers = [[e.labels[i] for i in e.scores.argmax(dim=1).tolist()] for e in study.evaluations]
    panels = []
    for m, (name, xy) in enumerate(zip(class_map.models, xys, strict=True)):
        points = []
        for row, point in zip(class_map.rows, xy, strict=True):
            i, number = row_numbers[row.short_name], class_numbers[row.label]
            video = {"row": i, "name": row.path.name, "label": row.label, "answer": answers[m][i]}
            points.append((*point, video, _shade(number), number + 1))
        panels.append((name, points))
    classes = [(_shade(i), i + 1, label) for label, i in class_numbers.items()]
    return render("class_plane", map=class_map, classes=classes, panels=panels, size=_SIZE)
