"""Motion evidence, classes, families, damage and time lines, as HTML and figures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from app.actions.evidence import Evidence
from app.actions.long_video import Timeline
from app.widgets.maps import KINDS, ranking, strip
from app.widgets.parts import bar, drawn, filled, scale, table, uri
from ezclip.figures.maps import square
from ezclip.figures.report import Picture
from ezclip.studies.analysis import Analysis
from ezclip.studies.corruption import Damaged
from ezclip.types import Prediction
from ezclip.video.decode import read_clip

if TYPE_CHECKING:
    from ezclip.studies.classes import ClassStudy
    from ezclip.studies.timeline import Moment

_THUMB = 96
_CARD = 160
MOST_CONFUSIONS = 10
MOST_WINDOWS = 200
GALLERY = ("base", "ezclip")


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
    """Everything that was measured, as bars."""
    from ezclip.studies.motion import probes_chart

    return probes_chart(found.probes)


def class_verdict(study: ClassStudy) -> str:
    """What was found, in a sentence or three."""
    return f"<p><b>{escape(study.verdict)}</b></p>"


def class_chart(study: ClassStudy) -> Figure:
    """The largest gains and losses with their intervals."""
    from ezclip.evaluation.summary import differences_chart

    assert study.comparison is not None
    return differences_chart(study.comparison)


def class_bars(study: ClassStudy) -> Figure:
    """Top-1 of each class under each model."""
    from ezclip.evaluation.summary import classes_chart

    return classes_chart(study.evaluations)


def class_tables(study: ClassStudy) -> str:
    """Every class, and the confusions that were fixed and created."""
    if study.comparison is None:
        known = study.model.report()["per_class"]
        rows = [[label, str(row["n"]), f"{row['top1']:.0%}"] for label, row in known.items()]
        return _folded("Every class", table(["Class", "Clips", study.model.model], rows))
    first, second = study.comparison.models
    rows = [
        [
            d.label,
            str(d.n),
            f"{d.first:.0%}",
            f"{d.second:.0%}",
            f"{d.difference:+.0%}",
            f"{d.low:+.0%} to {d.high:+.0%}",
        ]
        for d in study.comparison.classes
    ]
    every = table(["Class", "Clips", first, second, "Difference", "95 % interval"], rows)
    changed = [["fixed", *map(str, row)] for row in study.comparison.fixed[:MOST_CONFUSIONS]]
    changed += [["created", *map(str, row)] for row in study.comparison.created[:MOST_CONFUSIONS]]
    confusions = table(["Confusion", "Class", "was taken for", "Clips"], changed)
    return f"{_folded('Every class', every)}<h2>Confusions fixed and created by {escape(second)}</h2>{confusions}"


def class_pictures(study: ClassStudy) -> str:
    """The confusion matrix of each model."""
    parts = [(part.title, drawn(part.figure)) for part in study.confusions() if isinstance(part, Picture)]
    figures = "".join(
        f'<figure><img src="{source}" alt="{escape(title)}"><figcaption>{escape(title)}</figcaption></figure>'
        for title, source in parts
    )
    return _folded("Confusion matrices", f'<div class="ez-pair">{figures}</div>')


def _folded(title: str, html: str) -> str:
    return f"<details><summary>{title}</summary>{html}</details>"


def opened_clip(analysis: Analysis, label: str) -> str:
    """A labelled clip: what both models say, and their maps."""
    return f"<h2>{escape(analysis.clip.name)}: “{escape(label)}”</h2>{_answers(analysis, label)}{strip(analysis)}"


def gallery(entries: list[tuple[str, dict[str, str | None]]], accuracy: dict[str, dict[str, Any]]) -> str:
    """A button for each shipped clip out of distribution, with what baseline and model reach on its family.

    Args:
        entries: paths, and what ``sample_entry`` says of them.
        accuracy: variant -> family -> {"top1", "n"}.
    """
    cards = []
    for row, (path, entry) in enumerate(entries):
        family = str(entry["family"])
        picture = uri(square(read_clip(path, lambda total: [total // 2]).images, _CARD)[0])
        bars = "".join(
            bar(variant, families[family]["top1"], f"{families[family]['top1']:.0%}")
            for variant, families in accuracy.items()
            if variant in GALLERY and family in families
        )
        cards.append(
            f'<button type="button" class="ez-choice" data-row="{row}"><img src="{picture}" alt="">'
            f"<b>{escape(family.replace('_', ' '))}</b><small>{escape(str(entry['label']))}</small>{bars}</button>"
        )
    return f'<div class="ez-gallery">{"".join(cards)}</div>'


def family(name: str, accuracy: dict[str, dict[str, float]]) -> str:
    """The measured accuracy of all shipped models on a family."""
    rows = [
        [f"{v} ({KINDS.get(v, '')})", f"{a['top1']:.1%}", f"{a.get('within_pairs', float('nan')):.1%}", f"{a['n']:.0f}"]
        for v, a in accuracy.items()
    ]
    return table([f"Measured on {name.replace('_', ' ')}", "Top-1", "Within pairs", "Clips"], rows) if rows else ""


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


def timeline(found: Timeline) -> str:
    """Scores of the winning labels over time, one row a model, and a thumbnail with its heat for each window."""
    from ezclip.studies.timeline import evenly, heat_limit, thumbnail, winners

    baseline, model = found.request.baseline, found.request.model
    labels = list(dict.fromkeys([*winners(found.moments, model), *winners(found.moments, baseline)]))
    limit, moments = heat_limit(found.moments), evenly(found.moments, MOST_WINDOWS)
    rows = []
    for name in dict.fromkeys((baseline, model)):
        for label in labels:
            cells = "".join(_moment_cell(m, name, label) for m in moments)
            rows.append(f"<tr><th>{escape(name)}: {escape(label)}</th>{cells}</tr>")
    thumbs = [
        f'<td><button type="button" data-second="{m.start:.2f}" aria-label="go to {m.start:.1f} seconds">'
        f'<img src="{uri(thumbnail(m, limit))}" alt=""><br>{m.start:.1f} s</button></td>'
        for m in moments
    ]
    left = len(found.moments) - len(moments)
    note = f"<p>{len(moments)} of {len(found.moments)} windows are drawn; the file has all.</p>" if left else ""
    return (
        f'<div class="ez-scroll"><table class="ez-time"><tr><th>{escape(model)}: attention</th>{"".join(thumbs)}</tr>'
        f"{''.join(rows)}</table></div>{note}{scale('viridis', 'score 0 %', '100 %')}"
    )


def _moment_cell(moment: Moment, model: str, label: str) -> str:
    score, second = moment.score(model, label), moment.start
    won = "ez-won" if moment.ranked(model, 1)[0].label == label else ""
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
