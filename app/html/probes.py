"""Tests of motion: the verdict, scores forward and reversed as slopes, and a row of dots for each probe."""

import numpy as np

from app.html.pieces import render
from ezclip.data.tabletop.classes import PARTNER
from ezclip.studies.motion import MotionProbes, Probe
from ezclip.studies.predict import sure
from ezclip.types import Document

_TOP, _HEIGHT, _APART = 26, 170, 17  # of the slope chart, and the least distance of its numbers, in its units


def motion(probes: MotionProbes) -> str:
    """Verdicts, a slope chart for each model, a row for each probe, and the numbers folded."""
    rows = [
        [name, p.variation, p.answer, *(sure(s, probes.caveat) for s in (p.score, p.opposite_score)), f"{p.rank:.1f}"]
        + [f"{p.variance:.4f}", f"{p.central_difference:.4f}"]
        + ["other frames" if np.isnan(p.map_change) else f"{p.map_change:.1%}"]
        for name in probes.probes
        for p in probes.shown(name)
    ]
    slopes = [_slope(name, of_model) for name, of_model in probes.probes.items()]
    variations = [(own[0].variation, own) for own in zip(*probes.probes.values(), strict=True)]
    place = {"top": _TOP, "height": _HEIGHT, "evidence": _evidence(probes)}
    return render("motion", probes=probes, slopes=slopes, variations=variations, rows=rows, **place)


def _evidence(probes: MotionProbes) -> list[Document]:
    """A row for each measure with a value: its title, meaning and reference, every model's value, and its scale."""
    from ezclip.evaluation.evidence import evidence_rows

    rows = []
    for name, one, values in evidence_rows(probes.evidence):
        if any(value is not None for value in values):
            degrees = name == "curvature"
            scale = {"end": 180 if degrees else 1, "form": "%.0f°" if degrees else "%.2f"}
            rows.append(one | scale | {"title": name, "values": values})
    return rows


def _slope(name: str, probes: list[Probe]) -> Document:
    """One model's lines from forward to reversed: of its answer and, where there is one, of the opposite."""
    by = {p.variation: p for p in probes}
    plain, turned = by["as it is"], by["reversed"]
    lines: list[Document] = [{"label": plain.answer, "scores": (plain.score, turned.score)}]
    if plain.opposite:
        lines.append({"label": plain.opposite, "scores": (plain.opposite_score, turned.opposite_score)})
    for side in range(2):
        ends = [_TOP + _HEIGHT * (1 - line["scores"][side]) for line in lines]
        for line, y, text_y in zip(lines, ends, _spaced(ends), strict=True):
            line.setdefault("y", []).append(y)
            line.setdefault("text_y", []).append(text_y)
    against = "the opposite" if PARTNER.get(plain.answer) == plain.opposite else "the best other answer, reversed"
    return {"name": name, "lines": lines, "against": against, "answer": plain.answer}


def _spaced(places: list[float]) -> list[float]:
    """Where to write numbers so that two of them do not overlap."""
    if len(places) < 2 or abs(places[0] - places[1]) >= _APART:
        return places
    middle, up = sum(places) / 2, 1 if places[0] <= places[1] else -1
    return [middle - up * _APART / 2, middle + up * _APART / 2]
