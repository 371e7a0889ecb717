"""Accuracies from scores, and means over clips with confidence intervals; every clip has weight 1."""

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
        {"n", "top1", "top5", "per_class": {label: {"n", "top1", "low", "high"}}}, where "low" and "high" bound the
        95 % Wilson interval, and "within_pairs": of the clips whose label has a partner, the share whose label
        outscores it (a tie counts half).
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
        members = targets == c
        if members.any():
            hits, n = int((best[members] == c).sum()), int(members.sum())
            low, high = wilson(hits, n)
            per_class[label] = {"n": n, "top1": hits / n, "low": low, "high": high}
    result["per_class"] = per_class
    index = {label: c for c, label in enumerate(labels)}
    partner = torch.tensor([index.get(partners.get(label, ""), -1) for label in labels])[targets]
    rows = (partner >= 0).nonzero().squeeze(1)
    if len(rows):
        true, opposite = scores[rows, targets[rows]], scores[rows, partner[rows]]
        result["within_pairs"] = float(((true > opposite).double() + 0.5 * (true == opposite)).mean())
    return result


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Ends of the 95 % Wilson interval of the proportion ``hits`` / ``n``, which is also valid for small n."""
    low, high = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def confusion_matrix(scores: Tensor, targets: Tensor) -> Tensor:
    """(C, C) int64 counts, rows true classes, columns predictions; scores (B, C), targets (B,)."""
    return multiclass_confusion_matrix(scores, targets, num_classes=scores.shape[1])


def harmonic_mean(base: float, novel: float) -> float:
    """Harmonic mean of the accuracies on base and novel classes; 0 if either is 0."""
    return 2 * base * novel / (base + novel) if base and novel else 0.0


@dataclass(frozen=True)
class Interval:
    """Mean of ``n`` values with its 95 % interval."""

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
    result = bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=resamples, method="percentile", rng=np.random.default_rng(seed)
    )
    low, high = map(float, result.confidence_interval)
    return Interval(mean, low, high, len(values))


def grouped_interval(values: np.ndarray, groups: np.ndarray) -> Interval:
    """Mean and percentile bootstrap interval that resamples whole groups, since values within a group are dependent.

    Args:
        values: (n,).
        groups: (n,) int64, group index of each value, from 0.
    """
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    samples = np.random.default_rng(0).integers(len(counts), size=(2000, len(counts)))
    low, high = np.percentile(sums[samples].sum(axis=1) / counts[samples].sum(axis=1), (2.5, 97.5))
    return Interval(float(np.mean(values)), float(low), float(high), len(values))


@dataclass(frozen=True)
class FrameSpread:
    """Spread of frame embeddings (Var + C), means over clips with 95 % intervals.

    Phantom motion is the spread that remains when nothing moves; only the frames' positions cause it.

    Attributes:
        reading: formula of Var and C.
        unit: whether embeddings were L2-normalised first; raw values of different models are on different scales.
        real: Var + C of the clips.
        static: Var + C of the clips' middle frame repeated T times.
        beyond: real minus static, clip by clip.
    """

    reading: Reading
    unit: bool
    real: Interval
    static: Interval
    beyond: Interval

    def as_json(self) -> Document:
        """Plain values."""
        return asdict(self)


def frame_spread(frames: Tensor, static: Tensor, reading: Reading, *, unit: bool) -> FrameSpread:
    """Var + C (Eq. 4, 5) of clips and of their static copies, from unnormalised frame embeddings (B, T, E).

    ``unit`` L2-normalises them first.
    """
    inputs = [F.normalize(embeddings, dim=-1) if unit else embeddings for embeddings in (frames, static)]
    real, still = (torch.stack(spread(embeddings, reading)).sum(dim=0).double().numpy() for embeddings in inputs)
    return FrameSpread(reading, unit, mean_interval(real), mean_interval(still), mean_interval(real - still))


def shared_variance(frames: Tensor) -> float:
    """Fraction of the variance of a clip's frame embeddings that all clips have in common, in [0, 1].

    With d = u - mean of u over T, for L2-normalised embeddings u, and m = mean of d over B: the sum of m^2 over T and
    E, divided by the mean over B of that of d^2. It is about 1 / B if the clips have nothing in common, and 1 if only a
    frame's position determines how its embedding differs from the clip's mean; 0 if nothing differs.

    Args:
        frames: (B, T, E), not normalised.
    """
    embeddings = F.normalize(frames.double(), dim=-1)
    deviations = embeddings - embeddings.mean(dim=1, keepdim=True)
    total = deviations.square().sum(dim=(1, 2)).mean()
    return float(deviations.mean(dim=0).square().sum() / total) if total > 0 else 0.0
