"""Tables of predictions: what ``ezclip evaluate --out`` writes and ``ezclip classes`` reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.run import Evaluation


def read_predictions(path: str | Path, title: str) -> Evaluation:
    """The predictions.csv of ``ezclip evaluate``: path, label, prediction, then one score per class.

    Args:
        path: the file.
        title: name of its model in the comparison.

    Raises:
        UserError: another kind of file; gives the first bad row.
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
