"""Motion probes: the verdict, scores forward and reversed as slopes, and a row of dots per probe."""

import numpy as np

from app.html.pieces import render
from ezclip.data.tabletop.classes import PARTNER
from ezclip.studies.motion import MotionProbes, Probe
from ezclip.studies.predict import score_text
from ezclip.types import Document

_TOP, _HEIGHT, _MIN_DISTANCE = 26, 170, 17  # of the slope chart and between its numbers, in SVG units


def motion(probes: MotionProbes) -> str:
    """Verdicts, a slope chart per model, a row per probe, and a folded table of the numbers."""
    rows = [
        [name, p.variation, p.answer]
        + [score_text(s, probes.caveat) for s in (p.score, p.opposite_score)]
        + [f"{p.rank:.1f}", f"{p.variance:.4f}", f"{p.central_difference:.4f}"]
        + ["other frames" if np.isnan(p.map_change) else f"{p.map_change:.1%}"]
        for name in probes.probes
        for p in probes.informative_probes(name)
    ]
    slopes = [_slope(name, model_probes) for name, model_probes in probes.probes.items()]
    variations = [(group[0].variation, group) for group in zip(*probes.probes.values(), strict=True)]
    chart = {"top": _TOP, "height": _HEIGHT, "evidence": _evidence(probes)}
    return render("motion", probes=probes, slopes=slopes, variations=variations, rows=rows, **chart)


def _evidence(probes: MotionProbes) -> list[Document]:
    """One row per measure with a value: its title, meaning and reference, the values of the models, and its scale."""
    from ezclip.evaluation.evidence import evidence_rows

    rows = []
    for name, measure, values in evidence_rows(probes.evidence):
        if any(value is not None for value in values):
            degrees = name == "curvature"
            scale = {"end": 180 if degrees else 1, "form": "%.0f°" if degrees else "%.2f"}
            rows.append(measure | scale | {"title": name, "values": values})
    return rows


def _slope(name: str, probes: list[Probe]) -> Document:
    """The lines of a model from forward to reversed: for its answer and, if there is one, for the opposite."""
    by_variation = {p.variation: p for p in probes}
    forward, backward = by_variation["as it is"], by_variation["reversed"]
    lines: list[Document] = [{"label": forward.answer, "scores": (forward.score, backward.score)}]
    if forward.opposite:
        lines.append({"label": forward.opposite, "scores": (forward.opposite_score, backward.opposite_score)})
    for side in range(2):
        ends = [_TOP + _HEIGHT * (1 - line["scores"][side]) for line in lines]
        for line, y, text_y in zip(lines, ends, _spaced(ends), strict=True):
            line.setdefault("y", []).append(y)
            line.setdefault("text_y", []).append(text_y)
    against = "the opposite" if PARTNER.get(forward.answer) == forward.opposite else "the best other answer, reversed"
    return {"name": name, "lines": lines, "against": against, "answer": forward.answer}


def _spaced(positions: list[float]) -> list[float]:
    """Positions of the numbers, moved apart if two of them overlap."""
    if len(positions) < 2 or abs(positions[0] - positions[1]) >= _MIN_DISTANCE:
        return positions
    middle, up = sum(positions) / 2, 1 if positions[0] <= positions[1] else -1
    return [middle - up * _MIN_DISTANCE / 2, middle + up * _MIN_DISTANCE / 2]
