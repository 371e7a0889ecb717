"""Does a model see motion in this one clip? Its frames as they are, reversed, shuffled, frozen, slower and faster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ezclip.evaluation.report import Picture, Report, Table
from ezclip.explanation.compare import explain_clip
from ezclip.figures import charts
from ezclip.predictor import Predictor
from ezclip.types import Clip

BLIND = 0.01  # relative change of a logit that bfloat16 can cause by itself
BLIND_SCORE = 0.05  # and of a score


@dataclass(frozen=True)
class Probe:
    """What a model made of one variation of a clip; means over the draws of "shuffled".

    Attributes:
        variation: a key of ``order.orders``.
        answer: the best label, of the first draw.
        score: of the label that the model gave the clip as it is, in [0, 1].
        logit: of the same label.
        rank: of that label, 1 is best.
        variance: Var of the frame embeddings, L2-normalised, in the model's reading.
        central_difference: C of the same.
        map_change: how far the rollout map moved from that of the clip as it is: half the sum of absolute differences
            between the two maps of one frame, each scaled to sum 1, averaged over the frames that both show; in
            [0, 1], NaN where they share no frame. 0 for a model that is blind to order.
    """

    variation: str
    answer: str
    score: float
    logit: float
    rank: float
    variance: float
    central_difference: float
    map_change: float


def probe(
    predictor: Predictor,
    variations: dict[str, list[Clip]],
    labels: list[str],
    sentences: dict[str, list[str]] | None = None,
) -> Iterator[float | list[Probe]]:
    """Run a model on each variation of a video.

    Args:
        predictor: the model.
        variations: of ``order.varied_clips``, with as many frames as the model sees.
        labels: C class names.
        sentences: the texts that stand for them; None fills the model's templates.

    Yields:
        The share of the work that is done, and the probes last, "as it is" first. Stopping the iteration cancels.
    """
    found: list[Probe] = []
    own, plain_maps = "", dict[int, np.ndarray]()
    for i, (name, clips) in enumerate(variations.items()):
        rows: list[dict[str, Any]] = []
        for clip in clips:
            predictor.set_video(clip)
            ranked = predictor.score(labels, sentences)
            heat = explain_clip(predictor).heat
            maps = heat / heat.sum(axis=(1, 2), keepdims=True).clip(1e-12)
            if not own:
                own, plain_maps = ranked[0].label, dict(zip(clip.indices.tolist(), maps, strict=True))
            changes = [
                np.abs(m - plain_maps[i]).sum() / 2 for i, m in zip(clip.indices.tolist(), maps) if i in plain_maps
            ]
            motion = predictor.motion()
            rank = next(r for r, p in enumerate(ranked, 1) if p.label == own)
            rows.append(
                {
                    "answer": ranked[0].label,
                    "score": ranked[rank - 1].score,
                    "logit": ranked[rank - 1].logit,
                    "rank": rank,
                    "variance": motion.variance_unit,
                    "central_difference": motion.central_difference_unit,
                    "map_change": float(np.mean(changes)) if changes else float("nan"),
                }
            )
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "answer"}
        found.append(Probe(name, rows[0]["answer"], **means))
        yield (i + 1) / len(variations)
    yield found


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


def scores_chart(found: dict[str, list[Probe]]) -> Figure:
    """Score of the first answer under each variation, one colour a model."""
    nan = float("nan")
    variations = [p.variation for p in next(iter(found.values()))]
    series = {name: [(p.score, nan, nan) for p in probes] for name, probes in found.items()}
    return charts.grouped(variations, series, title="What each model says of its first answer", axis_label="score, %")


def evidence_report(found: dict[str, list[Probe]], provenance: dict[str, str]) -> Report:
    """Verdicts, the chart and the table of every model's probes; ``provenance`` says what made them."""
    verdicts = [verdict(name, probes) for name, probes in found.items()]
    rows = [[name, *asdict(p).values()] for name, probes in found.items() for p in probes]
    columns = ["model", *(field.name for field in fields(Probe))]
    data = {"models": {name: as_json(probes) for name, probes in found.items()}, "verdicts": verdicts}
    note = "score, logit and rank are of the label that the model gave the clip as it is."
    parts = [
        Picture("scores", "Score of the first answer", scores_chart(found)),
        Table("probes", "Variations of the clip", columns, rows, note),
    ]
    return Report("Motion evidence", " ".join(verdicts), data, provenance, parts)
