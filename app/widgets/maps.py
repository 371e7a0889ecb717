"""Rankings, maps over frames, their proof, and the temporal prompts, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from PIL import Image

from app.widgets.parts import bar, filled, scale, table, uri, warnings
from ezclip.figures.maps import CMAP, DIFFERENCE, difference_limit, square
from ezclip.studies.analysis import Analysis, ModelResult
from ezclip.studies.faithfulness import MapProof
from ezclip.types import Attribution, Prediction

if TYPE_CHECKING:
    from ezclip.explanation.temporal import TemporalView

SHOWN = 10
MOST = 500  # names in a ranking; tables to take away have all
_SIDE = 168
_THUMB = 44
KINDS = {
    "clip": "plain CLIP",
    "base": "adapters only",
    "motion": "adapters, motion loss",
    "prompts": "adapters and temporal prompts",
    "ezclip": "adapters, temporal prompts, motion loss",
}


def rankings(analysis: Analysis, before: Analysis | None = None) -> str:
    """What the two models say in a sentence, all best class names side by side, and what lies nearest in text.

    ``before`` is the last analysis; on the same clip, marks say how far a name has moved since.
    """
    same = before is not None and before.clip is analysis.clip
    old = {r.name: [p.label for p in r.predictions] for r in before.results} if before and same else {}
    ranked = "".join(ranking(r.name, r.variant, r.predictions, before=old.get(r.name)) for r in analysis.results)
    near = ", ".join(f"{escape(name)} <small>(cosine {cosine:.3f})</small>" for name, cosine in analysis.nearest)
    text = f"<p>Nearest in text to “{escape(analysis.target)}” for {escape(analysis.model.name)}: {near}.</p>"
    lead = f"<p><b>{escape(analysis.verdict)}</b></p>"
    return f'{warnings(analysis.warnings)}{lead}<div class="ez-pair">{ranked}</div>{text if near else ""}'


def ranking(
    name: str,
    variant: str,
    predictions: list[Prediction],
    shown: int = SHOWN,
    before: list[str] | None = None,
) -> str:
    """One model's best class names as bars; with their former order also how far they moved."""
    rows = []
    for rank, p in enumerate(predictions[:MOST]):
        up = before.index(p.label) - rank if before and p.label in before else 0
        moved = f" <small>{'▲' if up > 0 else '▼'} {abs(up)}</small>" if up else ""
        rows.append(bar(p.label, p.score, f"{p.score:.1%}{moved} <small>logit {p.logit:.1f}</small>"))
    more = len(predictions) - shown
    rest = f"<details><summary>and {more} more class names</summary>{''.join(rows[shown:])}</details>" * (more > 0)
    kind = f"<small>{escape(KINDS.get(variant, variant))}</small>"
    return f"<section><h2>{escape(name)} {kind}</h2>{''.join(rows[:shown])}{rest if more > 0 else ''}</section>"


def cards(found: list[dict[str, str]]) -> str:
    """What is known of each model."""
    return "".join(
        f'<table class="ez-table ez-card">{"".join(_entry(key, value) for key, value in card.items())}</table>'
        for card in found
    )


def _entry(key: str, value: str) -> str:
    return f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>"


def own_sentences(sentences: dict[str, str]) -> str:
    """The user's own sentences in use."""
    if not sentences:
        return ""
    return "Own sentences in use: " + "; ".join(f"{escape(k)} → “{escape(v)}”" for k, v in sentences.items())


def strip(analysis: Analysis) -> str:
    """Input frames and every model's map over them, on one colour scale; scrolls sideways on a small screen."""
    frames = [uri(image) for image in square(analysis.clip.images, _SIDE)]
    seconds = analysis.clip.seconds
    head = "".join(f'<td data-t="{t}">{s:.2f} s</td>' for t, s in enumerate(seconds))
    rows = [_frame_row("Input", frames, seconds)]
    rows += [_frame_row(r.name, frames, seconds, heat_uris(r.attribution, analysis.limit)) for r in analysis.results]
    bars = scale(CMAP, "0", f"{analysis.limit:.1e} per patch, one scale for all models; brighter is more")
    if (apart := analysis.difference) is not None:
        limit = difference_limit(apart)
        title = f"{analysis.model.name} minus {analysis.baseline.name}"
        rows.append(_frame_row(title, frames, seconds, _smooth((apart / limit + 1) / 2, DIFFERENCE)))
        bars += scale(DIFFERENCE, f"−{limit:.1e}: the baseline has more", f"+{limit:.1e}: the model has more")
    notes = " ".join(f"{r.name}: {r.attribution.note}" for r in analysis.results if r.attribution.note)
    return (
        f'<div class="ez-strip" style="--heat:{analysis.request.opacity}" tabindex="0" aria-label="Frames and maps">'
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{bars}"
        f"{f'<p>{escape(notes)}</p>' if notes else ''}"
    )


def _frame_row(title: str, frames: list[str], seconds: np.ndarray, heats: list[str] | None = None) -> str:
    cells = []
    for t, frame in enumerate(frames):
        what = f"{escape(title)} at {seconds[t]:.2f} s"
        heat = f'<img class="ez-heat" src="{heats[t]}" alt="">' if heats else ""
        cells.append(f'<td data-t="{t}"><div class="ez-cell"><img src="{frame}" alt="{what}">{heat}</div></td>')
    heading = escape(title).replace("/", "/<wbr>")
    return f"<tr><th>{heading}</th>{''.join(cells)}</tr>"


