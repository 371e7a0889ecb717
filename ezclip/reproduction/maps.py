"""Compare all explanation methods on Tabletop's test clips, which have masks; run by ``benchmarks/maps.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.metrics import mean_interval
from ezclip.explanation import faithfulness
from ezclip.explanation.maps import explain
from ezclip.explanation.trace import hooked
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Predictor
from ezclip.progress import finish
from ezclip.reproduction.report.markdown import markdown
from ezclip.types import Document
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

HEAD = ["map", "on what moves", "95 %", "SRG", "95 %", "below the best, 95 %", "cost in forwards"]
UNIFORM = "(uniform)"
MapScores = dict[str, tuple[float, float, float]]  # method -> share of heat on moving objects, SRG, forward passes


@contextmanager
def count_costs(model: EZCLIP, T: int) -> Iterator[list[float]]:
    """Costs of all block passes, to be summed, in forward passes of a clip of T frames; backward passes count twice."""
    costs: list[float] = []
    blocks = model.vision.blocks

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        passes = len(inputs[0]) / (T * len(blocks))
        costs.append(passes)
        if output.requires_grad:
            output.register_hook(lambda gradient: costs.append(2 * passes))

    with hooked([(block, count) for block in blocks]):
        yield costs


def measure_maps(predictor: Predictor, path: Path, methods: list[str], labels: list[str], texts: Tensor) -> MapScores:
    """Measure maps for the predicted label of a clip with masks.

    Args:
        predictor: an EZ-CLIP model.
        path: the clip.
        methods: names from ``METHODS``.
        labels: C class names.
        texts: (C*K, E), text embeddings of the labels.
    """
    clip = read_clip(path, partial(segment_centres, T=predictor.model.num_frames))
    masks, encoded, model = find_masks(path), predictor.encode(clip), predictor.model
    if masks is None or not isinstance(model, EZCLIP):
        raise ValueError("maps are measured on clips with masks and models of EZ-CLIP's blocks")
    target = labels.index(predictor.rank(encoded.video, labels)[0].label)
    text = texts.unflatten(0, (len(labels), -1))[target].mean(dim=0)
    area = faithfulness.patch_fractions(masks[clip.indices], model.vision.grid, model.preprocessing)[2].mean()
    scores = {UNIFORM: (float(area), float("nan"), 0.0)}
    for method in methods:
        with count_costs(model, len(clip)) as costs:
            explanation = explain(model, encoded.pixels, clip.seconds, name=predictor.name, method=method, text=text)
        share = faithfulness.heat_shares(explanation, masks[clip.indices]).heat[2]
        steps = faithfulness.measure(model, encoded.pixels, explanation.heat, texts, len(labels), target, orders=0)
        scores[method] = (share, finish(steps).score.srg, sum(costs))
    return scores


def summarise(clips: list[MapScores]) -> list[Document]:
    """One row per method, highest SRG first and the uniform map last.

    Returns:
        "map", "forwards", and as (mean, low, high) with 95 % bootstrap intervals over clips "moving", "srg" and
        "below", by how much the SRG is below that of the first row on the same clips.
    """
    scores = {name: np.array([clip[name] for clip in clips]) for name in clips[0]}  # (clips, 3)
    order = sorted(scores, key=lambda name: -np.nan_to_num(scores[name][:, 1].mean(), nan=-np.inf))
    best = scores[order[0]][:, 1]
    rows: list[Document] = []
    for name in order:
        moving, srg, costs = scores[name].T
        row: Document = {"map": name, "moving": mean_interval(moving).bar, "forwards": float(costs.mean())}
        rows.append(
            row if name == UNIFORM else row | {"srg": mean_interval(srg).bar, "below": mean_interval(best - srg).bar}
        )
    return rows


def maps_table(rows: list[Document]) -> list[list[str]]:
    """The rows of ``summarise`` as text, header first."""

    def cells(bar: list[float], form: str) -> list[str]:
        mean, low, high = (format(value, form) for value in bar)
        return [mean, f"{low} to {high}"]

    table = [HEAD]
    for i, row in enumerate(rows):
        gain = cells(row["srg"], "+.3f") if "srg" in row else ["", ""]
        below = cells(row["below"], ".3f")[1] if i and "below" in row else ""
        table.append([row["map"], *cells(row["moving"], ".3f"), *gain, below, f"{row['forwards']:.1f}"])
    return table


def maps_section(document: Document | None) -> str:
    """The section of RESULTS.md on the document of ``benchmarks/maps.py``."""
    if not document:
        return "All maps: not run"
    return (
        f"All maps of `{document['model']}` on {document['clips']} clips (`python benchmarks/maps.py`), for the "
        "predicted label: share of the heat on what moves; SRG, insertion area minus deletion area (0: a random map); "
        "how far below the first row's SRG on the same clips; cost in forward passes, a backward pass counted as two. "
        f"[Which map should I trust?](docs/MAPS.md)\n\n{markdown(maps_table(document['rows']))}"
    )
