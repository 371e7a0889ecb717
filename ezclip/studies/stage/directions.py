"""A clip with its frames in another order, under the models of an analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ezclip.explanation.methods import MapSettings
from ezclip.progress import Progress, Steps, in_thread, within
from ezclip.studies.host import Host
from ezclip.types import Attribution, Clip, Prediction

FORWARD, OTHERS = "forward", ("reversed", "shuffled", "static")


@dataclass(frozen=True, eq=False)
class Turned:
    """One model's ranking and map of the frames in another order, position by position."""

    name: str  # of the model
    predictions: list[Prediction]
    attribution: Attribution


def orders(T: int) -> dict[str, list[int]]:
    """Direction -> the T frames in the order of presentation; "shuffled" is the motion study's first draw."""
    forward = list(range(T))
    shuffled = np.random.default_rng(0).permutation(T).tolist()
    return {FORWARD: forward, "reversed": forward[::-1], "shuffled": shuffled, "static": [T // 2] * T}


def turned(clip: Clip, direction: str) -> Clip:
    """A clip with its frames in the order of a direction; the times remain those of the positions."""
    order = orders(len(clip))[direction]
    source = f"{clip.source} {direction}" if clip.source else ""
    return replace(clip, images=clip.images[order], indices=clip.indices[order], source=source)


def as_it_is(analysis: Any) -> dict[str, list[Turned]]:
    """The direction "forward" of an ``Analysis``."""
    return {FORWARD: [Turned(r.name, r.predictions, r.attribution) for r in analysis.results]}


def in_all_directions(host: Host, analysis: Any) -> Steps[dict[str, list[Turned]]]:
    """Direction -> every model's ``Turned``, by the method of an ``Analysis``; "forward" is the analysis itself.

    Each direction is reported as a partial result when it is there.
    """
    from ezclip.explanation.maps import explain_clip

    study, names = analysis.study, analysis.names
    settings = MapSettings(study["fusion"], study["start_layer"], study["discard"])
    clip = yield from host.clip(study["clip"], len(analysis.clip))  # the analysis may hold smaller frames
    found = as_it_is(analysis)
    for i, direction in enumerate(OTHERS):
        found[direction] = []
        for result in analysis.results:
            which = f"{result.name}: frames {direction}"
            yield Progress(i / len(OTHERS), which)
            predictor = host.predictor(result.name)
            encoded, texts = host.encode(predictor, turned(clip, direction)), study.prompt_texts(predictor, names)
            options = {"method": study["method"], "settings": settings, "texts": texts[analysis.target]}
            ranked = predictor.rank(encoded.video, names, texts)
            explain = partial(explain_clip, predictor, encoded, **options)
            steps = in_thread(lambda report, explain=explain: explain(report=report), which)
            attribution = yield from within(steps, i / len(OTHERS), (i + 1) / len(OTHERS))
            found[direction].append(Turned(result.name, ranked, attribution))
        yield Progress((i + 1) / len(OTHERS), f"frames {direction}", partial=dict(found))
    return found
