"""Frame planes, motion evidence, classes, families, damage and time lines, as HTML and figures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from app.actions.analysis import Analysis
from app.actions.evidence import Evidence
from app.actions.long_video import Timeline
from app.actions.ood import Damaged
from app.widgets.maps import KINDS, ranking, strip
from app.widgets.parts import bar, colour, scale, table, uri
from ezclip.evaluation.classwise import Comparison
from ezclip.figures import charts
from ezclip.figures.maps import overlay, square
from ezclip.types import Prediction

if TYPE_CHECKING:
    from ezclip.evaluation.frames import Layout

_SIZE = 420
_PAD = 30
_THUMB = 96
MOST = 20


def frame_plane(found: Layout) -> str:
    """Two panels on the same axes, one colour a clip, frames joined in time; pictures show on hover or focus."""
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    reach = np.maximum(high - low, 1e-9)
    pictures = [[uri(i) for i in square(clip.images, _THUMB)] for clip in found.clips]
    panels = []
    for m, name in enumerate(found.models):
        shapes = []
        for c, clip in enumerate(found.clips):
            shade = charts.COLOURS[c % len(charts.COLOURS)]
            xy = _PAD + (_SIZE - 2 * _PAD) * (found.of(m, c) - low) / reach
            xy[:, 1] = _SIZE - xy[:, 1]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
            shapes.append(f'<polyline points="{path}" fill="none" stroke="{shade}" stroke-opacity=".6"/>')
            for t, (x, y) in enumerate(xy):
                told = f"{escape(clip.name)}, frame {t + 1} at {clip.seconds[t]:.2f} s"
                px, py = min(max(x + 8, 0), _SIZE - _THUMB), min(max(y - _THUMB - 8, 0), _SIZE - _THUMB)
                shapes.append(
                    f'<g tabindex="0" class="ez-point" aria-label="{told}"><title>{told}</title>'
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="{shade}" stroke="#222" stroke-width=".6"/>'
                    f'<text x="{x:.1f}" y="{y + 3:.1f}" text-anchor="middle">{t + 1}</text>'
                    f'<image href="{pictures[c][t]}" x="{px:.0f}" y="{py:.0f}" width="{_THUMB}" height="{_THUMB}"/></g>'
                )
        panels.append(
            f'<section><h3>{escape(name)}</h3><svg class="ez-plane" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
            f'aria-label="Frames under {escape(name)}">{"".join(shapes)}</svg></section>'
        )
    legend = "".join(
        f'<span><i style="background:{charts.COLOURS[c % len(charts.COLOURS)]}"></i>{escape(clip.name)}</span>'
        for c, clip in enumerate(found.clips)
    )
    trust = "too few points" if np.isnan(found.trustworthiness) else f"{found.trustworthiness:.2f}"
    rows = []
    for m, name in enumerate(found.models):
        for clip, s in zip(found.clips, found.motion[m], strict=True):
            still = s.frozen_variance + s.frozen_central_difference
            values = (s.variance, s.frozen_variance, s.central_difference, s.frozen_central_difference)
            total = s.variance + s.central_difference
            phantom = "no spread at all" if total < 1e-6 else f"{still / total:.0%}"
            rows.append([name, clip.name, *(f"{v:.4f}" for v in values), phantom])
    columns = ["Model", "Clip", "Var", "Var, frozen copy", "C", "C, frozen copy", "Phantom share"]
    same = [
        n
        for m, n in enumerate(found.models)
        if all(np.ptp(found.of(m, c), axis=0).max() < 1e-6 for c in range(len(found.clips)))
    ]
    note = "".join(f"<p>All frames of a clip are one point under {escape(n)}.</p>" for n in same)
    return (
        f"<p><b>{escape(found.method)}</b>, one fit for both models; {escape(found.difference)}. Trustworthiness "
        f'{trust} (1 is best). Numbers are frames in time order.</p><div class="ez-legend">{legend}</div>'
        f'<div class="ez-pair">{"".join(panels)}</div>{note}{table(columns, rows)}'
        "<p>Phantom share: how much of Var + C a frozen copy of the clip shows, in which nothing moves.</p>"
    )


def evidence(found: Evidence) -> str:
    """Verdicts and the table of probes."""
    verdicts = "".join(f"<li>{escape(v)}</li>" for v in found.verdicts)
    rows = [
        [
            name,
            p.variation,
            p.answer,
            f"{p.score:.1%}",
            f"{p.rank:.1f}",
            f"{p.variance:.4f}",
            f"{p.central_difference:.4f}",
            "other frames" if np.isnan(p.map_change) else f"{p.map_change:.1%}",
        ]
        for name, probes in found.probes.items()
        for p in probes
    ]
    columns = [
        "Model",
        "Frames",
        "Answer",
        "Score of its first answer",
        "Rank",
        "Var (unit)",
        "C (unit)",
        "Map changes",
    ]
    return f'<ul class="ez-verdict">{verdicts}</ul>{table(columns, rows)}'


def evidence_chart(found: Evidence) -> Figure:
    """Score of the first answer under each variation."""
    nan = float("nan")
    variations = [p.variation for p in next(iter(found.probes.values()))]
    series = {name: [(p.score, nan, nan) for p in probes] for name, probes in found.probes.items()}
    return charts.grouped(variations, series, title="What each model says of its first answer", axis_label="score, %")


def class_verdict(comparison: Comparison) -> str:
    """One sentence."""
    first, second = comparison.models
    d = comparison.overall
    return (
        f"<p><b>{escape(comparison.verdict)}</b> {escape(first)} is right on {d.first:.1%}, {escape(second)} on "
        f"{d.second:.1%} of {d.n} clips.</p>"
    )


def class_chart(comparison: Comparison) -> Figure:
    """The largest differences with their intervals."""
    bars = [(d.label, (d.difference, d.low, d.high)) for d in comparison.classes]
    return charts.differences(bars, title=f"{comparison.models[1]} minus {comparison.models[0]}", most=MOST)


def class_tables(comparison: Comparison) -> str:
    """Every class, and the confusions that were fixed and created."""
    first, second = comparison.models
    rows = [
        [
            d.label,
            str(d.n),
            f"{d.first:.0%}",
            f"{d.second:.0%}",
            f"{d.difference:+.0%}",
            f"{d.low:+.0%} to {d.high:+.0%}",
        ]
        for d in comparison.classes
    ]
    every = table(["Class", "Clips", first, second, "Difference", "95 % interval"], rows)
    changed = [["fixed", *map(str, row)] for row in comparison.fixed[:10]]
    changed += [["created", *map(str, row)] for row in comparison.created[:10]]
    confusions = table(["Confusion", "Class", "was taken for", "Clips"], changed)
    return f"<details><summary>Every class</summary>{every}</details><h3>Confusions</h3>{confusions}"


def family(analysis: Analysis, label: str, clip: str, accuracy: dict[str, dict[str, float]]) -> str:
    """A shipped clip out of distribution under both models, and the family's measured accuracy."""
    right = "".join(
        f"<li>{escape(r.name)} says “{escape(r.predictions[0].label)}” ({r.predictions[0].score:.0%})"
        f"{' – right' if r.predictions[0].label == label else ''}</li>"
        for r in analysis.results
    )
    rows = [
        [f"{v} ({KINDS.get(v, '')})", f"{a['top1']:.1%}", f"{a.get('within_pairs', float('nan')):.1%}", f"{a['n']:.0f}"]
        for v, a in accuracy.items()
    ]
    told = table(["Measured on this family", "Top-1", "Within pairs", "Clips"], rows) if rows else ""
    return f"<p>Sample {escape(clip)}: “{escape(label)}”.</p><ul>{right}</ul>{strip(analysis)}{told}"


