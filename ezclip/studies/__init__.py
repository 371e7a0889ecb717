"""The studies; the command, the endpoint and the controls of each are derived from its declaration."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ezclip.studies.declaration import Study

STUDIES = {  # verb -> (module:class, summary)
    "predict": ("ezclip.studies.predict:Predict", "rank class names for clips"),
    "analyse": ("ezclip.studies.analysis:Analyse", "rankings, maps, spread and faithfulness for a clip, as a report"),
    "explain": ("ezclip.studies.explain:Explain", "attention maps of a clip, to files"),
    "motion": ("ezclip.studies.motion:ProbeMotion", "test whether a model sees motion in a clip"),
    "corruption": ("ezclip.studies.corruption:Corrupt", "rank class names for a corrupted clip under two models"),
    "timeline": ("ezclip.studies.timeline:ScoreTimeline", "scores over a long video"),
    "live": ("ezclip.studies.live:ScoreLive", "scores of a camera or a stream"),
    "frames": ("ezclip.studies.frames:CompareFrames", "frames of clips under two models in one plane"),
    "evaluate": ("ezclip.studies.classes:Evaluate", "accuracy on labelled clips"),
    "classes": ("ezclip.studies.classes:Classes", "tables of predictions or shipped results, class by class"),
    "realcheck": (
        "ezclip.studies.realcheck.study:CheckReality",
        "direction accuracy on motions made from your own photographs or videos",
    ),
    "search": ("ezclip.studies.collection.search:Search", "moments in an index of videos that match a text"),
    "clusters": ("ezclip.studies.collection.clusters:Clusters", "clusters and duplicates of an index of videos"),
    "figure": (
        "ezclip.studies.paper.study:PaperFigure",
        "a figure like the paper's 4, 5, 7 or 8, with its caption in LaTeX",
    ),
}


def study_of(verb: str) -> type[Study]:
    """The study behind a verb, imported on demand, because most studies import matplotlib."""
    return resolve_name(STUDIES[verb][0])


def all_studies() -> list[type[Study]]:
    """Every study, in the order of ``STUDIES``."""
    return [study_of(verb) for verb in STUDIES]
