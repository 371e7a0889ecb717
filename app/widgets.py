"""Values as HTML: every text that comes from the user is escaped here."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from matplotlib import colormaps
from PIL import Image

from app.actions import Analysis, ModelResult
from ezclip.figures.maps import CMAP, square
from ezclip.types import Attribution

SHOWN = 10
_SIDE = 168


def empty(text: str) -> str:
    """What stands where nothing has been computed yet."""
    return f'<div class="ez-empty">{escape(text)}</div>'


def warnings(texts: list[str]) -> str:
    """Warnings above the results."""
    return "".join(f'<div class="ez-warning">Note: {escape(text)}</div>' for text in texts)


def rankings(analysis: Analysis) -> str:
    """Both models' best class names side by side."""
    pair = "".join(_ranking(result) for result in (analysis.baseline, analysis.model))
    return f'{warnings(analysis.warnings)}<div class="ez-pair">{pair}</div>'


def _ranking(result: ModelResult) -> str:
    rows = []
    for p in result.predictions[:SHOWN]:
        rows.append(
            '<div class="ez-row"><div class="ez-name">'
            f"<span>{escape(p.label)}</span>"
            f'<span class="ez-number">{p.score:.1%} <small>logit {p.logit:.1f}</small></span></div>'
            f'<div class="ez-bar"><div style="width:{100 * p.score:.2f}%"></div></div></div>'
        )
    more = len(result.predictions) - SHOWN
    rest = f'<div class="ez-row"><small>and {more} more class names below these</small></div>' if more > 0 else ""
    return f"<section><h3>{escape(result.name)} {_kind(result.variant)}</h3>{''.join(rows)}{rest}</section>"


def _kind(variant: str) -> str:
    kinds = {
        "clip": "plain CLIP",
        "base": "adapters only",
        "motion": "adapters, motion loss",
        "prompts": "adapters and temporal prompts",
        "ezclip": "adapters, temporal prompts, motion loss",
    }
    return f"<small>{kinds.get(variant, variant)}</small>"


def strip(analysis: Analysis, opacity: float) -> str:
    """Input frames and both models' maps over them, on one colour scale; scrolls sideways on a small screen."""
    frames = [_uri(Image.fromarray(image), "JPEG") for image in square(analysis.clip.images, _SIDE)]
    seconds = analysis.clip.seconds
    head = "".join(f"<td>{s:.2f} s</td>" for s in seconds)
    rows = [_frame_row("Input", frames, seconds)]
    rows += [
        _frame_row(r.name, frames, seconds, _heat_uris(r.attribution, analysis.limit))
        for r in (analysis.baseline, analysis.model)
    ]
    stops = ", ".join(_css_colour(v) for v in np.linspace(0, 1, 9))
    scale = (
        f'<div class="ez-scale"><span>0</span><div style="background:linear-gradient(90deg, {stops})"></div>'
        f"<span>{analysis.limit:.1e} share of the attention per patch, one scale for both models; brighter is more"
        "</span></div>"
    )
    body = "".join(rows)
    return (
        f'<div class="ez-strip" id="ez-strip" style="--heat:{opacity}" tabindex="0" aria-label="Frames and maps">'
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>{scale}"
    )


def _frame_row(title: str, frames: list[str], seconds: np.ndarray, heats: list[str] | None = None) -> str:
    cells = []
    for t, frame in enumerate(frames):
        what = f"{escape(title)} at {seconds[t]:.2f} s"
        heat = f'<img class="ez-heat" src="{heats[t]}" alt="">' if heats else ""
        cells.append(f'<td><div class="ez-cell"><img src="{frame}" alt="{what}">{heat}</div></td>')
    heading = escape(title).replace("/", "/<wbr>")
    return f"<tr><th>{heading}</th>{''.join(cells)}</tr>"


def _heat_uris(attribution: Attribution, limit: float) -> list[str]:
    uris = []
    for heat in attribution.heat:
        values = Image.fromarray(np.clip(heat / limit, 0, 1).astype(np.float32))
        smooth = np.asarray(values.resize((_SIDE // 2, _SIDE // 2), Image.Resampling.BILINEAR))
        colour = (colormaps[CMAP](smooth)[..., :3] * 255).astype(np.uint8)
        uris.append(_uri(Image.fromarray(colour), "JPEG"))
    return uris


def _css_colour(value: float) -> str:
    red, green, blue = (int(255 * c) for c in colormaps[CMAP](value)[:3])
    return f"rgb({red},{green},{blue})"


def _uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def spread_table(analysis: Analysis) -> str:
    """Var and C of both models, with those of the frozen copy beside them."""
    rows = []
    for r in (analysis.baseline, analysis.model):
        m = r.motion
        values = (
            *(m.variance, m.frozen_variance, m.variance_unit),
            *(m.central_difference, m.frozen_central_difference, m.central_difference_unit),
        )
        cells = "".join(f"<td>{v:.4f}</td>" for v in values)
        rows.append(f"<tr><td>{escape(r.name)} <small>{m.reading} reading</small></td>{cells}</tr>")
    return (
        f'<div class="ez-scroll"><table class="ez-table"><thead><tr><th>Spread of the frames</th>'
        "<th>Var</th><th>frozen copy</th><th>unit vectors</th><th>C</th><th>frozen copy</th><th>unit vectors</th>"
        "</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        "<p>Var and C are on each model's own scale; compare two models by the columns on unit vectors.</p>"
    )
