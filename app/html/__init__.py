"""Values as HTML, rendered by jinja2 templates with autoescape; pictures as data URIs."""

# ruff: noqa: F401  (re-exported functions)
from app.html.classes import class_chart, class_evidence, class_tables, methods
from app.html.clips import (
    cards,
    corrupted,
    custom_sentences,
    faithfulness,
    opened_clip,
    ranked,
    rankings,
    samples,
    spread,
    strip,
    temporal,
    tokens,
    words,
)
from app.html.moments import moments
from app.html.offers import offers
from app.html.pieces import STRIP_FRAMES, asset, busy, empty, film_strip, outdated, progress, source, verdict
from app.html.planes import class_plane, frame_plane
from app.html.probes import motion
from app.html.studies import Entries, gallery, live, timeline
