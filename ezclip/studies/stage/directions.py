"""A clip with reordered frames under the models of an analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ezclip.explanation.methods import MapSettings
from ezclip.progress import Progress, Steps, in_thread, rescale
from ezclip.studies.host import Host
from ezclip.types import Attribution, Clip, Prediction

FORWARD, REORDERED = "forward", ("reversed", "shuffled", "static")


@dataclass(frozen=True, eq=False)
class DirectionResult:
    """One model's ranking and map of the frames in one direction (order), position by position."""

    name: str  # of the model
    predictions: list[Prediction]
    attribution: Attribution


def orders(T: int) -> dict[str, list[int]]:
    """Direction -> frame indices in presentation order; "shuffled" equals the first draw of the motion study."""
    forward = list(range(T))
    shuffled = np.random.default_rng(0).permutation(T).tolist()
    return {FORWARD: forward, "reversed": forward[::-1], "shuffled": shuffled, "static": [T // 2] * T}


def reorder(clip: Clip, direction: str) -> Clip:
    """A clip with its frames in the order of a direction; the times of the positions do not change."""
    order = orders(len(clip))[direction]
    source = f"{clip.source} {direction}" if clip.source else ""
    return replace(clip, images=clip.images[order], indices=clip.indices[order], source=source)


def forward_results(analysis: Any) -> dict[str, list[DirectionResult]]:
    """The results of an ``Analysis`` as the direction "forward"."""
    return {FORWARD: [DirectionResult(r.name, r.predictions, r.attribution) for r in analysis.results]}


def analyse_directions(host: Host, analysis: Any) -> Steps[dict[str, list[DirectionResult]]]:
    """Direction -> the result of every model; "forward" is taken from the ``Analysis``.

    The partial results contain the directions that are finished.
    """
    from ezclip.explanation.maps import explain_clip

    study, names = analysis.study, analysis.names
    settings = MapSettings(study["fusion"], study["start_layer"], study["discard"])
    clip = yield from host.clip(study["clip"], len(analysis.clip))  # analysis.clip may be downscaled
    results = forward_results(analysis)
    for i, direction in enumerate(REORDERED):
        results[direction] = []
        for result in analysis.results:
            message = f"{result.name}: frames {direction}"
            yield Progress(i / len(REORDERED), message)
            predictor = host.predictor(result.name)
            encoded, texts = host.encode(predictor, reorder(clip, direction)), study.prompt_texts(predictor, names)
            kwargs = {"method": study["method"], "settings": settings, "texts": texts[analysis.target]}
            ranked = predictor.rank(encoded.video, names, texts)
            explain = partial(explain_clip, predictor, encoded, **kwargs)
            steps = in_thread(lambda report, explain=explain: explain(report=report), message)
            attribution = yield from rescale(steps, i / len(REORDERED), (i + 1) / len(REORDERED))
            results[direction].append(DirectionResult(result.name, ranked, attribution))
        yield Progress((i + 1) / len(REORDERED), f"frames {direction}", partial=dict(results))
    return results
