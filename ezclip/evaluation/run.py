"""A model on a list of labelled clips: every clip is scored once, in the order of the list."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ezclip.checkpoints.store import write_atomically, write_json
from ezclip.data.manifest import Row, partners_of
from ezclip.errors import UserError, VideoError
from ezclip.evaluation.metrics import accuracies
from ezclip.predictor import Predictor
from ezclip.text.templates import fill
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import normalise, view


@dataclass
class Evaluation:
    """Scores of a model on clips.

    Attributes:
        model: its id.
        labels: C class names.
        rows: the clips that could be read.
        scores: (B, C) float32, mean over templates of the softmax over classes; row i belongs to ``rows[i]``.
        skipped: names of clips that could not be read, with the reason.
    """

    model: str
    labels: list[str]
    rows: list[Row] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: dict[str, str] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """The JSON that ``ezclip evaluate`` prints; families each get their own accuracies."""
        targets = torch.tensor([self.labels.index(row.label) for row in self.rows])
        partners = partners_of(self.rows)
        result = {"model": self.model, **accuracies(self.scores, targets, self.labels, partners)}
        families = sorted({row.family for row in self.rows if row.family})
        if families:
            result["families"] = {}
            for family in families:
                own = torch.tensor([row.family == family for row in self.rows])
                found = accuracies(self.scores[own], targets[own], self.labels, partners)
                found.pop("per_class")
                result["families"][family] = found
        if self.skipped:
            result["skipped"] = self.skipped
        return result

    def write(self, out: str | Path) -> None:
        """report.json and predictions.csv (path, label, prediction, then one score a class) in ``out``."""
        out = Path(out)
        write_json(out / "report.json", self.report())

        def table(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["path", "label", "prediction", *self.labels])
                for row, scores in zip(self.rows, self.scores.tolist(), strict=True):
                    best = self.labels[scores.index(max(scores))]
                    writer.writerow([short_name(row), row.label, best, *(f"{s:.5f}" for s in scores)])

        write_atomically(out / "predictions.csv", table)


def short_name(row: Row) -> str:
    """A clip's file with its folder: enough to find it, not the machine's whole path."""
    return f"{row.path.parent.name}/{row.path.name}"


@torch.inference_mode()
def evaluate(
    predictor: Predictor,
    rows: list[Row],
    labels: list[str],
    *,
    batch_size: int = 16,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Evaluation:
    """Score every clip against every label with the predictor's templates.

    Args:
        predictor: model and templates.
        rows: clips; a row's label must be among ``labels``.
        labels: C class names.
        batch_size: clips in one forward pass.
        progress: wraps the batch starts, for a progress bar.

    Raises:
        UserError: a row's label that is not among ``labels``, or no clip that can be read.
    """
    unknown = sorted({row.label for row in rows} - set(labels))
    if unknown:
        raise UserError(f"{len(unknown)} labels of the data are not among the class names, first {unknown[0]!r}.")
    result = Evaluation(predictor.name, labels)
    texts = predictor.encode_texts([s for label in labels for s in fill(label, predictor.templates)])
    model = predictor.model
    pick = partial(segment_centres, T=model.num_frames)
    scores = []
    for start in progress(range(0, len(rows), batch_size)):
        views = []
        for row in rows[start : start + batch_size]:
            try:
                views.append(view(read_clip(row.path, pick).images, model.image_size))
            except VideoError as error:
                result.skipped[short_name(row)] = str(error)
                continue
            result.rows.append(row)
        if views:
            frames = model.encode_video(normalise(torch.stack(views).to(predictor.device)))
            logits = model.logits(frames, texts)  # (B, C * templates)
            scores.append(logits.unflatten(1, (len(labels), -1)).softmax(dim=1).mean(dim=-1).cpu())
    if not scores:
        raise UserError("None of the clips can be read; check the paths in the manifest.")
    result.scores = torch.cat(scores)
    return result
