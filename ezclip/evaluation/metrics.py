"""Accuracies from scores; every clip counts once."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from ezclip.evaluation.intervals import share_interval
from ezclip.types import Document


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
            share = share_interval(int((best[own] == c).sum()), int(own.sum()))
            per_class[label] = {"n": share.n, "top1": share.mean, "low": share.low, "high": share.high}
    result["per_class"] = per_class
    index = {label: c for c, label in enumerate(labels)}
    partner = torch.tensor([index.get(partners.get(label, ""), -1) for label in labels])[targets]
    rows = (partner >= 0).nonzero().squeeze(1)
    if len(rows):
        own_score, other = scores[rows, targets[rows]], scores[rows, partner[rows]]
        result["within_pairs"] = float(((own_score > other).double() + 0.5 * (own_score == other)).mean())
    return result


def confusion_matrix(scores: Tensor, targets: Tensor) -> Tensor:
    """(C, C) int64 counts, rows true classes, columns answers; scores (B, C), targets (B,)."""
    return multiclass_confusion_matrix(scores, targets, num_classes=scores.shape[1])


def harmonic_mean(base: float, novel: float) -> float:
    """Of the accuracies on base and novel classes; 0 where either is 0."""
    return 2 * base * novel / (base + novel) if base and novel else 0.0
