"""Motion evidence, classes, families, damage and time lines, as HTML and figures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from app.actions.evidence import Evidence
from app.actions.long_video import Timeline
from app.actions.ood import Damaged
from app.widgets.maps import KINDS, ranking, strip
from app.widgets.parts import bar, drawn, file_uri, filled, scale, table, uri
from ezclip.evaluation.analysis import Analysis
from ezclip.evaluation.classwise import Comparison
from ezclip.evaluation.report import Picture
from ezclip.figures import charts
from ezclip.figures.maps import overlay, square
from ezclip.types import Prediction

if TYPE_CHECKING:
    from ezclip.evaluation.class_study import ClassStudy

_THUMB = 96
MOST = 20


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
    from ezclip.evaluation.evidence import scores_chart

    return scores_chart(found.probes)


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
    return f"<details><summary>Every class</summary>{every}</details><h2>Confusions</h2>{confusions}"


def class_pictures(study: ClassStudy) -> str:
    """Confusion matrices of both models, and for shipped results the map of videos."""
    parts = [
        *((p.title, drawn(p.figure)) for p in study.confusions() if isinstance(p, Picture)),
        *((_title(f), file_uri(f)) for f in study.pictures),
    ]
    figures = "".join(
        f'<figure><img src="{source}" alt="{escape(title)}"><figcaption>{escape(title)}</figcaption></figure>'
        for title, source in parts
    )
    return (
        f'<details><summary>Confusion matrices</summary><div class="ez-pair">{figures}</div></details>' if parts else ""
    )


def _title(file: Path) -> str:
    kind, _, name = file.stem.partition("_")
    return f"Confusions of {name}" if kind == "confusion" else "Videos of the classes that changed most"


def class_clip(analysis: Analysis, label: str) -> str:
    """The clip that was chosen in the map of videos: what both models say, and their maps."""
    return f"<h2>{escape(analysis.clip.name)}: “{escape(label)}”</h2>{_answers(analysis, label)}{strip(analysis)}"


def family(analysis: Analysis, label: str, clip: str, accuracy: dict[str, dict[str, float]]) -> str:
    """A shipped clip out of distribution under both models, and the family's measured accuracy."""
    rows = [
        [f"{v} ({KINDS.get(v, '')})", f"{a['top1']:.1%}", f"{a.get('within_pairs', float('nan')):.1%}", f"{a['n']:.0f}"]
        for v, a in accuracy.items()
    ]
    told = table(["Measured on this family", "Top-1", "Within pairs", "Clips"], rows) if rows else ""
    return f"<p>Sample {escape(clip)}: “{escape(label)}”.</p>{_answers(analysis, label)}{strip(analysis)}{told}"


def _answers(analysis: Analysis, label: str) -> str:
    rows = "".join(
        f"<li>{escape(r.name)} says “{escape(r.predictions[0].label)}” ({r.predictions[0].score:.0%})"
        f"{' – right' if r.predictions[0].label == label else ''}</li>"
        for r in analysis.results
    )
    return f"<ul>{rows}</ul>"


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
    return (
        f'<td class="{won}" data-second="{second:.2f}" style="{filled(score)}" title="{second:.1f} s">{score:.0%}</td>'
    )


def live(found: dict[str, list[Prediction]]) -> str:
    """Both models' best names of the newest window."""
    parts = []
    for name, rows in found.items():
        bars = "".join(bar(p.label, p.score, f"{p.score:.0%}") for p in rows[:3])
        parts.append(f"<section><h2>{escape(name)}</h2>{bars}</section>")
    return f'<div class="ez-pair">{"".join(parts)}</div>'
