"""Two models class by class: gains as dumbbells, the clips that changed, and the tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from app.html.pieces import render
from ezclip.figures.charts import MOST_NAMED
from ezclip.reproduction.methods import BUDGET, COST_HEAD, FAIRNESS, TABLETOP_HEAD, tabletop_rows
from ezclip.studies.classes import EVIDENCE_NOTE, ClassStudy, Evaluate
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.evaluation.classwise import ChangedClip, Comparison
    from ezclip.evaluation.run import Evaluation

MOST_CONFUSIONS = 10
MOST_CLIPS = 500  # cards of fixed clips, and of broken ones
SHOWN_CLIPS = 16  # at first, and more with each press


def class_chart(study: ClassStudy) -> str:
    """A row for each class, baseline to model with the interval of the gain; and the clips fixed and broken.

    Cards of clips that can be opened have their row in ``data-row``; all have what the filters select by.
    """
    if study.comparison is None:
        rows = [_alone(label, row) for label, row in study.model.report()["per_class"].items()]
        return render("class_chart", rows=sorted(rows, key=lambda r: -r["second"]), models=[study.model.model])
    found = study.comparison
    changed = study.changed_clips
    shown = [clip for fixed in (True, False) for clip in [c for c in changed if c.fixed == fixed][:MOST_CLIPS]]
    return render(
        "class_chart",
        rows=_dumbbells(found),
        models=found.models,
        won=sum(d.difference > 0 for d in found.classes),
        lost=sum(d.difference < 0 for d in found.classes),
        clips=[_card(study, clip) for clip in shown],
        counts={"fixed": sum(c.fixed for c in changed), "broken": sum(not c.fixed for c in changed)},
        confusions={"fixed": _confusions(found.fixed), "broken": _confusions(found.created)},
        first_shown=SHOWN_CLIPS,
        openable=study.class_map is not None or isinstance(study.study, Evaluate),
    )


def _dumbbells(found: Comparison) -> list[Document]:
    return [
        {
            **{"label": d.label, "n": d.n, "first": d.first, "second": d.second, "gain": d.difference},
            "told": f"{100 * d.difference:+.0f}",
            "interval": f"{100 * d.low:+.0f} to {100 * d.high:+.0f}",
            "band": [min(1.0, max(0.0, d.first + end)) for end in (d.low, d.high)],
            "overall": d is found.overall,
        }
        for d in [found.overall, *found.classes]
    ]


def _alone(label: str, row: Document) -> Document:
    low, high = row["low"], row["high"]
    told = {"told": f"{row['top1']:.0%}", "interval": f"{low:.0%} to {high:.0%}", "band": [low, high]}
    return {"label": label, "n": row["n"], "first": None, "second": row["top1"], "gain": row["top1"], **told}


def _confusions(rows: Iterable[tuple[str, str, int]]) -> list[Document]:
    return [{"label": label, "said": said, "n": n} for label, said, n in list(rows)[:MOST_CONFUSIONS]]


def _card(study: ClassStudy, clip: ChangedClip) -> Document:
    """``said`` is the wrong answer."""
    change, said = ("fixed", clip.first) if clip.fixed else ("broken", clip.second)
    return vars(clip) | {"change": change, "said": said, "name": study.model.rows[clip.row].short_name}


def class_evidence(study: ClassStudy) -> str:
    """A row for each measure of evidence, with both models' values; empty where clips allow none."""
    from ezclip.evaluation.evidence import evidence_rows

    rows = [
        [title, *("–" if v is None else f"{v:.3f}" for v in values), one["meaning"], one["reference"]]
        for title, one, values in evidence_rows(study.evidence)
    ]
    columns = ["Measure", *study.evidence, "Meaning", "Reference"]
    return render("class_evidence", columns=columns, rows=rows, note=EVIDENCE_NOTE)


def class_tables(study: ClassStudy) -> str:
    """Every class, and each model's confusion matrix."""
    pictures = [_matrix(e) for e in study.evaluations]
    if (comparison := study.comparison) is None:
        rows = [[label, row["n"], f"{row['top1']:.0%}"] for label, row in study.model.report()["per_class"].items()]
        columns = ["Class", "Clips", study.model.model]
        return render("classes", columns=columns, rows=rows, pictures=pictures)
    rows = [
        [d.label, d.n, f"{d.first:.0%}", f"{d.second:.0%}", f"{d.difference:+.0%}", f"{d.low:+.0%} to {d.high:+.0%}"]
        for d in comparison.classes
    ]
    columns = ["Class", "Clips", *comparison.models, "Difference", "95 % interval"]
    return render("classes", columns=columns, rows=rows, pictures=pictures)


def _matrix(e: Evaluation) -> Document:
    """A confusion matrix: its cells that are not empty, as fractions of a true class's clips."""
    from ezclip.evaluation.metrics import confusion_matrix

    counts = confusion_matrix(e.scores, e.targets).numpy()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    cells = [(int(t), int(p), int(counts[t, p]), float(shares[t, p])) for t, p in np.argwhere(counts)]
    named = len(e.labels) <= MOST_NAMED
    return {"title": f"Confusions of {e.model}", "labels": e.labels, "cells": cells, "named": named}


def methods() -> str:
    """The shipped results of the methods that were trained alike, and why published numbers cannot be compared."""
    columns = ["Method", *COST_HEAD, *TABLETOP_HEAD[2]]
    return render("methods", columns=columns, rows=tabletop_rows(2), budget=BUDGET, lines=FAIRNESS)
