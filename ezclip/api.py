"""The studies as functions, for scripts and notebooks.

Each takes the parameters of its study by name (``ezclip.studies.STUDIES`` lists them), and ``device``; it returns the
study's result, which has ``as_json()``, ``report()`` and ``write(folder)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ezclip.parameters import build
from ezclip.progress import on_terminal
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.classes import ClassStudy, Evaluate
from ezclip.studies.corruption import Corrupt, CorruptedPredictions
from ezclip.studies.explain import Explain, Maps
from ezclip.studies.frames import CompareFrames, FramePlane
from ezclip.studies.host import Host
from ezclip.studies.motion import MotionProbes, ProbeMotion
from ezclip.studies.predict import Predict, Predictions
from ezclip.studies.timeline import ScoreTimeline, Timeline

Clip = str | Path
Names = str | list[str]


def predict(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> Predictions:
    """Rank class names for a clip."""
    return _on_clip(Predict, clip, labels, device, parameters)


def analyse(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> Analysis:
    """Rankings, maps, spread and faithfulness of a clip under two or more models."""
    return _on_clip(Analyse, clip, labels, device, parameters)


def explain(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> Maps:
    """Attention maps of a clip."""
    return _on_clip(Explain, clip, labels, device, parameters)


def probe_motion(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> MotionProbes:
    """A clip's frames reversed, shuffled, static, slower and faster, under two models."""
    return _on_clip(ProbeMotion, clip, labels, device, parameters)


def corrupt(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> CorruptedPredictions:
    """Rank class names for a corrupted clip under two models."""
    return _on_clip(Corrupt, clip, labels, device, parameters)


def score_timeline(clip: Clip, labels: Names = "", *, device: str = "auto", **parameters: Any) -> Timeline:
    """Scores over a long video."""
    return _on_clip(ScoreTimeline, clip, labels, device, parameters)


def compare_frames(clips: list[Clip], *, device: str = "auto", **parameters: Any) -> FramePlane:
    """Frames of clips under two models in one plane."""
    study = build(CompareFrames, {"clips": tuple(map(str, clips)), **parameters})
    return on_terminal(study.run(Host(device)))


def evaluate(data: str | Path, *, device: str = "auto", **parameters: Any) -> ClassStudy:
    """Accuracy on labelled clips, of one model or class by class of two."""
    return on_terminal(build(Evaluate, {"data": str(data), **parameters}).run(Host(device)))


def _on_clip(study: type, clip: Clip, labels: Names, device: str, parameters: dict[str, Any]) -> Any:
    text = labels if isinstance(labels, str) else "\n".join(labels)
    return on_terminal(build(study, {"clip": str(clip), "labels": text, **parameters}).run(Host(device)))
