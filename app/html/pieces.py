"""The template environment with its filters, small pieces of HTML, and pictures as data URIs."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from matplotlib import colormaps
from PIL import Image

from ezclip.figures.maps import crop_to_input, overlay
from ezclip.parameters import values_of
from ezclip.progress import Progress
from ezclip.studies.declaration import Study
from ezclip.studies.live import ScoreLive
from ezclip.types import Clip, Preprocessing
from ezclip.video.read import read_clip

STRIP_FRAMES, STRIP_SIDE = 8, 96  # of a thumbnail that plays on hover; the side in pixels
_THUMB = 48  # side in pixels of a clip's picture in the header of a result
BRIGHT = 0.179  # luminance above which black text has more contrast than white


def uris(images: Iterable[np.ndarray]) -> list[str]:
    """Pictures, uint8 (H, W, 3) each, as data URIs."""
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=85)
        encoded.append(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}")
    return encoded


def film_strip(images: np.ndarray) -> str:
    """Evenly spaced frames of (n, H, W, 3), side by side, as a data URI."""
    chosen = images[np.linspace(0, len(images) - 1, STRIP_FRAMES).round().astype(int)]
    return uris([np.concatenate(crop_to_input(chosen, STRIP_SIDE, Preprocessing(STRIP_SIDE)), axis=1)])[0]


def heat_uris(values: np.ndarray, cmap: str, side: int) -> list[str]:
    """Maps (T, grid, grid) in [0, 1] as pictures."""
    blank = np.zeros((len(values), side, side, 3), np.uint8)
    return uris(overlay(blank, values, limit=1.0, opacity=1.0, cmap=cmap))


def _colour(value: float, cmap: str) -> str:
    red, green, blue = (int(255 * c) for c in colormaps[cmap](float(np.clip(value, 0, 1)))[:3])
    return f"rgb({red},{green},{blue})"


def _gradient(cmap: str) -> str:
    return ", ".join(_colour(v, cmap) for v in np.linspace(0, 1, 9))


def _cell_style(value: float) -> str:
    """CSS of a cell coloured by a value in [0, 1], with black or white text, whichever has more contrast (WCAG)."""
    rgb = np.array(colormaps["viridis"](float(np.clip(value, 0, 1)))[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ink = "#000" if linear @ (0.2126, 0.7152, 0.0722) > BRIGHT else "#fff"
    return f"background:{_colour(value, 'viridis')};color:{ink}"


def _is_numeric(text: Any) -> bool:
    text = str(text)
    return text[:1].isdigit() or text[:2].lstrip("+-−")[:1].isdigit()


_ENVIRONMENT = Environment(loader=PackageLoader("app.html"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {
    "gradient": _gradient,
    "cell_style": _cell_style,
    "percent": lambda value, digits=1: f"{value:.{digits}%}",
    "breakable": lambda text: escape(text).replace("/", Markup("/<wbr>")),
}
_ENVIRONMENT.tests["numeric"] = _is_numeric


def render(template: str, **values: Any) -> str:
    """Render a template."""
    return _ENVIRONMENT.get_template(f"{template}.html").render(**values)


def asset(name: str) -> str:
    """The text of a script or style sheet in the folder of the templates."""
    return (Path(__file__).parent / "templates" / name).read_text("utf-8")


def _macro(name: str, *arguments: Any) -> str:
    return str(getattr(_ENVIRONMENT.get_template("macros.html").module, name)(*arguments))


def empty(text: str) -> str:
    """A placeholder for a result."""
    return _macro("empty", text)


def progress(step: Progress) -> str:
    """A progress bar with its message."""
    return render("progress", step=step)


def busy(text: str) -> str:
    """The message of a running job, as one line."""
    return f'<span class="ez-busy">{escape(text)}</span>'


def outdated(changed: str, advice: str = "Press Analyse.") -> str:
    """A note that an input changed after the results, with a button that runs again if there is no advice."""
    again = "" if advice else '<button type="button" class="ez-button ez-again">Run again</button>'
    return f'<span class="ez-outdated">Out of date: {escape(changed)} changed. {escape(advice)}{again}</span>'


def source(result: Any) -> str:
    """The inputs of a result: its clips with one picture each, class names and models; empty without a clip."""
    study = getattr(result, "study", None)
    values = values_of(study) if isinstance(study, Study) else {}
    paths = [path for path in (values.get("clip"), *values.get("clips", ())) if path]
    if not isinstance(study, Study) or not (paths or isinstance(study, ScoreLive)):
        return ""
    parts = [", ".join(Path(path).name for path in paths) or "camera"]
    if "labels" in values:
        names = study.user_labels()[0]
        parts.append(
            f"{len(names)} class names" if len(names) > 3 else ", ".join(names) or "the model's own class names"
        )
    parts.append(" against ".join(study.models()[::-1]))
    clips = [*getattr(result, "clips", ()), getattr(result, "clip", None)]
    frames = {clip.name: clip.images for clip in clips if isinstance(clip, Clip)}
    pictures = []
    for path in paths:
        images = frames.get(Path(path).name)
        images = read_clip(path, lambda total: [total // 2]).images if images is None else images
        pictures += [*crop_to_input(images[[len(images) // 2]], _THUMB, Preprocessing(_THUMB))]
    return render("source", parts=parts, pictures=uris(pictures))


def verdict(text: str, warnings: list[str]) -> str:
    """A verdict, and warnings below it."""
    return f"<p><b>{escape(text)}</b></p>{_macro('warnings', warnings)}"
