"""Accuracies from scores, and means over clips with their intervals; every clip counts once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest, bootstrap
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from ezclip.model.spread import spread
from ezclip.types import Document, Reading


def accuracies(scores: Tensor, targets: Tensor, labels: list[str], partners: dict[str, str]) -> Document:
    """Top-1, top-5, per class and, where classes have partners, within pairs; all in [0, 1].

    Args:
        scores: (B, C), higher is better.
        targets: (B,) int64.
        labels: C class names.
        partners: label -> the label that differs from it by order or direction alone.

    Returns:
        {"n", "top1", "top5", "per_class": {label: {"n", "top1", "low", "high"}}}, the last two the ends of the 95 %
        Wilson interval, and "within_pairs", the share of clips with a partner whose own label outscores it (a tie
        counts half).
    """
    C = len(labels)
    result: Document = {"n": len(targets)}
    for k in (1, 5):
        k_ = min(k, C)
        accuracy = multiclass_accuracy(scores, targets, num_classes=C, top_k=k_, average="micro") if C > 1 else 1.0
        result[f"top{k}"] = float(accuracy)
    best = scores.argmax(dim=1)
    per_class = {}
    for c, label in enumerate(labels):
        own = targets == c
        if own.any():
            hits, n = int((best[own] == c).sum()), int(own.sum())
            low, high = wilson(hits, n)
            per_class[label] = {"n": n, "top1": hits / n, "low": low, "high": high}
    result["per_class"] = per_class
    index = {label: c for c, label in enumerate(labels)}
    partner = torch.tensor([index.get(partners.get(label, ""), -1) for label in labels])[targets]
    rows = (partner >= 0).nonzero().squeeze(1)
    if len(rows):
        own_score, other = scores[rows, targets[rows]], scores[rows, partner[rows]]
        result["within_pairs"] = float(((own_score > other).double() + 0.5 * (own_score == other)).mean())
    return result


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Ends of the 95 % Wilson interval of the share ``hits`` / ``n``, which also holds for few clips."""
    low, high = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def confusion_matrix(scores: Tensor, targets: Tensor) -> Tensor:
    """(C, C) int64 counts, rows true classes, columns answers; scores (B, C), targets (B,)."""
    return multiclass_confusion_matrix(scores, targets, num_classes=scores.shape[1])


def harmonic_mean(base: float, novel: float) -> float:
    """Of the accuracies on base and novel classes; 0 where either is 0."""
    return 2 * base * novel / (base + novel) if base and novel else 0.0


@dataclass(frozen=True)
class Interval:
    """The mean of ``n`` values with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def bar(self) -> tuple[float, float, float]:
        """Mean, lower and upper end."""
        return self.mean, self.low, self.high


def mean_interval(values: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean and percentile bootstrap interval over clips; (n,) -> Interval, all NaN where n = 0."""
    values = np.asarray(values, float)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < 2:
        return Interval(mean, mean, mean, len(values))
    drawn = bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=resamples, method="percentile", rng=np.random.default_rng(seed)
    )
    low, high = map(float, drawn.confidence_interval)
    return Interval(mean, low, high, len(values))


def grouped_interval(values: np.ndarray, groups: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean and percentile bootstrap interval that draws whole groups, whose values depend on one another.

    Args:
        values: (n,).
        groups: (n,) int64, number of each value's group, 0 and up.
        resamples: number of bootstrap samples, each of as many groups as there are.
        seed: of the draws.
    """
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    drawn = np.random.default_rng(seed).integers(len(counts), size=(resamples, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return Interval(float(np.mean(values)), float(low), float(high), len(values))


@dataclass(frozen=True)
class FrameSpread:
    """Mean over clips, each with its 95 % interval.

    Phantom motion is the spread that remains when nothing moves: it comes from the frames' positions alone.

    Attributes:
        reading: formula of Var and C.
        unit: whether embeddings were L2-normalised first; raw values of two models are not on one scale.
        real: Var + C of the clips.
        frozen: Var + C of the clips' middle frame repeated T times.
        beyond: real minus frozen, clip by clip.
    """

    reading: Reading
    unit: bool
    real: Interval
    frozen: Interval
    beyond: Interval

    def as_json(self) -> Document:
        """Plain values."""
        return asdict(self)


def frame_spread(frames: Tensor, static: Tensor, reading: Reading, *, unit: bool) -> FrameSpread:
    """Var + C (Eq. 4, 5) of clips and of their static copies, whose frame embeddings (B, T, E) are not normalised.

    ``unit`` L2-normalises them first.
    """
    used = [F.normalize(embeddings, dim=-1) if unit else embeddings for embeddings in (frames, static)]
    real, still = (torch.stack(spread(embeddings, reading)).sum(dim=0).double().numpy() for embeddings in used)
    return FrameSpread(reading, unit, mean_interval(real), mean_interval(still), mean_interval(real - still))
