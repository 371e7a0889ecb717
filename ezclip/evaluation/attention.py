"""Rollout against the truth and against the score, over many clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ezclip.data.manifest import Row
from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.intervals import mean_interval
from ezclip.explanation.compare import explain_clip
from ezclip.explanation.faithfulness import Faithfulness, measure
from ezclip.explanation.truth import Shares, heat_shares
from ezclip.predictor import Predictor
from ezclip.text.templates import fill

Progress = Callable[[Iterable[Row]], Iterable[Row]]
ORDINARY = "ordinary"


@dataclass(frozen=True)
class ClipShares:
    """How one clip's heat is divided, and the family that the clip belongs to."""

    family: str
    shares: Shares


def attention_shares(
    predictor: Predictor, rows: Sequence[Row], *, method: str = "rollout", progress: Progress = iter
) -> list[ClipShares]:
    """Shares of the heat on what moves, on things that take no part and on background, one entry for each row.

    Args:
        predictor: the model.
        rows: clips with masks (``find_masks``).
        method: a key of ``explanation.registry.METHODS``.
        progress: wraps the rows, for a progress bar.

    Raises:
        ValueError: a clip has no masks.
    """
    found = []
    for row in progress(rows):
        masks = find_masks(row.path)
        if masks is None:
            raise ValueError(f"{row.path.name} has no masks")
        clip = predictor.set_video(row.path)
        heat = explain_clip(predictor, method=method).heat
        found.append(ClipShares(row.family or ORDINARY, heat_shares(heat, masks[clip.indices])))
    return found


def pointing_table(models: dict[str, list[ClipShares]]) -> list[dict[str, Any]]:
    """Mean shares with 95 % intervals for each family and model; models saw the same clips in the same order.

    Returns:
        Rows of "family", "model", "n", "moving", "still", "background" (each value, low, high) and "area" (what an even
        map would put on what moves); with two models or more also "beyond_first": the difference of the share on what
        moves to the first model, clip by clip.
    """
    names = list(models)
    first = models[names[0]]
    table = []
    for family in dict.fromkeys(clip.family for clip in first):
        own = [i for i, clip in enumerate(first) if clip.family == family]
        for name in names:
            heat = np.array([models[name][i].shares.heat for i in own])
            entry: dict[str, Any] = {"family": family, "model": name, "n": len(own)}
            for k, kind in enumerate(("background", "still", "moving")):
                entry[kind] = _plain(heat[:, k])
            entry["area"] = float(np.mean([first[i].shares.area[2] for i in own]))
            if name != names[0]:
                base = np.array([first[i].shares.heat[2] for i in own])
                entry["beyond_first"] = _plain(heat[:, 2] - base)
            table.append(entry)
    return table


def faithfulness(
    predictor: Predictor,
    rows: Sequence[Row],
    labels: list[str],
    methods: list[str],
    *,
    progress: Progress = iter,
) -> dict[str, dict[str, Any]]:
    """Gains of each kind of map over random orders, on the score of the clip's own label.

    Args:
        predictor: the model.
        rows: clips; a row's label must be among ``labels``.
        labels: C class names.
        methods: keys of ``explanation.registry.METHODS``.
        progress: wraps the rows, for a progress bar.

    Returns:
        method -> {"deletion_gain", "insertion_gain"}, each value, low, high over clips, and "n".
    """
    gains: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
    texts = predictor.encode_texts([s for label in labels for s in fill(label, predictor.templates)])
    for row in progress(rows):
        predictor.set_video(row.path)
        for method in methods:
            heat = explain_clip(predictor, method=method).heat
            target = labels.index(row.label)
            *_, result = measure(predictor.model, predictor.pixels, heat, texts, len(labels), target)
            assert isinstance(result, Faithfulness)
            gains[method].append((result.deletion_gain, result.insertion_gain))
    table = {}
    for method, values in gains.items():
        deletion, insertion = np.array(values).T
        table[method] = {"n": len(values), "deletion_gain": _plain(deletion), "insertion_gain": _plain(insertion)}
    return table


def _plain(values: np.ndarray) -> list[float]:
    interval = mean_interval(values)
    return [interval.mean, interval.low, interval.high]
