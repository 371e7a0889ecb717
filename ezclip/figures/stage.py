"""Data of the stage, an interactive clip player: frames as one JPEG, maps as base64, colour maps; and its HTML."""

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

FILM_FRAMES, FILM_SIDE = 96, 448  # maximum number of frames in a film, and their maximum long side in pixels
COLOUR_MAPS = ("inferno", "viridis", "turbo")
_STOPS = 64  # colours per colour map
_QUALITY = 75  # of JPEG


def film_indices(total: int) -> list[int]:
    """Indices of at most ``FILM_FRAMES`` evenly spaced frames of ``total``, including the first and the last."""
    return sorted({round(i) for i in np.linspace(0, total - 1, min(total, FILM_FRAMES))})


def film(frames: Frames | Clip) -> Document:
    """Frames tiled in one JPEG: {"picture": data URI, "columns", "width", "height", "seconds"}."""
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


def to_base64(values: np.ndarray) -> str:
    """Encode an array as little-endian float32 in C order, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


@cache
def colour_maps() -> list[Document]:
    """The selectable colour maps, as RGB values from low to high."""
    stops = np.linspace(0, 1, _STOPS)
    return [
        {"name": name, "colours": (255 * colormaps[name](stops)[:, :3]).astype(int).tolist()} for name in COLOUR_MAPS
    ]


def _template(name: str) -> str:
    return files("ezclip.figures").joinpath("templates", name).read_text("utf-8")


def script() -> str:
    """JavaScript of the component, which defines ``ezStage(root, hooks)``."""
    return _template("stage.js")


def style() -> str:
    """CSS of the component."""
    return _template("stage.css")


def element(document: Document) -> Markup:
    """Self-contained HTML of a stage, with its style, script and escaped data, for pages without a server."""
    environment = Environment(loader=PackageLoader("ezclip.figures"), autoescape=True)
    data = json.dumps(document).replace("<", "\\u003c")
    template = environment.get_template("stage.html")
    return Markup(template.render(style=Markup(style()), script=Markup(script()), data=Markup(data)))
