"""Comparison of two models per class: gains as dumbbells, changed clips, and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from app.html.pieces import render
from ezclip.figures.charts import MAX_NAMED_CLASSES
from ezclip.reproduction.methods import BUDGET, COST_HEAD, FAIRNESS, TABLETOP_HEAD, tabletop_rows
from ezclip.studies.classes import EVIDENCE_NOTE, ClassStudy, Evaluate
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.evaluation.classwise import ChangedClip, Comparison
    from ezclip.evaluation.run import Evaluation

MAX_CONFUSIONS = 10
MAX_CLIPS = 500  # cards of fixed clips, and of broken clips
CLIPS_PER_PAGE = 16


def class_chart(study: ClassStudy) -> str:
    """One row per class, from baseline to model with the interval of the gain, and cards of fixed and broken clips.

    Cards of clips that can be opened have their row in ``data-row``; all have the attributes of the filters.
    """
    if study.comparison is None:
        rows = [_single_model_row(label, row) for label, row in study.model.report()["per_class"].items()]
        return render("class_chart", rows=sorted(rows, key=lambda r: -r["second"]), models=[study.model.model])
    comparison = study.comparison
    changed = study.changed_clips
    clips = [clip for fixed in (True, False) for clip in [c for c in changed if c.fixed == fixed][:MAX_CLIPS]]
    return render(
        "class_chart",
        rows=_dumbbells(comparison),
        models=comparison.models,
        gains=sum(d.difference > 0 for d in comparison.classes),
        losses=sum(d.difference < 0 for d in comparison.classes),
        clips=[_card(study, clip) for clip in clips],
        counts={"fixed": sum(c.fixed for c in changed), "broken": sum(not c.fixed for c in changed)},
        confusions={"fixed": _confusions(comparison.fixed), "broken": _confusions(comparison.created)},
        first_shown=CLIPS_PER_PAGE,
        openable=study.class_map is not None or isinstance(study.study, Evaluate),
    )


def _dumbbells(comparison: Comparison) -> list[Document]:
    return [
        {
            **{"label": d.label, "n": d.n, "first": d.first, "second": d.second, "gain": d.difference},
            "change": f"{100 * d.difference:+.0f}",
            "interval": f"{100 * d.low:+.0f} to {100 * d.high:+.0f}",
            "band": [min(1.0, max(0.0, d.first + end)) for end in (d.low, d.high)],
            "overall": d is comparison.overall,
        }
        for d in [comparison.overall, *comparison.classes]
    ]


def _single_model_row(label: str, row: Document) -> Document:
    low, high = row["low"], row["high"]
    texts = {"change": f"{row['top1']:.0%}", "interval": f"{low:.0%} to {high:.0%}", "band": [low, high]}
    return {"label": label, "n": row["n"], "first": None, "second": row["top1"], "gain": row["top1"], **texts}


def _confusions(rows: Iterable[tuple[str, str, int]]) -> list[Document]:
    return [{"label": label, "answer": answer, "n": n} for label, answer, n in list(rows)[:MAX_CONFUSIONS]]


def _card(study: ClassStudy, clip: ChangedClip) -> Document:
    """``answer`` is the wrong answer."""
    change, answer = ("fixed", clip.first) if clip.fixed else ("broken", clip.second)
    return vars(clip) | {"change": change, "answer": answer, "name": study.model.rows[clip.row].short_name}


def class_evidence(study: ClassStudy) -> str:
    """One row per measure of evidence, with both models' values; empty if no measure applies to the clips."""
    from ezclip.evaluation.evidence import evidence_rows

    rows = [
        [title, *("–" if v is None else f"{v:.3f}" for v in values), measure["meaning"], measure["reference"]]
        for title, measure, values in evidence_rows(study.evidence)
    ]
    columns = ["Measure", *study.evidence, "Meaning", "Reference"]
    return render("class_evidence", columns=columns, rows=rows, note=EVIDENCE_NOTE)


def class_tables(study: ClassStudy) -> str:
    """Accuracy per class, and the confusion matrix of each model."""
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
    """A confusion matrix: its non-empty cells, as fractions of the clips of the true class."""
    from ezclip.evaluation.metrics import confusion_matrix

    counts = confusion_matrix(e.scores, e.targets).numpy()
    fractions = counts / counts.sum(axis=1, keepdims=True).clip(1)
    cells = [(int(t), int(p), int(counts[t, p]), float(fractions[t, p])) for t, p in np.argwhere(counts)]
    named = len(e.labels) <= MAX_NAMED_CLASSES
    return {"title": f"Confusions of {e.model}", "labels": e.labels, "cells": cells, "named": named}


def methods() -> str:
    """The shipped results of methods trained with one budget, and why published numbers are not comparable."""
    columns = ["Method", *COST_HEAD, *TABLETOP_HEAD[2]]
    return render("methods", columns=columns, rows=tabletop_rows(2), budget=BUDGET, lines=FAIRNESS)