def damaged(found: Damaged) -> str:
    """The damaged frames and both models' rankings."""
    frames = "".join(
        f'<img src="{uri(i)}" alt="frame {t + 1}">' for t, i in enumerate(square(found.clip.images, _THUMB))
    )
    ranked = "".join(ranking(name, "", predictions, shown=5) for name, predictions in found.predictions.items())
    return f'<div class="ez-frames">{frames}</div><div class="ez-pair">{ranked}</div>'


def timeline(found: Timeline, baseline: str, model: str) -> str:
    """Scores of the winning labels over time, one row a model, and a thumbnail with its heat for each window."""
    labels = list(dict.fromkeys([*found.labels(model), *found.labels(baseline)]))
    limit = max(float(np.percentile([m.heat.max() for m in found.moments], 95)), 1e-12)
    rows = []
    for name in dict.fromkeys((baseline, model)):
        for label in labels:
            cells = "".join(_moment_cell(m.start, m.predictions[name], label) for m in found.moments)
            rows.append(f"<tr><th>{escape(name)}: {escape(label)}</th>{cells}</tr>")
    thumbs = []
    for m in found.moments:
        picture = overlay(square(m.middle[None], _THUMB), m.heat[None], limit)[0]
        thumbs.append(
            f'<td><button type="button" data-second="{m.start:.2f}" aria-label="go to {m.start:.1f} seconds">'
            f'<img src="{uri(picture)}" alt=""><br>{m.start:.1f} s</button></td>'
        )
    return (
        f'<div class="ez-scroll"><table class="ez-time"><tr><th>{escape(model)}: attention</th>{"".join(thumbs)}</tr>'
        f"{''.join(rows)}</table></div>{scale('viridis', 'score 0 %', '100 %')}"
    )


def _moment_cell(second: float, predictions: list[Prediction], label: str) -> str:
    score = next(p.score for p in predictions if p.label == label)
    won = "ez-won" if predictions[0].label == label else ""
    ink = "#000" if score > 0.6 else "#fff"
    style = f"background:{colour(score, 'viridis')};color:{ink}"
    return f'<td class="{won}" data-second="{second:.2f}" style="{style}" title="{second:.1f} s">{score:.0%}</td>'


def live(found: dict[str, list[Prediction]]) -> str:
    """Both models' best names of the newest window."""
    parts = []
    for name, rows in found.items():
        bars = "".join(bar(p.label, p.score, f"{p.score:.0%}") for p in rows[:3])
        parts.append(f"<section><h3>{escape(name)}</h3>{bars}</section>")
    return f'<div class="ez-pair">{"".join(parts)}</div>'
