"""One model class by class, or two side by side: what ``ezclip evaluate --out`` and ``ezclip compare --out`` write."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ezclip import __version__
from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.class_map import ClassMap, map_classes
from ezclip.evaluation.classwise import Comparison, compare, top_changed
from ezclip.evaluation.report import Picture, Report, Table
from ezclip.evaluation.run import Evaluation
from ezclip.evaluation.summary import (
    accuracy_table,
    class_parts,
    comparison_parts,
    confusion_parts,
    family_parts,
    predictions_table,
)


@dataclass(frozen=True, eq=False)
class ClassStudy:
    """One model on labelled clips, or two on the same ones.

    Attributes:
        evaluations: of one model; or of the baseline, then of the model.
        class_map: videos of the classes that changed most; None for one model, or where no embeddings are at hand.
    """

    evaluations: list[Evaluation]
    class_map: ClassMap | None = None

    @property
    def model(self) -> Evaluation:
        """Of the model that is looked at."""
        return self.evaluations[-1]

    @cached_property
    def comparison(self) -> Comparison | None:
        """Differences and changed confusions; None for one model.

        Raises:
            UserError: the two differ in clips or class names.
        """
        return compare(*self.evaluations) if len(self.evaluations) == 2 else None

    @property
    def verdict(self) -> str:
        """What was found, in one sentence a model and one on the two."""
        parts = [
            f"{e.model} is right on {report['top1']:.1%} of {report['n']} clips of {len(e.labels)} classes."
            for e in self.evaluations
            for report in [e.report()]
        ]
        return " ".join([*parts, *([self.comparison.verdict] if self.comparison else [])])

    def as_json(self) -> dict[str, Any]:
        """The verdict and the model's accuracies; with a baseline also "baseline", "comparison" and "class_map".

        A model's "confusion" lists class, answer and number of clips.
        """
        data = {"verdict": self.verdict} | _told(self.model)
        if self.comparison is not None:
            data |= {"baseline": _told(self.evaluations[0]), "comparison": self.comparison.as_json()}
        if self.class_map is not None:
            data["class_map"] = self.class_map.as_json()
        return data

    def confusions(self) -> list[Table | Picture]:
        """A confusion matrix for each evaluation, and its counts."""
        return [part for e in self.evaluations for part in confusion_parts(e)]

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables; ``provenance`` says what made the evaluations."""
        parts = [accuracy_table(self.evaluations), *family_parts(self.evaluations)]
        if self.comparison is not None:
            parts += comparison_parts(self.comparison)
        parts += class_parts(self.evaluations)
        if self.class_map is not None:
            parts.append(self.class_map.picture())
        parts += self.confusions()
        for e in self.evaluations:
            parts.append(predictions_table(e, "predictions" if e is self.model else "predictions_baseline"))
        models, count = ", ".join(e.model for e in self.evaluations), len(self.model.rows)
        made = {"models": models, "clips": str(count), **provenance, "ezclip": __version__}
        return Report(f"{self.model.model} on {count} clips", self.verdict, self.as_json(), made, parts)


def _told(e: Evaluation) -> dict[str, Any]:
    answers = e.scores.argmax(dim=1).tolist()
    counts = Counter((row.label, e.labels[answer]) for row, answer in zip(e.rows, answers, strict=True))
    return e.report() | {"confusion": [[*pair, n] for pair, n in sorted(counts.items())]}


def study_of(evaluations: list[Evaluation]) -> ClassStudy:
    """The study of evaluations of one model or of a baseline and a model, with the map of embeddings of equal width.

    Raises:
        UserError: the two differ in clips or class names.
    """
    study = ClassStudy(evaluations)
    if study.comparison is None or len({e.frames.shape[-1] for e in evaluations if len(e.frames)}) != 1:
        return study
    baseline, model = evaluations
    return replace(study, class_map=map_classes(baseline, model, top_changed(study.comparison)))


def study_tables(paths: Sequence[str | Path]) -> ClassStudy:
    """The study of one table of predictions, or of a baseline's and a model's.

    Args:
        paths: of the files, see ``read_predictions``.

    Raises:
        UserError: a table that cannot be read, or two that differ in clips or class names.
    """
    names = ("first table", "second table") if len(paths) == 2 else ("table",)
    return study_of([read_predictions(path, name) for path, name in zip(paths, names, strict=True)])


def read_predictions(path: str | Path, title: str) -> Evaluation:
    """The predictions.csv of ``ezclip evaluate``: path, label, prediction, then one score a class.

    Args:
        path: the file.
        title: stands for its model in the comparison.

    Raises:
        UserError: another kind of file; names the first bad row.
    """
    name = Path(path).name
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = csv.reader(file)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"{name} is not a table of predictions in CSV.") from error
    labels = header[3:]
    if header[:3] != ["path", "label", "prediction"] or not labels or len(set(labels)) < len(labels):
        raise UserError(f"{name} does not start with path, label, prediction and one column for each class.")
    rows, scores = [], []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        try:
            values = np.array(line[3:], float)
        except ValueError as error:
            raise UserError(f"{name}, row {number}: scores must be numbers.") from error
        if len(values) != len(labels) or line[1] not in labels or not np.isfinite(values).all():
            raise UserError(f"{name}, row {number} does not fit the header: {','.join(line)[:80]}")
        rows.append(Row(Path(line[0]), line[1]))
        scores.append(values)
    if not rows:
        raise UserError(f"{name} lists no clips.")
    return Evaluation(title, labels, rows, torch.tensor(np.stack(scores), dtype=torch.float32))
