"""Values as HTML, through jinja2 templates that escape every text; and small pictures as data addresses."""

# ruff: noqa: F401  (the functions that other folders use)
from app.html.clips import (
    cards,
    corrupted,
    faithfulness,
    opened_clip,
    own_sentences,
    rankings,
    samples,
    spread,
    strip,
    temporal,
)
from app.html.offers import offers
from app.html.pieces import busy, empty, outdated, progress, source, verdict
from app.html.studies import class_plane, class_tables, frame_plane, gallery, live, motion, timeline
