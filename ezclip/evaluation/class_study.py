"""Two models class by class: from evaluations, from tables of predictions, or from a report that ships."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.classwise import Comparison, compare
from ezclip.evaluation.report import Picture, Report, Table
from ezclip.evaluation.run import Evaluation
from ezclip.evaluation.summary import accuracy_table, comparison_parts, confusion_parts

if TYPE_CHECKING:
    from ezclip.evaluation.class_map import ClassMap


@dataclass(frozen=True, eq=False)
class ClassStudy:
    """Two models, class by class.

    Attributes:
        comparison: differences and changed confusions.
        evaluations: of both models; empty where only the comparison is at hand.
        class_map: videos of the classes that changed most; None where the clips are not at hand.
        pictures: files that ship in place of the two.
    """

    comparison: Comparison
    evaluations: list[Evaluation] = field(default_factory=list)
    class_map: ClassMap | None = None
    pictures: list[Path] = field(default_factory=list)

    def confusions(self) -> list[Table | Picture]:
        """A confusion matrix for each evaluation, and its counts."""
        return [part for e in self.evaluations for part in confusion_parts(e)]

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables."""
        parts: list[Table | Picture] = [accuracy_table(self.evaluations)] if self.evaluations else []
        parts += [*comparison_parts(self.comparison), *self.confusions()]
        data = {"comparison": self.comparison.as_json()}
        if self.class_map is not None:
            parts.append(self.class_map.picture())
            data["class_map"] = self.class_map.as_json()
        title = " against ".join(self.comparison.models)
        return Report(title, self.comparison.verdict, data, provenance, parts)


def two_tables(first: str, second: str) -> ClassStudy:
    """Compare two uploaded tables of predictions.

    Raises:
        UserError: a table that cannot be read, or two that differ in clips or class names.
    """
    evaluations = [read_predictions(first, "first table"), read_predictions(second, "second table")]
    return ClassStudy(compare(*evaluations), evaluations)


def read_predictions(path: str, title: str) -> Evaluation:
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
    if header[:3] != ["path", "label", "prediction"] or not labels:
        raise UserError(f"{name} does not start with path, label, prediction and one column a class.")
    rows, scores = [], []
    for number, line in enumerate(lines, 2):
        try:
            values = np.array(line[3:], float)
        except ValueError as error:
            raise UserError(f"{name}, row {number}: scores must be numbers.") from error
        if len(values) != len(labels) or line[1] not in labels:
            raise UserError(f"{name}, row {number} does not fit the header: {','.join(line)[:80]}")
        rows.append(Row(Path(line[0]), line[1]))
        scores.append(values)
    if not rows:
        raise UserError(f"{name} lists no clips.")
    return Evaluation(title, labels, rows, torch.tensor(np.stack(scores), dtype=torch.float32))
