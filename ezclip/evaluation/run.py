"""Evaluate a model on a list of labelled clips; every clip is scored once, in the order of the list."""

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
from ezclip.evaluation.evidence import annotate, order_values, single_frame_values, single_frames
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
        model: id of the model.
        labels: C class names.
        rows: the clips that could be read.
        scores: (B, C) float32, mean over views and templates of the softmax over classes; row i belongs to
            ``rows[i]``.
        frames: (B, T, E) float32, frame embeddings of the middle view, not normalised.
        static: frame embeddings of the clips' static copies; empty unless requested.
        skipped: clips that could not be read, with the reason.
        single_frames: (B, T, 3) of the middle view, see ``evidence.single_frames``; empty for tables of predictions and
            if a clip's class is not among the labels.
    """

    model: str
    labels: list[str]
    rows: list[Row] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    frames: Tensor = field(default_factory=lambda: torch.empty(0))
    static: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[Row, str]] = field(default_factory=list)
    single_frames: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def targets(self) -> Tensor:
        """(B,) int64, class index of each clip."""
        return torch.tensor([self.labels.index(row.label) for row in self.rows])

    @property
    def correct(self) -> np.ndarray:
        """Bool (B,), whether a clip's class has the highest score."""
        return (self.scores.argmax(dim=1) == self.targets).numpy()

    def report(self) -> Document:
        """The accuracies that ``ezclip evaluate`` prints as JSON, including those of each family."""
        targets, partners = self.targets, partners_of(self.rows)
        result = {"model": self.model, **accuracies(self.scores, targets, self.labels, partners)}
        for family in sorted({row.family for row in self.rows if row.family}):
            members = torch.tensor([row.family == family for row in self.rows])
            accuracy = accuracies(self.scores[members], targets[members], self.labels, partners)
            accuracy.pop("per_class")
            result.setdefault("families", {})[family] = accuracy
        if self.skipped:
            result["skipped"] = {row.short_name: why for row, why in self.skipped}
        return result

    def evidence(self, orders: Document | None = None) -> Document:
        """The measures of ``evidence.MEANING`` that the data allow, given the result of ``order_sensitivity``."""
        values: dict[str, float | None] = {}
        if (chiral := self.report().get("within_pairs")) is not None:
            values["chiral_accuracy"] = chiral
        if len(self.single_frames):
            values |= single_frame_values(self.single_frames)
            values["curvature"] = float(curvature(self.frames).nanmean())
        return annotate(values | (order_values(orders, len(self.labels)) if orders else {}))

    def predictions(self) -> list[list[str | float]]:
        """Rows of path, label, prediction, then one score per class, for predictions.csv."""
        best = self.scores.argmax(dim=1).tolist()
        return [
            [row.short_name, row.label, self.labels[b], *(float(f"{s:.8g}") for s in scores)]
            for row, b, scores in zip(self.rows, best, self.scores.tolist(), strict=True)
        ]


def read_predictions(path: str | Path, title: str) -> Evaluation:
    """Read predictions.csv of ``ezclip evaluate``: path, label, prediction, then one score per class; ``title`` names
    its model in the comparison.

    Raises:
        UserError: not such a file; the message names the first bad row.
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
        UserError: a row's label is not among ``labels``, or no clip can be read.
    """
    check_classes(rows, labels)
    parts = yield from embed_all(predictor, rows, batch_size=batch_size, views=views, static=static, workers=workers)
    return score_all(predictor, parts, labels, texts)


def embed_all(
    predictor: Predictor, rows: Sequence[Row], *, batch_size: int = 16, **options: Any
) -> Steps[list[Embedded]]:
    """All batches of ``embed`` with its options, to be scored against any number of class lists."""
    parts: list[Embedded] = []
    for part in embed(predictor, rows, batch_size=batch_size, **options):
        parts.append(part)
        done = min(batch_size * len(parts), len(rows))
        yield Progress(done / len(rows), f"{predictor.name}: {done} of {len(rows)} clips")
    return parts


def score_all(predictor: Predictor, parts: Iterable[Embedded], labels: list[str], texts: str) -> Evaluation:
    """Score embedded clips, from memory or from shards on disk.

    Raises:
        UserError: no clip could be read.
    """
    evaluations = [score(predictor, part, labels, texts) for part in parts]
    readable = [e for e in evaluations if e.rows]
    if not readable:
        raise UserError("None of the clips can be read; check the paths in the manifest.")
    tensors = {
        name: torch.cat([getattr(e, name) for e in readable])
        for name in ("scores", "frames", "static", "single_frames")
    }
    lists = {name: [row for e in evaluations for row in getattr(e, name)] for name in ("rows", "skipped")}
    return replace(readable[0], **tensors, **lists)


def check_classes(rows: Sequence[Row], labels: list[str]) -> None:
    """Raise UserError for fewer than two class names, or if a row's label is not among them."""
    if len(labels) < 2:
        raise UserError(f"At least two class names are needed, got {len(labels)}.")
    unknown = sorted({row.label for row in rows} - set(labels))
    if unknown:
        raise UserError(f"{len(unknown)} labels of the data are not among the class names, first {unknown[0]!r}.")


@torch.inference_mode()
def score(predictor: Predictor, embedded: Embedded, labels: list[str], texts: str = "trained") -> Evaluation:
    """Score embedded clips: means over views and over the texts of each label."""
    result = Evaluation(predictor.name, labels, embedded.rows, skipped=embedded.skipped, static=embedded.static)
    if not embedded.rows:
        return result
    sentences = predictor.sentences(labels, texts)
    encoded = predictor.encode_texts([sentence for label in labels for sentence in sentences[label]])
    B, V = embedded.frames.shape[:2]
    logits = predictor.model.scores(embedded.video().to(encoded.device), encoded)
    scores = class_scores(logits.view(B, V, -1), len(labels)).mean(dim=1)
    result.scores, result.frames = scores.cpu(), embedded.frames[:, V // 2]
    if {row.label for row in embedded.rows} <= set(labels):
        logits = predictor.model.scores(embedded.video(V // 2).split_frames().to(encoded.device), encoded)
        frame_scores = class_scores(logits, len(labels)).unflatten(0, (B, -1)).cpu()
        result.single_frames = single_frames(frame_scores, result.targets)
    return result
