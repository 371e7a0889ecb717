"""Results over many clips or windows: families, time lines and the camera."""

from collections.abc import Sequence

from PIL import Image

from app import texts
from app.html.pieces import render, source, uris
from ezclip.checkpoints.cards import STATIC_SHEET
from ezclip.data.tabletop.classes import LABELS
from ezclip.data.tabletop.generate import EXAMPLE, example_pictures
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.figures.maps import square
from ezclip.studies.live import LiveScores
from ezclip.studies.timeline import Timeline, evenly, thumbnail
from ezclip.types import Document, Preprocessing
from ezclip.video.read import read_clip

MOST_WINDOWS = 200
GALLERY = ("base", "ezclip")
SHIPPED = Preprocessing(96)  # of the shipped models
_CARD = 160
Entries = Sequence[tuple[str, dict[str, str | None]]]  # paths of shipped clips with their ``sample_entry``


def gallery(entries: Entries, accuracy: Document, static: Document) -> str:
    """A button for each shipped clip out of distribution, then one for each version that tests for static bias.

    Args:
        entries: of the clips.
        accuracy: variant -> family -> {"top1", "n"}; the cards have those of baseline and model.
        static: ``measured_static``; the cards have all its variants.
    """
    cards = []
    for row, (path, entry) in enumerate(entries):
        family, middle = str(entry["family"]), read_clip(path, lambda total: [total // 2]).images
        accuracies = [(v, accuracy[v][family]["top1"]) for v in GALLERY if family in accuracy.get(v, {})]
        pictures = uris(square(middle, _CARD, SHIPPED))
        cards.append((row, *pictures, family.replace("_", " "), entry["label"], accuracies))
    versions = _versions(static, len(cards)) if static else []
    return render("gallery", cards=cards, versions=versions, classes=len(LABELS), label=EXAMPLE[0])


def _versions(static: Document, first: int) -> list[tuple]:
    """A card for each version, with rows from ``first``, and one without a row for the best single frame."""
    pictures = example_pictures(Image.open(STATIC_SHEET))
    shown = dict(zip(pictures, uris(pictures.values()), strict=True))
    counts = next(iter(static.values()))["versions"]
    cards = []
    for row, version in enumerate(VERSIONS, first):
        text = f"{texts.STATIC_BIAS[version]} {counts[version]['n']} clips."
        accuracies = [(variant, found["versions"][version]["top1"]) for variant, found in static.items()]
        cards.append((row, shown[version], version.replace("_", " "), text, accuracies))
    text = f"{texts.BEST_FRAME} {counts['original']['n']} clips."
    best = [(variant, found["single_frames"]["any_frame"]) for variant, found in static.items()]
    return [*cards, (None, shown["original"], "best single frame", text, best)]


def timeline(found: Timeline, film: str = "") -> str:
    """Scores of the winning labels over time, one row a model, and a thumbnail with its heat for each window.

    ``film`` is the video's digest: a stage that plays it is linked with the windows.
    """
    models = found.models[::-1]  # the model before its baseline
    labels = list(dict.fromkeys(label for name in models for label in found.winners(name)))
    limit, moments = found.heat_limit, evenly(found.moments, MOST_WINDOWS)
    rows = []
    for name in found.models:
        best = [m.ranked(name, 1)[0].label for m in moments]
        for label in labels:
            cells = [(m.start, m.score(name, label), won == label) for m, won in zip(moments, best, strict=True)]
            rows.append((f"{name}: {label}", cells))
    pictures = uris(thumbnail(m, limit) for m in moments)
    thumbs = [(m.start, m.end, picture) for m, picture in zip(moments, pictures, strict=True)]
    left = len(found.moments) if len(moments) < len(found.moments) else 0
    return render("timeline", film=film, caveat=found.caveat, model=models[0], rows=rows, thumbs=thumbs, left=left)


def live(found: LiveScores) -> str:
    """Both models' best names of the newest window, and of what they were made."""
    return source(found) + render("live", predictions=found.predictions, caveat=found.caveat)
