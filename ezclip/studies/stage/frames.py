"""Shapley values of the frames of a clip for its label, under every model of an analysis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ezclip.progress import Report, Steps, in_thread, rescale
from ezclip.studies.host import Host
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.explanation.shapley import FrameValues
    from ezclip.predictor import Encoded, Predictor

MEANING = {
    "readout": "How much does each frame's embedding contribute to the label's score, all frames present?",
    "removal": "Which frame is needed? The others are hidden from its prompts.",
}
SOURCE = "Element Shapley values (Play Fair, arXiv 2011.12372)."


def shapley_by_model(host: Host, analysis: Any, *, removed: bool = True) -> Steps[dict[str, FrameValues]]:
    """Model -> Shapley values for the label of an ``Analysis``: by readout and, if ``removed``, by removal."""
    clip = yield from host.clip(analysis.study["clip"], len(analysis.clip))  # analysis.clip may be downscaled
    values = {}
    for i, r in enumerate(analysis.results):
        predictor, share = host.predictor(r.name), 1 / len(analysis.results)
        encoded, texts = host.encode(predictor, clip), analysis.study.prompt_texts(predictor, analysis.names)
        work = partial(_values, predictor, encoded, texts, analysis.target, removed)
        steps = in_thread(work, "Shapley values of the frames")
        values[r.name] = yield from rescale(steps, i * share, (i + 1) * share, f"{r.name}: ")
    return values


def _values(
    predictor: Predictor, encoded: Encoded, texts: dict[str, list[str]], label: str, removed: bool, report: Report
) -> FrameValues:
    from ezclip.explanation.shapley import frame_values

    text = predictor.encode_texts(texts[label]).mean(dim=0)
    alone = encoded.video.split_frames()
    answers = [predictor.rank(alone[t : t + 1], list(texts), texts)[0].label for t in range(len(encoded.clip))]
    return frame_values(encoded, text, answers, label, report, removed=removed)


def frame_values_update(analysis: Any, frame_values: dict[str, FrameValues], game: str) -> Document:
    """The values of one game, as an update of a stage, which draws them under its frames."""
    models = [
        getattr(values, game).as_json() | {"alone": [answer == values.label for answer in values.answers]}
        for values in frame_values.values()
    ]
    frames = {"label": analysis.target, "game": game, "meaning": f"{MEANING[game]} {SOURCE}", "models": models}
    return {"key": analysis.clip.source, "partial": {"frames": frames}}


def summarise_any_frame(frame_values: dict[str, FrameValues]) -> str:
    """The any-frame bound of every model, as a sentence."""
    parts = []
    for name, values in frame_values.items():
        alone = sum(answer == values.label for answer in values.answers)
        parts.append(f"{name} {'yes' if alone else 'no'} ({alone} of {len(values.answers)} frames)")
    return f"Does a frame alone rank the label first (any-frame bound)? {', '.join(parts)}."
