"""Values as HTML and figures."""

from app.widgets.maps import cards, own_sentences, proof, rankings, spread_table, strip, temporal
from app.widgets.parts import empty, progress, warnings
from app.widgets.planes import class_plane, frame_plane
from app.widgets.studies import (
    class_chart,
    class_clip,
    class_pictures,
    class_tables,
    class_verdict,
    damaged,
    evidence,
    evidence_chart,
    family,
    live,
    timeline,
)

__all__ = [
    "cards",
    "class_chart",
    "class_clip",
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
    "live",
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
