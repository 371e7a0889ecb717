"""Results over many clips or windows: families, time lines, and the camera."""

from collections.abc import Sequence

from PIL import Image

from app import texts
from app.html.pieces import render, source, uris
from ezclip.checkpoints.cards import STATIC_SHEET
from ezclip.data.tabletop.classes import LABELS
from ezclip.data.tabletop.generate import EXAMPLE, example_pictures
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.figures.maps import crop_to_input
from ezclip.studies.live import LiveScores
from ezclip.studies.timeline import Timeline, subsample, thumbnail
from ezclip.types import Document, Preprocessing
from ezclip.video.read import read_clip

MAX_WINDOWS = 200
GALLERY = ("base", "ezclip")
SHIPPED = Preprocessing(96)  # of the shipped models
_CARD = 160
Entries = Sequence[tuple[str, dict[str, str | None]]]  # paths of shipped clips, each with its ``sample_entry``


def gallery(entries: Entries, accuracy: Document, static: Document) -> str:
    """One button per shipped out-of-distribution clip, then one per version that tests for static bias.

    Args:
        entries: of the clips.
        accuracy: variant -> family -> {"top1", "n"}; the cards list those in ``GALLERY``.
        static: see ``shipped_static_bias``; the cards list all its variants.
    """
    cards = []
    for row, (path, entry) in enumerate(entries):
        family, middle = str(entry["family"]), read_clip(path, lambda total: [total // 2]).images
        accuracies = [(v, accuracy[v][family]["top1"]) for v in GALLERY if family in accuracy.get(v, {})]
        pictures = uris(crop_to_input(middle, _CARD, SHIPPED))
        cards.append((row, *pictures, family.replace("_", " "), entry["label"], accuracies))
    versions = _versions(static, len(cards)) if static else []
    return render("gallery", cards=cards, versions=versions, classes=len(LABELS), label=EXAMPLE[0])


def _versions(static: Document, first: int) -> list[tuple]:
    """One card per version, with rows from ``first``, and one without a row for the best single frame."""
    pictures = example_pictures(Image.open(STATIC_SHEET))
    encoded = dict(zip(pictures, uris(pictures.values()), strict=True))
    counts = next(iter(static.values()))["versions"]
    cards = []
    for row, version in enumerate(VERSIONS, first):
        text = f"{texts.STATIC_BIAS[version]} {counts[version]['n']} clips."
        accuracies = [(variant, results["versions"][version]["top1"]) for variant, results in static.items()]
        cards.append((row, encoded[version], version.replace("_", " "), text, accuracies))
    text = f"{texts.BEST_FRAME} {counts['original']['n']} clips."
    best = [(variant, results["single_frames"]["any_frame"]) for variant, results in static.items()]
    return [*cards, (None, encoded["original"], "best single frame", text, best)]


def timeline(scores: Timeline, film: str = "") -> str:
    """Scores of the winning labels over time, one row per model and label, and a thumbnail with heat per window.

    ``film`` is the video's digest: a stage that plays this video is linked with the windows.
    """
    models = scores.models[::-1]  # the model before the baseline
    labels = list(dict.fromkeys(label for name in models for label in scores.winners(name)))
    limit, moments = scores.heat_limit, subsample(scores.moments, MAX_WINDOWS)
    rows = []
    for name in scores.models:
        best = [m.ranked(name, 1)[0].label for m in moments]
        for label in labels:
            cells = [(m.start, m.score(name, label), winner == label) for m, winner in zip(moments, best, strict=True)]
            rows.append((f"{name}: {label}", cells))
    pictures = uris(thumbnail(m, limit) for m in moments)
    thumbs = [(m.start, m.end, picture) for m, picture in zip(moments, pictures, strict=True)]
    total = len(scores.moments) if len(moments) < len(scores.moments) else 0
    return render("timeline", film=film, caveat=scores.caveat, model=models[0], rows=rows, thumbs=thumbs, total=total)


def live(scores: LiveScores) -> str:
    """The best class names of both models for the newest window, below the inputs."""
    return source(scores) + render("live", predictions=scores.predictions, caveat=scores.caveat)
