"""Values as HTML and figures."""

from app.widgets.maps import cards, own_sentences, proof, rankings, spread_table, strip, temporal
from app.widgets.parts import empty, progress, warnings
from app.widgets.planes import class_plane, frame_plane
from app.widgets.studies import (
    class_bars,
    class_chart,
    class_pictures,
    class_tables,
    class_verdict,
    damaged,
    evidence,
    evidence_chart,
    family,
    gallery,
    live,
    opened_clip,
    timeline,
)

__all__ = [
    "cards",
    "class_bars",
    "class_chart",
    "class_pictures",
    "class_plane",
    "class_tables",
    "class_verdict",
    "damaged",
    "empty",
    "evidence",
    "evidence_chart",
    "family",
    "frame_plane",
    "gallery",
    "live",
    "opened_clip",
    "own_sentences",
    "progress",
    "proof",
    "rankings",
    "spread_table",
    "strip",
    "temporal",
    "timeline",
    "warnings",
]
