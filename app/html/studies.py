"""Results over many clips or windows: classes, families, planes, time lines and the camera."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np

from app.html.pieces import drawn, render, uris
from ezclip.figures.charts import COLOURS
from ezclip.figures.maps import square
from ezclip.figures.report import Picture
from ezclip.studies.classes import ClassStudy
from ezclip.studies.frames import PHANTOM, FramePlane
from ezclip.studies.live import LiveScores
from ezclip.studies.timeline import Timeline, evenly, thumbnail
from ezclip.types import Document
from ezclip.video.read import read_clip

if TYPE_CHECKING:
    from ezclip.evaluation.classwise import ClassMap

MOST_CONFUSIONS = 10
MOST_WINDOWS = 200
GALLERY = ("base", "ezclip")
SHIPPED_SIZE = 96  # S of the shipped models
_SIZE, _PAD, _THUMB, _CARD = 420, 30, 96, 160


def class_tables(study: ClassStudy) -> str:
    """Every class, the confusions fixed and created, and each model's confusion matrix."""
    pictures = [(part.title, drawn(part.figure)) for part in study.confusions() if isinstance(part, Picture)]
    if (comparison := study.comparison) is None:
        rows = [[label, row["n"], f"{row['top1']:.0%}"] for label, row in study.model.report()["per_class"].items()]
        columns = ["Class", "Clips", study.model.model]
        return render("classes", columns=columns, rows=rows, changed=None, pictures=pictures)
    first, second = comparison.models
    rows = [
        [d.label, d.n, f"{d.first:.0%}", f"{d.second:.0%}", f"{d.difference:+.0%}", f"{d.low:+.0%} to {d.high:+.0%}"]
        for d in comparison.classes
    ]
    changed = [["fixed", *row] for row in comparison.fixed[:MOST_CONFUSIONS]]
    changed += [["created", *row] for row in comparison.created[:MOST_CONFUSIONS]]
    columns = ["Class", "Clips", first, second, "Difference", "95 % interval"]
    return render("classes", columns=columns, rows=rows, changed=changed, second=second, pictures=pictures)


def gallery(entries: Sequence[tuple[str, dict[str, str | None]]], accuracy: Document) -> str:
    """A button for each shipped clip out of distribution, with the accuracies of baseline and model on its family.

    ``entries`` are paths with their ``sample_entry``; ``accuracy`` is variant -> family -> {"top1", "n"}.
    """
    cards = []
    for path, entry in entries:
        family, middle = str(entry["family"]), read_clip(path, lambda total: [total // 2]).images
        accuracies = [(v, accuracy[v][family]["top1"]) for v in GALLERY if family in accuracy.get(v, {})]
        pictures = uris(square(middle, _CARD, SHIPPED_SIZE))
        cards.append((*pictures, family.replace("_", " "), entry["label"], accuracies))
    return render("gallery", cards=cards)


def timeline(found: Timeline) -> str:
    """Scores of the winning labels over time, one row a model, and a thumbnail with its heat for each window."""
    models = found.models[::-1]  # the model before its baseline
    labels = list(dict.fromkeys(label for name in models for label in found.winners(name)))
    limit, moments = found.heat_limit, evenly(found.moments, MOST_WINDOWS)
    rows = []
    for name in found.models:
        best = [m.ranked(name, 1)[0].label for m in moments]
        for label in labels:
            cells = [(m.start, m.score(name, label), won == label) for m, won in zip(moments, best, strict=True)]
            rows.append((f"{name}: {label}", cells))
    thumbs = list(zip([m.start for m in moments], uris(thumbnail(m, limit) for m in moments), strict=True))
    left = len(found.moments) if len(moments) < len(found.moments) else 0
    return render("timeline", model=models[0], rows=rows, thumbs=thumbs, left=left)


def live(found: LiveScores) -> str:
    """Both models' best names of the newest window."""
    return render("live", predictions=found.predictions)


def _on_canvas(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in pixels, y upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    xy = _PAD + (_SIZE - 2 * _PAD) * (points - low) / np.maximum(high - low, 1e-9)
    return np.stack([xy[:, 0], _SIZE - xy[:, 1]], axis=1)


def _shade(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def frame_plane(plane: FramePlane) -> str:
    """Two panels on the same axes, one colour a clip, frames joined in time; pictures show on hover or focus."""
    clips = plane.clips
    xys = _on_canvas(plane.points).reshape(len(plane.models), len(clips), -1, 2)
    corners = np.clip(xys + (8, -_THUMB - 8), 0, _SIZE - _THUMB)  # of the pictures
    pictures = [uris(square(clip.images, _THUMB, plane.image_size)) for clip in clips]
    panels: list[tuple[str, list[Any]]] = [(name, []) for name in plane.models]
    for m, (_, lines) in enumerate(panels):
        for c, clip in enumerate(clips):
            titles = [f"{clip.name}, frame {t + 1} at {second:.2f} s" for t, second in enumerate(clip.seconds)]
            points = list(zip(xys[m, c].tolist(), corners[m, c].tolist(), titles, pictures[c], strict=True))
            lines.append((_shade(c), ascii_uppercase[c], points))
    rows = [
        [name, clip, *(f"{v:.4f}" for v in values), "no spread at all" if share is None else f"{share:.0%}"]
        for name, clip, values, share in plane.spread()
    ]
    legend = [(_shade(i), ascii_uppercase[i], clip.name) for i, clip in enumerate(clips)]
    return render(
        "frame_plane", plane=plane, clips=legend, panels=panels, rows=rows, size=_SIZE, thumb=_THUMB, phantom=PHANTOM
    )


def class_plane(found: ClassMap) -> str:
    """One panel a model, one point a video; a click or Enter on it selects its data-row."""
    xys = _on_canvas(found.points.reshape(-1, 2)).reshape(2, len(found.rows), 2).tolist()
    number = {label: i for i, label in enumerate(found.classes)}
    panels = []
    for name, xy in zip(found.models, xys, strict=True):
        points = [
            (x, y, f"{row.path.name}: {row.label}", _shade(number[row.label]), number[row.label] + 1)
            for row, (x, y) in zip(found.rows, xy, strict=True)
        ]
        panels.append((name, points))
    classes = [(_shade(i), i + 1, label) for label, i in number.items()]
    return render("class_plane", map=found, classes=classes, panels=panels, size=_SIZE)
