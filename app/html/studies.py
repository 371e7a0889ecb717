"""Results over many clips or windows: families, time lines and the camera."""

from collections.abc import Sequence

from app.html.pieces import render, uris
from ezclip.figures.maps import square
from ezclip.studies.live import LiveScores
from ezclip.studies.timeline import Timeline, evenly, thumbnail
from ezclip.types import Document, Preprocessing
from ezclip.video.read import read_clip

MOST_WINDOWS = 200
GALLERY = ("base", "ezclip")
SHIPPED = Preprocessing(96)  # of the shipped models
_CARD = 160


def gallery(entries: Sequence[tuple[str, dict[str, str | None]]], accuracy: Document) -> str:
    """A button for each shipped clip out of distribution, with the accuracies of baseline and model on its family.

    ``entries`` are paths with their ``sample_entry``; ``accuracy`` is variant -> family -> {"top1", "n"}.
    """
    cards = []
    for path, entry in entries:
        family, middle = str(entry["family"]), read_clip(path, lambda total: [total // 2]).images
        accuracies = [(v, accuracy[v][family]["top1"]) for v in GALLERY if family in accuracy.get(v, {})]
        pictures = uris(square(middle, _CARD, SHIPPED))
        cards.append((*pictures, family.replace("_", " "), entry["label"], accuracies))
    return render("gallery", cards=cards)


def timeline(found: Timeline) -> str:
    """Scores of the winning labels over time, one row a model, and a thumbnail with its heat for each window."""
    models = found.models[::-1]  # the model before its baseline
    labels = list(dict.fromkeys(label for name in models for label in found.winners(name)))
    limit, moments = found.heat_limit, evenly(found.moments, MOST_WINDOWS)
    rows = []
    for name in found.models:
        best = [m.ranked(name, 1)[0].label for m in moments]
        for label in labels:
            cells = [(m.start, m.score(name, label), won == label) for m, won in zip(moments, best, strict=True)]
            rows.append((f"{name}: {label}", cells))
    thumbs = list(zip([m.start for m in moments], uris(thumbnail(m, limit) for m in moments), strict=True))
    left = len(found.moments) if len(moments) < len(found.moments) else 0
    return render("timeline", model=models[0], rows=rows, thumbs=thumbs, left=left)


def live(found: LiveScores) -> str:
    """Both models' best names of the newest window."""
    return render("live", predictions=found.predictions)
