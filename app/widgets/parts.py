"""Small pieces of HTML; every text that comes from the user is escaped here."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from ezclip.progress import Step

BRIGHT = 0.179  # luminance above which black is read more easily than white


def empty(text: str) -> str:
    """What stands where nothing has been computed yet."""
    return f'<div class="ez-empty">{escape(text)}</div>'


def warnings(texts: list[str]) -> str:
    """Warnings above the results."""
    return "".join(f'<div class="ez-warning">Note: {escape(text)}</div>' for text in texts)


def progress(step: Step) -> str:
    """A bar with what is being done."""
    return (
        f'<div class="ez-progress" role="status">{escape(step.doing)} …<div class="ez-bar">'
        f'<div style="width:{100 * step.share:.0f}%"></div></div></div>'
    )


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table that scrolls sideways; cells are escaped."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="ez-scroll"><table class="ez-table"><thead><tr>{head}</tr></thead>{body}</table></div>'


def _cell(text: str) -> str:
    number = text[:1].isdigit() or text[:2].lstrip("+-−")[:1].isdigit()
    return f"<td{' class=ez-n' if number else ''}>{escape(text)}</td>"


def uri(image: Image.Image | np.ndarray, kind: str = "JPEG") -> str:
    """A picture as a data address."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def drawn(figure: Figure) -> str:
    """A figure as a data address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def colour(value: float, cmap: str) -> str:
    """CSS colour of a value in [0, 1]."""
    red, green, blue = (int(255 * c) for c in colormaps[cmap](float(np.clip(value, 0, 1)))[:3])
    return f"rgb({red},{green},{blue})"


def filled(value: float) -> str:
    """CSS of a cell coloured by a value in [0, 1], in black or white ink, whichever has more contrast (WCAG)."""
    shown = np.array(colormaps["viridis"](float(np.clip(value, 0, 1)))[:3])
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    ink = "#000" if linear @ (0.2126, 0.7152, 0.0722) > BRIGHT else "#fff"
    return f"background:{colour(value, 'viridis')};color:{ink}"


def scale(cmap: str, low: str, high: str) -> str:
    """A colour bar with what stands at its ends."""
    stops = ", ".join(colour(v, cmap) for v in np.linspace(0, 1, 9))
    return (
        f'<div class="ez-scale"><span>{escape(low)}</span>'
        f'<div style="background:linear-gradient(90deg, {stops})"></div><span>{escape(high)}</span></div>'
    )


def bar(label: str, value: float, text: str) -> str:
    """A named bar; value in [0, 1]."""
    return (
        f'<div class="ez-row"><div class="ez-name"><span>{escape(label)}</span>'
        f'<span class="ez-number">{text}</span></div>'
        f'<div class="ez-bar"><div style="width:{100 * value:.2f}%"></div></div></div>'
    )
