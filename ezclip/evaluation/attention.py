"""Rollout against ground truth and against the score, over many clips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ezclip.data.manifest import Row
from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.metrics import mean_interval
from ezclip.explanation.faithfulness import KINDS, Curves, Faithfulness, Shares, heat_shares, measure_each
from ezclip.explanation.maps import explain_clip
from ezclip.predictor import Encoded, Predictor
from ezclip.progress import Progress, Steps, within
from ezclip.types import Document
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres


def attention_shares(predictor: Predictor, rows: Sequence[Row]) -> Steps[list[Shares]]:
    """How the rollout of each clip is divided among moving objects, other objects and background.

    Raises:
        ValueError: a clip has no masks (``find_masks``).
    """
    found = []
    for number, row in enumerate(rows):
        yield Progress(number / len(rows), f"{predictor.name}: maps, clip {number + 1} of {len(rows)}")
        masks = find_masks(row.path)
        if masks is None:
            raise ValueError(f"{row.path.name} has no masks")
        encoded = _encode(predictor, row)
        found.append(heat_shares(explain_clip(predictor, encoded, method="rollout"), masks[encoded.clip.indices]))
    return found


def pointing_table(rows: Sequence[Row], models: dict[str, list[Shares]]) -> list[Document]:
    """Mean shares with 95 % intervals for each family of ``rows`` and each model, from its ``attention_shares``.

    Returns:
        Rows of "family", "model", "n", "moving", "still", "background" (each value, low, high) and "area" (the share
        of a uniform map); with two models or more also "beyond_first": the difference of the share on what
        moves to the first model, clip by clip.
    """
    families = [row.family or "ordinary" for row in rows]
    heats = {name: np.array([clip.heat for clip in shares]) for name, shares in models.items()}
    first = next(iter(models))
    areas = np.array([clip.area[2] for clip in models[first]])
    table = []
    for family in dict.fromkeys(families):
        own = [i for i, other in enumerate(families) if other == family]
        for name, heat in heats.items():
            entry: Document = {"family": family, "model": name, "n": len(own)}
            entry |= {kind: mean_interval(heat[own, k]).bar for k, kind in enumerate(KINDS)}
            entry["area"] = float(areas[own].mean())
            if name != first:
                entry["beyond_first"] = mean_interval(heat[own, 2] - heats[first][own, 2]).bar
            table.append(entry)
    return table


def faithfulness(predictor: Predictor, rows: Sequence[Row], labels: list[str], methods: list[str]) -> Steps[Document]:
    """Gains of each kind of map over random orders, for the score of the clip's true label, one of ``labels``.

    Returns:
        method -> {"deletion_gain", "insertion_gain", "srg"}, each value, low, high over clips, and "n"; "logit" has the
        same three on the logit.
    """
    curves: dict[str, list[Faithfulness]] = {method: [] for method in methods}
    texts = predictor.encode_texts([s for own in predictor.sentences(labels).values() for s in own])
    for number, row in enumerate(rows):
        encoded = _encode(predictor, row)
        heats = [explain_clip(predictor, encoded, method=method).heat for method in methods]
        target, where = labels.index(row.label), (number / len(rows), (number + 1) / len(rows))
        steps = measure_each(predictor.model, encoded.pixels, heats, texts, len(labels), target)
        measured = yield from within(steps, *where, f"{predictor.name}, clip {number + 1} of {len(rows)}: ")
        for method, result in zip(methods, measured, strict=True):
            curves[method].append(result)
    return {
        method: {"n": len(found)}
        | _mean_gains([f.score for f in found])
        | {"logit": _mean_gains([f.logit for f in found])}
        for method, found in curves.items()
    }


def _mean_gains(curves: list[Curves]) -> Document:
    values = np.array([(c.deletion_gain.value, c.insertion_gain.value, c.srg) for c in curves])
    return {name: mean_interval(own).bar for name, own in zip(("deletion_gain", "insertion_gain", "srg"), values.T)}


def _encode(predictor: Predictor, row: Row) -> Encoded:
    return predictor.encode(read_clip(row.path, partial(segment_centres, T=predictor.model.num_frames)))
