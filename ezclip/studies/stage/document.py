"""The JSON document of a stage: film, frame orders, maps and answers of an analysis, and known true labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ezclip.checkpoints.catalog import SHIPPED
from ezclip.data.tabletop.classes import PARTNER
from ezclip.data.tabletop.truth import find_masks, sample_entry
from ezclip.errors import VideoError
from ezclip.figures.stage import FILM_SIDE, colour_maps, film, film_indices, to_base64
from ezclip.studies.host import digest
from ezclip.studies.stage.directions import FORWARD, DirectionResult, forward_results, orders
from ezclip.types import Document, visible_box
from ezclip.video.read import read_frames

if TYPE_CHECKING:
    from ezclip.checkpoints.identity import Identity

ANSWERS = 3  # shown under the panel of each model
FAITHFULNESS_NOTE = (
    "Faithfulness of the map: what the label's score gains when the bright patches are restored first, over random "
    "orders, with a 95 % interval; 0 is chance."
)
MODEL_NOTES = {True: "sees each frame alone", False: "frames exchange information"}  # key: whether it is order-blind
_PHRASES = {"reversed": "Reversed", "shuffled": "Shuffled", "static": "As one still picture"}


def films_of(path: str) -> dict[str, Document]:
    """A clip's digest -> its film, see ``figures.stage.film``; raises VideoError for an unreadable clip."""
    return {digest(path): film(read_frames(path, film_indices, side=FILM_SIDE))}


def film_or_stills(analysis: Any, read: Callable[[], dict[str, Document]]) -> dict[str, Document]:
    """The films that ``read`` returns, see ``films_of``; if it fails, a film of the input frames of the models."""
    try:
        return read()
    except VideoError:
        return {film_key(analysis): film(analysis.clip.downscaled(FILM_SIDE))}


def stage(analysis: Any, films: dict[str, Document] | None = None) -> Document:
    """The document that the component plays: an ``Analysis`` in all its directions.

    Without ``films`` the component reuses the film that it has. Heat is in multiples of a uniform distribution over all
    patches and frames if the maps sum to at most 1, else in multiples of the mean of all maps. Of a signed map only the
    positive part is played, as the unit states.
    """
    clip, T = analysis.clip, len(analysis.clip)
    directions = analysis.directions or forward_results(analysis)
    forward = [result.attribution for result in directions[FORWARD]]
    heats = [attribution.heat for attribution in forward if not attribution.absent] or [np.zeros(1)]
    shares = all(heat.sum() <= 1.001 for heat in heats)
    unit = "× uniform" if shares else "× the mean"
    if any(attribution.signed is not None for attribution in forward):
        unit += ", positive part (below 0 shown as 0)"
    mean = max(float(np.mean([heat.mean() for heat in heats])), 1e-12)
    height, width = clip.images.shape[1:3]
    models = []
    for r in analysis.results:
        box = np.array(visible_box(height, width, r.attribution.preprocessing)) / (width, height, width, height)
        grid, note = r.attribution.heat.shape[1], MODEL_NOTES[r.identity.order_blind]
        models.append({"name": r.name, "about": note, "grid": grid, "box": box.round(5).tolist()})
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
                    "heat": to_base64(r.attribution.heat * (r.attribution.heat.size if shares else 1 / mean)),
                    "answers": [{"label": p.label, "score": p.score} for p in r.predictions[:ANSWERS]],
                }
                for r in results
            ]
            for direction, results in directions.items()
        },
        "truth": true_labels((sample_entry(analysis.study["clip"]) or {}).get("label")),
        "guess": bool(reason),
        "verdicts": {d: f"{reason}{_verdict(directions, d)}" for d in directions},
        "trust": FAITHFULNESS_NOTE,
        "faithfulness": _gains(analysis),
    }


def film_key(analysis: Any) -> str:
    """The digest of an analysis's clip."""
    return analysis.clip.source.partition(" ")[0]


def faithfulness_update(analysis: Any) -> Document:
    """The faithfulness of the maps, as an update of a stage that shows the analysis."""
    return {"key": analysis.clip.source, "partial": {"faithfulness": _gains(analysis)}}


def _gains(analysis: Any) -> list[str]:
    """The text under the panel of each model."""
    gains = []
    for f in analysis.faithfulness:
        gain, low, high = f.score.insertion if f.score else (0.0, 0.0, 0.0)
        gains.append(f"gain {gain:+.2f} ({low:+.2f} to {high:+.2f})" if f.score else "not measured")
    return gains


def true_labels(label: str | None) -> dict[str, str]:
    """Direction -> true label of a clip with this label; directions without a known label are missing."""
    return ({FORWARD: label} if label else {}) | ({"reversed": PARTNER[label]} if label in PARTNER else {})


def out_of_domain(clip: str, models: Iterable[Identity]) -> bool:
    """Whether a model trained on drawn scenes only analyses another kind of clip."""
    return any(model.name.startswith(SHIPPED) for model in models) and find_masks(clip) is None


def caveat(clip: str, names: Sequence[str], models: Iterable[Identity], model: Identity) -> str:
    """Why predictions are guesses, as the start of a headline; empty for clips and names like the training data."""
    if out_of_domain(clip, models):
        return "These are guesses: the models were trained on drawn scenes only. "
    new = sum(not model.knows(name) for name in names)
    verb = "is" if new == 1 else "are"
    return f"These are guesses: {new} of {len(names)} class names {verb} new to {model.name}. " if new else ""


def _verdict(directions: dict[str, list[DirectionResult]], direction: str) -> str:
    """A sentence on the answers of baseline and model in a direction."""
    best = {d: [r.predictions[0].label for r in results[:2]] for d, results in directions.items()}
    names = [r.name for r in directions[FORWARD][:2]]
    base, model = names[0], names[-1]
    if direction == FORWARD:
        first, last = best[FORWARD][0], best[FORWARD][-1]
        if base == model:
            return f"{model} answers “{last}”."
        return f"Both answer “{last}”." if first == last else f"{base} answers “{first}”, {model} “{last}”."
    changed = [now != before for now, before in zip(best[direction], best[FORWARD], strict=True)]
    phrase = _PHRASES[direction]
    if base == model:
        return f"{phrase}, {model} {'changes' if changed[0] else 'keeps'} its answer."
    if changed[0] == changed[-1]:
        return f"{phrase}, both {'change' if changed[0] else 'keep'} their answers."
    mover, keeper = (model, base) if changed[-1] else (base, model)
    return f"{phrase}, {mover} changes its answer and {keeper} does not."
