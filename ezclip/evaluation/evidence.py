"""Does a model see motion in this one clip? Its frames as they are, reversed, shuffled, frozen, slower and faster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ezclip.evaluation.order import Variations
from ezclip.evaluation.report import Picture, Report, Table
from ezclip.explanation.compare import explain_clip
from ezclip.figures import charts
from ezclip.model.spread import spread
from ezclip.predictor import Predictor

BLIND = 0.01  # relative change of a logit that bfloat16 can cause by itself
BLIND_SCORE = 0.05  # and of a score
_QUANTITIES = (
    ("score of its answer, %", "score", 100),
    ("rank of its answer", "rank", 1),
    ("Var, unit vectors", "variance", 1),
    ("C, unit vectors", "central_difference", 1),
    ("heat that moved, %", "map_change", 100),
)


@dataclass(frozen=True, eq=False)
class Seen:
    """How a model sees one variation of a clip, whatever it is asked; R draws, five for "shuffled", else one.

    Attributes:
        variation: a key of ``order.orders``.
        frames: (R, T, E) frame embeddings, float32.
        variance: Var of the frame embeddings, L2-normalised, in the model's reading; mean over the draws.
        central_difference: C of the same.
        map_change: how far the rollout map moved from that of the clip as it is: half the sum of absolute differences
            between the two maps of one frame, each scaled to sum 1, averaged over the frames that both show; in
            [0, 1], NaN where they share no frame. 0 for a model that is blind to order.
    """

    variation: str
    frames: Tensor
    variance: float
    central_difference: float
    map_change: float


@dataclass(frozen=True)
class Probe:
    """What a model made of one variation of a clip; means over the draws.

    Attributes:
        variation: a key of ``order.orders``.
        answer: the best label, of the first draw.
        score: of the label that the model gave the clip as it is, in [0, 1].
        logit: of the same label.
        rank: of that label, 1 is best.
        variance: see ``Seen``.
        central_difference: see ``Seen``.
        map_change: see ``Seen``.
    """

    variation: str
    answer: str
    score: float
    logit: float
    rank: float
    variance: float
    central_difference: float
    map_change: float


def observe(predictor: Predictor, variations: Variations) -> Iterator[float | list[Seen]]:
    """Encode every variation of a video, with as many frames as the model sees.

    Yields:
        The share of the work that is done, and what was seen last, "as it is" first. Stopping the iteration cancels.
    """
    found: list[Seen] = []
    plain = dict[int, np.ndarray]()  # maps of the clip as it is, by frame
    for i, name in enumerate(variations.orders):
        frames, variances, differences, changes = [], [], [], []
        for clip in variations.clips(name):
            predictor.set_video(clip, keep=False)
            frames.append(predictor.frames)
            variance, difference = spread(F.normalize(predictor.frames, dim=-1), predictor.reading)
            variances.append(float(variance))
            differences.append(float(difference))
            heat = explain_clip(predictor).heat
            maps = heat / heat.sum(axis=(1, 2), keepdims=True).clip(1e-12)
            shown = list(zip(clip.indices.tolist(), maps, strict=True))
            plain = plain or dict(shown)
            moved = [np.abs(m - plain[index]).sum() / 2 for index, m in shown if index in plain]
            changes.append(float(np.mean(moved)) if moved else float("nan"))
        means = [float(np.mean(values)) for values in (variances, differences, changes)]
        found.append(Seen(name, torch.cat(frames), *means))
        yield (i + 1) / len(variations.orders)
    yield found


def probe(
    predictor: Predictor, seen: list[Seen], labels: list[str], sentences: dict[str, list[str]] | None = None
) -> list[Probe]:
    """What the model answers to each variation.

    Args:
        predictor: the model that ``observe`` was given.
        seen: what it found, "as it is" first.
        labels: C class names.
        sentences: the texts that stand for them; None fills the model's templates.
    """
    found: list[Probe] = []
    own = ""
    for s in seen:
        draws = [predictor.rank(frames, labels, sentences) for frames in s.frames.split(1)]
        own = own or draws[0][0].label
        places = [next((p.score, p.logit, r) for r, p in enumerate(d, 1) if p.label == own) for d in draws]
        score, logit, rank = (float(np.mean(values)) for values in zip(*places))
        answer = draws[0][0].label
        found.append(Probe(s.variation, answer, score, logit, rank, s.variance, s.central_difference, s.map_change))
    return found


def as_json(probes: list[Probe]) -> list[dict[str, Any]]:
    """Plain values; a map change that cannot be measured is null."""
    return [asdict(p) | {"map_change": None if np.isnan(p.map_change) else p.map_change} for p in probes]


def verdict(name: str, probes: list[Probe]) -> str:
    """One sentence that the numbers support."""
    by = {p.variation: p for p in probes}
    plain, turned, shuffled = by["as it is"], by["reversed"], by["shuffled"]
    change = max(abs(p.logit - plain.logit) for p in (turned, shuffled))
    same = plain.answer == turned.answer == shuffled.answer and abs(turned.score - plain.score) < BLIND_SCORE
    if same and change < BLIND * max(abs(plain.logit), 1.0):
        return f"{name} does not see the order of the frames: reversed or shuffled, its answer stays “{plain.answer}”."
    if turned.answer != plain.answer:
        return f"{name} sees order here: reversed, its answer “{plain.answer}” becomes “{turned.answer}”."
    return (
        f"{name} sees order, but it does not decide here: reversed, “{plain.answer}” goes from {plain.score:.0%} to "
        f"{turned.score:.0%}."
    )


def probes_chart(found: dict[str, list[Probe]]) -> Figure:
    """Everything that was measured under each variation, one colour a model."""
    variations = [p.variation for p in next(iter(found.values()))]
    rows = {
        title: {name: [factor * getattr(p, key) for p in probes] for name, probes in found.items()}
        for title, key, factor in _QUANTITIES
    }
    return charts.panels(variations, rows, title="Each model's answer to the clip as it is, its frames and its map")


def evidence_report(found: dict[str, list[Probe]], provenance: dict[str, str]) -> Report:
    """Verdicts, the chart and the table of every model's probes; ``provenance`` says what made them."""
    verdicts = [verdict(name, probes) for name, probes in found.items()]
    rows = [[name, *asdict(p).values()] for name, probes in found.items() for p in probes]
    columns = ["model", *(field.name for field in fields(Probe))]
    data = {"models": {name: as_json(probes) for name, probes in found.items()}, "verdicts": verdicts}
    note = "score, logit and rank are of the label that the model gave the clip as it is."
    parts = [
        Picture("variations", "Variations of the clip, as bars", probes_chart(found)),
        Table("probes", "Variations of the clip", columns, rows, note),
    ]
    return Report("Motion evidence", " ".join(verdicts), data, provenance, parts)
