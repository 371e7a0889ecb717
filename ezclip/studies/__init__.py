"""The studies; the command, the endpoint and the controls of each are derived from its declaration."""

from __future__ import annotations

from ezclip.studies.analysis import Analyse
from ezclip.studies.classes import Classes, Evaluate
from ezclip.studies.collection.clusters import Clusters
from ezclip.studies.collection.search import Search
from ezclip.studies.corruption import Corrupt
from ezclip.studies.declaration import Study
from ezclip.studies.explain import Explain
from ezclip.studies.frames import CompareFrames
from ezclip.studies.live import ScoreLive
from ezclip.studies.motion import ProbeMotion
from ezclip.studies.paper.study import PaperFigure
from ezclip.studies.predict import Predict
from ezclip.studies.realcheck.study import CheckReality
from ezclip.studies.timeline import ScoreTimeline

STUDIES: dict[str, type[Study]] = {
    study.verb: study
    for study in (
        *(Predict, Analyse, Explain, ProbeMotion, Corrupt, ScoreTimeline, ScoreLive, CompareFrames, Evaluate, Classes),
        *(Search, Clusters, CheckReality, PaperFigure),
    )
}
