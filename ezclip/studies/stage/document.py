"""The document of a stage: film, orders, maps and answers of an analysis as plain values, and the truth if known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ezclip.data.tabletop.classes import PARTNER
from ezclip.data.tabletop.truth import find_masks, sample_entry
from ezclip.errors import VideoError
from ezclip.figures.stage import FILM_SIDE, colour_maps, film, film_indices, packed
from ezclip.studies.host import digest
from ezclip.studies.stage.directions import FORWARD, Turned, as_it_is, orders
from ezclip.types import Document, visible_box
from ezclip.video.read import read_frames

if TYPE_CHECKING:
    from ezclip.checkpoints.identity import Identity

ANSWERS = 3  # of each model, under its panel
TRUST = (
    "Faithfulness of the map: what the label's score gains when the bright patches are restored first, over random "
    "orders, with a 95 % interval; 0 is chance."
)
ABOUT = {True: "sees each frame alone", False: "frames exchange information"}  # by whether it is blind to order
EMBEDDED = "tabletop/"  # models that were trained on drawn scenes
_SAID = {"reversed": "Reversed", "shuffled": "Shuffled", "static": "As one still picture"}


def films_of(path: str) -> dict[str, Document]:
    """A clip's digest -> its film, see ``figures.stage.film``; raises VideoError for an unreadable one."""
    return {digest(path): film(read_frames(path, film_indices, side=FILM_SIDE))}


def film_or_stills(analysis: Any, read: Callable[[], dict[str, Document]]) -> dict[str, Document]:
    """What ``read`` returns, see ``films_of``; where that takes too long, a film of the frames that the models saw."""
    try:
        return read()
    except VideoError:
        return {film_key(analysis): film(analysis.clip.reduced(FILM_SIDE))}


def stage(analysis: Any, films: dict[str, Document] | None = None) -> Document:
    """What the component plays of an ``Analysis``, in all orders of the frames that it has.

    Without ``films`` the component uses the one that it has already. Heat is in multiples of an even spread over all
    patches and frames: 1 is the same everywhere. For maps that do not sum to at most one it is in multiples of the mean
    of all maps on show. A signed map plays its positive part, which the unit then says.
    """
    clip, T = analysis.clip, len(analysis.clip)
    directions = analysis.directions or as_it_is(analysis)
    heats = [one.attribution.heat for one in directions[FORWARD] if not one.attribution.absent] or [np.zeros(1)]
    shares = all(heat.sum() <= 1.001 for heat in heats)
    unit = "× uniform" if shares else "× the mean"
    if any(one.attribution.signed is not None for one in directions[FORWARD]):
        unit += ", positive part (below 0 shown as 0)"
    mean = max(float(np.mean([heat.mean() for heat in heats])), 1e-12)
    height, width = clip.images.shape[1:3]
    models = []
    for r in analysis.results:
        box = np.array(visible_box(height, width, r.attribution.seen)) / (width, height, width, height)
        grid, about = r.attribution.heat.shape[1], ABOUT[r.identity.order_blind]
        models.append({"name": r.name, "about": about, "grid": grid, "box": box.round(5).tolist()})
    reason = analysis.caveat
    return {
        "key": clip.source,
        "clip": clip.name,
        "label": analysis.target,
        "films": films or {},
        "film": film_key(analysis),
        "seconds": [round(float(s), 4) for s in clip.seconds],
        "orders": orders(T),
        "models": models,
        "unit": unit,
        "maps": colour_maps(),
        "results": {
            direction: [
                {
                    "heat": packed(one.attribution.heat * (one.attribution.heat.size if shares else 1 / mean)),
                    "answers": [{"label": p.label, "score": p.score} for p in one.predictions[:ANSWERS]],
                }
                for one in found
            ]
            for direction, found in directions.items()
        },
        "truth": truth(analysis.study["clip"]),
        "guess": bool(reason),
        "verdicts": {d: f"{reason}{_verdict(directions, d)}" for d in directions},
        "trust": TRUST,
        "faithfulness": _gains(analysis),
    }


def film_key(analysis: Any) -> str:
    """The digest of an analysis's clip."""
    return analysis.clip.source.partition(" ")[0]


def trusted(analysis: Any) -> Document:
    """The faithfulness of an analysis's maps, for a stage that shows the analysis already."""
    return {"key": analysis.clip.source, "partial": {"faithfulness": _gains(analysis)}}


def _gains(analysis: Any) -> list[str]:
    """Of each model's map, as it stands under its panel."""
    found = []
    for f in analysis.faithfulness:
        gain, low, high = f.score.insertion if f.score else (0.0, 0.0, 0.0)
        found.append(f"gain {gain:+.2f} ({low:+.2f} to {high:+.2f})" if f.score else "not measured")
    return found


def truth(path: str) -> dict[str, str]:
    """Direction -> the true label of a shipped sample, as far as it is known; empty for other clips."""
    entry = sample_entry(path)
    if entry is None or entry["label"] is None:
        return {}
    label = entry["label"]
    return {FORWARD: label} | ({"reversed": PARTNER[label]} if label in PARTNER else {})


def undrawn(clip: str, models: Iterable[Identity]) -> bool:
    """Whether a shipped model analyses a clip that was not drawn like its training data."""
    return any(one.name.startswith(EMBEDDED) for one in models) and find_masks(clip) is None


def caveat(clip: str, names: Sequence[str], models: Iterable[Identity], model: Identity) -> str:
    """Why answers are guesses, to start a headline; empty where clip and names are like the training data."""
    if undrawn(clip, models):
        return "These are guesses: the models were trained on drawn scenes only. "
    new = sum(name not in model.labels for name in names) if model.labels else 0
    return f"These are guesses: {new} of {len(names)} class names are new to {model.name}. " if new else ""


def _verdict(directions: dict[str, list[Turned]], direction: str) -> str:
    """What the models do in a direction, the baseline first."""
    pair = {d: found[:2] for d, found in directions.items()}  # without further models
    best = {d: [one.predictions[0].label for one in found] for d, found in pair.items()}
    names = [one.name for one in pair[FORWARD]]
    base, model = names[0], names[-1]
    if direction == FORWARD:
        first, last = best[FORWARD][0], best[FORWARD][-1]
        if base == model:
            return f"{model} answers “{last}”."
        return f"Both answer “{last}”." if first == last else f"{base} answers “{first}”, {model} “{last}”."
    changed = [now != before for now, before in zip(best[direction], best[FORWARD], strict=True)]
    said = _SAID[direction]
    if base == model:
        return f"{said}, {model} {'changes' if changed[0] else 'keeps'} its answer."
    if changed[0] == changed[-1]:
        return f"{said}, both {'change' if changed[0] else 'keep'} their answers."
    mover, keeper = (model, base) if changed[-1] else (base, model)
    return f"{said}, {mover} changes its answer and {keeper} does not."