def heat_uris(attribution: Attribution, limit: float) -> list[str]:
    """The map of each frame as a picture."""
    return _smooth(attribution.heat / limit, CMAP)


def _smooth(values: np.ndarray, cmap: str) -> list[str]:
    found = []
    for frame in values:
        small = Image.fromarray(np.clip(frame, 0, 1).astype(np.float32))
        large = np.asarray(small.resize((_SIDE // 2, _SIDE // 2), Image.Resampling.BILINEAR))
        found.append(uri((colormaps[cmap](large)[..., :3] * 255).astype(np.uint8)))
    return found


def proof(analysis: Analysis, proofs: list[MapProof], *, doing: str = "") -> str:
    """How far to trust the maps: faithfulness, and the share of heat on what moves where that is known."""
    waiting = doing or "not yet measured"

    def gain(value: float | None) -> str:
        return waiting if value is None else f"{value:+.3f}"

    def share(value: float | None) -> str:
        return "no ground truth" if value is None else f"{value:.1%}"

    rows = [[p.name, gain(p.deletion), gain(p.insertion), share(p.moving), share(p.area)] for p in proofs]
    told = table(["Map of", "Deletion gain", "Insertion gain", "Heat on what moves", "Area that moves"], rows)
    text = (
        "Gains say whether the score of “" + escape(analysis.target) + "” really hangs on the bright patches: taking "
        "them away first (deletion) or putting them back first (insertion), against random orders. Above 0 the map "
        "beats chance."
    )
    return f'{told}<p class="ez-note">{text}</p>'


def temporal(analysis: Analysis, view: TemporalView | None, layer: int) -> str:
    """The T x T matrix with thumbnails on both axes, and who reads the prompts."""
    name = escape(analysis.model.name)
    if view is None:
        return f'<div class="ez-empty">{name} has no temporal prompts: its frames never meet.</div>'
    thumbs = [uri(image) for image in square(analysis.clip.images, _THUMB)]
    at = view.layers.index(layer) if layer else None
    matrix = view.influence if at is None else view.prompts[at]
    T = len(matrix)
    off = matrix[~np.eye(T, dtype=bool)]
    limit = max(float(off.max()) if T > 1 else 0.0, 1e-9)
    head = "".join(
        f'<th><img src="{u}" alt="frame {t + 1}"><br>{s:.2f} s</th>'
        for t, (u, s) in enumerate(zip(thumbs, analysis.clip.seconds, strict=True))
    )
    body = "".join(
        f'<tr><th><img src="{thumbs[t]}" alt="frame {t + 1}"> {analysis.clip.seconds[t]:.2f} s</th>'
        + "".join(_cell(matrix[t, u], limit, t == u) for u in range(T))
        + "</tr>"
        for t in range(T)
    )
    total = float(off.sum()) / T
    if at is None:
        what = (
            f"<p><b>{total:.2%}</b> of a frame's attention comes from other frames in {name}. Row: the frame whose "
            "class token looks. Column: the frame it drew on. The diagonal is near 1 by construction (each block keeps "
            "half of what it had), so it is printed in grey and the rest is coloured on its own scale.</p>"
        )
        reading = view.reading.mean(axis=0)
    else:
        what = (
            f"<p>Layer {layer} of {name}: <b>{total:.2%}</b> of a prompt's attention goes to the prompts of other "
            f"frames; an even row would give {(T - 1) / T:.1%}, {1 / T:.1%} to each frame. Row: the frame whose prompt "
            "looks. Column: the frame whose prompt it reads. A row sums to 1; the diagonal is printed in grey, the "
            "rest is coloured on its own scale.</p>"
        )
        reading = view.reading[at]
    frames = [uri(image) for image in square(analysis.clip.images, _SIDE)]
    most = max(float(reading.max()), 1e-9)
    row = _frame_row("Reads the prompt", frames, analysis.clip.seconds, _smooth(reading / most, CMAP))
    return (
        f'{what}<div class="ez-scroll"><table class="ez-matrix"><tr><th></th>{head}</tr>{body}</table></div>'
        f"{scale('viridis', '0', f'{limit:.2%} from another frame')}"
        "<h2>Who reads the prompt: share of each patch's attention that goes to its frame's prompt token"
        f" ({'mean of all layers' if at is None else f'layer {layer}'})</h2>"
        f'<div class="ez-strip" tabindex="0" style="--heat:0.6"><table><tbody>{row}</tbody></table></div>'
        f"{scale(CMAP, '0', f'{most:.1%}')}"
    )


def _cell(value: float, limit: float, own: bool) -> str:
    if own:
        return f'<td class="ez-own">{value:.2f}</td>'
    return f'<td style="{filled(value / limit)}">{value:.1%}</td>'


def spread_table(analysis: Analysis) -> str:
    """Var and C of all models, with those of the frozen copy beside them."""
    rows = [spread_row(r) for r in analysis.results]
    columns = ["Spread of the frames", "Var", "frozen copy", "unit vectors", "C", "frozen copy", "unit vectors"]
    return table(columns, rows) + (
        "<p>Var and C are on each model's own scale; compare two models by the columns on unit vectors. What the "
        "frozen copy shows is phantom motion: spread that is there when nothing moves.</p>"
    )


def spread_row(result: ModelResult) -> list[str]:
    """Name and the six numbers."""
    m = result.motion
    values = (
        *(m.variance, m.frozen_variance, m.variance_unit),
        *(m.central_difference, m.frozen_central_difference, m.central_difference_unit),
    )
    return [f"{result.name} ({m.reading} reading)", *(f"{v:.4f}" for v in values)]
