"""What the stage is drawn from: a film as one picture, maps as text, colour maps; and a page that holds a stage."""

from __future__ import annotations

import base64
import io
import json
from functools import cache
from importlib.resources import files
from math import ceil, sqrt

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib import colormaps
from PIL import Image

from ezclip.types import Clip, Document, Frames

FILM_FRAMES, FILM_SIDE = 96, 448  # most frames of a film, and the longest side of one in pixels
COLOUR_MAPS = ("inferno", "viridis", "turbo")
_STOPS = 64
_QUALITY = 75


def film_indices(total: int) -> list[int]:
    """At most ``FILM_FRAMES`` of ``total`` frames, evenly spaced, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, total - 1, min(total, FILM_FRAMES))})


def film(frames: Frames | Clip) -> Document:
    """Frames side by side in one JPEG: {"picture": data address, "columns", "width", "height", "seconds"}."""
    count, height, width = frames.images.shape[:3]
    columns = ceil(sqrt(count * height / width))
    sheet = np.zeros((ceil(count / columns) * height, columns * width, 3), np.uint8)
    for i, image in enumerate(frames.images):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = image
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "JPEG", quality=_QUALITY)
    return {
        "picture": f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        "columns": columns,
        "width": width,
        "height": height,
        "seconds": [round(float(s), 4) for s in frames.seconds],
    }


def packed(values: np.ndarray) -> str:
    """An array as little-endian float32 in base64, in C order."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


@cache
def colour_maps() -> list[Document]:
    """The colour maps that can be chosen, as RGB values from low to high."""
    stops = np.linspace(0, 1, _STOPS)
    return [
        {"name": name, "colours": (255 * colormaps[name](stops)[:, :3]).astype(int).tolist()} for name in COLOUR_MAPS
    ]


def _template(name: str) -> str:
    return files("ezclip.figures").joinpath("templates", name).read_text("utf-8")


def script() -> str:
    """The component: defines ``ezStage(root, hooks)``."""
    return _template("stage.js")


def style() -> str:
    """Its style sheet."""
    return _template("stage.css")


def element(document: Document) -> Markup:
    """A stage as HTML with its style, script and data inside, for pages without a server; text is escaped."""
    environment = Environment(loader=PackageLoader("ezclip.figures"), autoescape=True)
    data = json.dumps(document).replace("<", "\\u003c")
    template = environment.get_template("stage.html")
    return Markup(template.render(style=Markup(style()), script=Markup(script()), data=Markup(data)))
