"""Attention rollout on a set of clips: agreement with ground-truth masks and faithfulness to the score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ezclip.data.manifest import Row
from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.metrics import mean_interval
from ezclip.explanation.faithfulness import KINDS, Curves, Faithfulness, Shares, heat_shares, measure_maps
from ezclip.explanation.maps import explain_clip
from ezclip.predictor import Encoded, Predictor
from ezclip.progress import Progress, Steps, rescale
from ezclip.types import Document
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres


def attention_shares(predictor: Predictor, rows: Sequence[Row]) -> Steps[list[Shares]]:
    """How the rollout of each clip is divided among moving objects, other objects and background.

    Raises:
        ValueError: a clip has no masks (``find_masks``).
    """
    shares = []
    for number, row in enumerate(rows):
        yield Progress(number / len(rows), f"{predictor.name}: maps, clip {number + 1} of {len(rows)}")
        masks = find_masks(row.path)
        if masks is None:
            raise ValueError(f"{row.path.name} has no masks")
        encoded = _encode(predictor, row)
        shares.append(heat_shares(explain_clip(predictor, encoded, method="rollout"), masks[encoded.clip.indices]))
    return shares


def pointing_table(rows: Sequence[Row], models: dict[str, list[Shares]]) -> list[Document]:
    """Mean shares with 95 % intervals for each family of ``rows`` and each model, from its ``attention_shares``.

    Returns:
        Rows of "family", "model", "n", "moving", "still", "background" (each value, low, high) and "area" (the share
        of a uniform map); for every model but the first also "beyond_first": the paired difference to the first
        model's share on moving objects.
    """
    families = [row.family or "ordinary" for row in rows]
    heats = {name: np.array([clip.heat for clip in shares]) for name, shares in models.items()}
    first = next(iter(models))
    areas = np.array([clip.area[2] for clip in models[first]])
    table = []
    for family in dict.fromkeys(families):
        members = [i for i, name in enumerate(families) if name == family]
        for name, heat in heats.items():
            entry: Document = {"family": family, "model": name, "n": len(members)}
            entry |= {kind: mean_interval(heat[members, k]).bar for k, kind in enumerate(KINDS)}
            entry["area"] = float(areas[members].mean())
            if name != first:
                entry["beyond_first"] = mean_interval(heat[members, 2] - heats[first][members, 2]).bar
            table.append(entry)
    return table


def faithfulness(predictor: Predictor, rows: Sequence[Row], labels: list[str], methods: list[str]) -> Steps[Document]:
    """Gains of each map over random orders for the score of each clip's true label, one of ``labels``.

    Returns:
        method -> {"deletion_gain", "insertion_gain", "srg"}, each (mean, low, high) over clips, and "n"; "logit" has
        the same three for the logit.
    """
    curves: dict[str, list[Faithfulness]] = {method: [] for method in methods}
    texts = predictor.encode_texts([s for sentences in predictor.sentences(labels).values() for s in sentences])
    for number, row in enumerate(rows):
        encoded = _encode(predictor, row)
        heats = [explain_clip(predictor, encoded, method=method).heat for method in methods]
        target, start, end = labels.index(row.label), number / len(rows), (number + 1) / len(rows)
        steps = measure_maps(predictor.model, encoded.pixels, heats, texts, len(labels), target)
        measured = yield from rescale(steps, start, end, f"{predictor.name}, clip {number + 1} of {len(rows)}: ")
        for method, result in zip(methods, measured, strict=True):
            curves[method].append(result)
    return {
        method: {"n": len(results)}
        | _mean_gains([r.score for r in results])
        | {"logit": _mean_gains([r.logit for r in results])}
        for method, results in curves.items()
    }


def _mean_gains(curves: list[Curves]) -> Document:
    values = np.array([(c.deletion_gain.value, c.insertion_gain.value, c.srg) for c in curves])
    names = ("deletion_gain", "insertion_gain", "srg")
    return {name: mean_interval(column).bar for name, column in zip(names, values.T)}


def _encode(predictor: Predictor, row: Row) -> Encoded:
    return predictor.encode(read_clip(row.path, partial(segment_centres, T=predictor.model.num_frames)))
