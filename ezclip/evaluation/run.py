"""A model on a list of labelled clips: every clip is scored once, in the order of the list."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezclip.data.manifest import Row, partners_of
from ezclip.errors import UserError
from ezclip.evaluation.embed import ONE_VIEW, Embedded, ViewCount, embed
from ezclip.evaluation.evidence import order_values, single_frame_values, single_frames, told
from ezclip.evaluation.metrics import accuracies
from ezclip.files import spreadsheet_text
from ezclip.model.interface import class_scores
from ezclip.model.spread import curvature
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Document


@dataclass
class Evaluation:
    """Scores of a model on clips.

    Attributes:
        model: its id.
        labels: C class names.
        rows: the clips that could be read.
        scores: (B, C) float32, mean over views and templates of the softmax over classes; row i belongs to
            ``rows[i]``.
        frames: (B, T, E) float32, frame embeddings of the middle view, not normalised.
        static: the same of each clip's static copy; empty unless requested.
        skipped: clips that could not be read, with the reason.
        alone: (B, T, 3), see ``evidence.single_frames``; of the middle view; empty for tables of predictions and
            where a clip's class is not among the labels.
    """

    model: str
    labels: list[str]
    rows: list[Row] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    frames: Tensor = field(default_factory=lambda: torch.empty(0))
    static: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[Row, str]] = field(default_factory=list)
    alone: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def targets(self) -> Tensor:
        """(B,) int64, each clip's own class."""
        return torch.tensor([self.labels.index(row.label) for row in self.rows])

    @property
    def right(self) -> np.ndarray:
        """Bool (B,), whether a clip's own class has the highest score."""
        return (self.scores.argmax(dim=1) == self.targets).numpy()

    def report(self) -> Document:
        """The JSON that ``ezclip evaluate`` prints; with accuracies of each family."""
        targets, partners = self.targets, partners_of(self.rows)
        result = {"model": self.model, **accuracies(self.scores, targets, self.labels, partners)}
        for family in sorted({row.family for row in self.rows if row.family}):
            own = torch.tensor([row.family == family for row in self.rows])
            found = accuracies(self.scores[own], targets[own], self.labels, partners)
            found.pop("per_class")
            result.setdefault("families", {})[family] = found
        if self.skipped:
            result["skipped"] = {row.short_name: why for row, why in self.skipped}
        return result

    def evidence(self, orders: Document | None = None) -> Document:
        """Measures of ``evidence.MEANING``, as far as clips, partners and the accuracies of ``orders`` allow."""
        values: dict[str, float | None] = {}
        if (chiral := self.report().get("within_pairs")) is not None:
            values["chiral_accuracy"] = chiral
        if len(self.alone):
            values |= single_frame_values(self.alone)
            values["curvature"] = float(curvature(self.frames).nanmean())
        return told(values | (order_values(orders, len(self.labels)) if orders else {}))

    def predictions(self) -> list[list[str | float]]:
        """Rows of path, label, prediction, then one score per class, for predictions.csv."""
        best = self.scores.argmax(dim=1).tolist()
        return [
            [row.short_name, row.label, self.labels[b], *(float(f"{s:.8g}") for s in scores)]
            for row, b, scores in zip(self.rows, best, self.scores.tolist(), strict=True)
        ]


def read_predictions(path: str | Path, title: str) -> Evaluation:
    """The predictions.csv of ``ezclip evaluate``: path, label, prediction, then one score per class; ``title`` is the
    name of its model in the comparison.

    Raises:
        UserError: another kind of file; gives the first bad row.
    """
    name = Path(path).name
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [list(map(spreadsheet_text, row)) for row in csv.reader(file)]
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


def evaluate(
    predictor: Predictor,
    rows: Sequence[Row],
    labels: list[str],
    *,
    texts: str = "trained",
    batch_size: int = 16,
    views: ViewCount = ONE_VIEW,
    static: bool = False,
    workers: int = 0,
) -> Steps[Evaluation]:
    """Score every clip against every label; ``texts`` as in ``text.templates.sentences``, the rest as in ``embed``.

    Raises:
        UserError: a row's label that is not among ``labels``, or no clip that can be read.
    """
    check_classes(rows, labels)
    options = {"batch_size": batch_size, "views": views, "static": static, "workers": workers}
    parts = yield from embed_all(predictor, rows, **options)
    return score_all(predictor, parts, labels, texts)


def embed_all(
    predictor: Predictor, rows: Sequence[Row], *, batch_size: int = 16, **options: Any
) -> Steps[list[Embedded]]:
    """All batches of ``embed``, with its options; scored against one list of classes after another at no cost."""
    parts: list[Embedded] = []
    for part in embed(predictor, rows, batch_size=batch_size, **options):
        parts.append(part)
        done = min(batch_size * len(parts), len(rows))
        yield Progress(done / len(rows), f"{predictor.name}: {done} of {len(rows)} clips")
    return parts


def score_all(predictor: Predictor, parts: Iterable[Embedded], labels: list[str], texts: str) -> Evaluation:
    """Score embedded clips, as they come or from shards on disk.

    Raises:
        UserError: no clip could be read.
    """
    found = [score(predictor, part, labels, texts) for part in parts]
    held = [part for part in found if part.rows]
    if not held:
        raise UserError("None of the clips can be read; check the paths in the manifest.")
    tensors = {
        name: torch.cat([getattr(part, name) for part in held]) for name in ("scores", "frames", "static", "alone")
    }
    lists = {name: [one for part in found for one in getattr(part, name)] for name in ("rows", "skipped")}
    return replace(held[0], **tensors, **lists)


def check_classes(rows: Sequence[Row], labels: list[str]) -> None:
    """Raise UserError for fewer than two class names, or where a row's label is not among them."""
    if len(labels) < 2:
        raise UserError(f"At least two class names are needed, got {len(labels)}.")
    unknown = sorted({row.label for row in rows} - set(labels))
    if unknown:
        raise UserError(f"{len(unknown)} labels of the data are not among the class names, first {unknown[0]!r}.")


@torch.inference_mode()
def score(predictor: Predictor, embedded: Embedded, labels: list[str], texts: str = "trained") -> Evaluation:
    """Scores of embedded clips: means over their views and over the texts of a label."""
    result = Evaluation(predictor.name, labels, embedded.rows, skipped=embedded.skipped, static=embedded.static)
    if not embedded.rows:
        return result
    written = predictor.sentences(labels, texts)
    encoded = predictor.encode_texts([sentence for label in labels for sentence in written[label]])
    B, V = embedded.frames.shape[:2]
    logits = predictor.model.scores(embedded.video().to(encoded.device), encoded)
    scores = class_scores(logits.view(B, V, -1), len(labels)).mean(dim=1)
    result.scores, result.frames = scores.cpu(), embedded.frames[:, V // 2]
    if {row.label for row in embedded.rows} <= set(labels):
        single = predictor.model.scores(embedded.video(V // 2).alone().to(encoded.device), encoded)
        result.alone = single_frames(class_scores(single, len(labels)).unflatten(0, (B, -1)).cpu(), result.targets)
    return result
