"""The studies as functions, for scripts and notebooks.

Each takes the parameters of its study by name (``ezclip.studies.STUDIES`` lists them), and ``device``; it returns the
study's result, which has ``as_json()``, ``report()`` and ``write(folder)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from ezclip.parameters import build
from ezclip.progress import Steps, on_terminal
from ezclip.studies.analysis import Analyse
from ezclip.studies.classes import ClassStudy, Evaluate
from ezclip.studies.corruption import Corrupt
from ezclip.studies.explain import Explain
from ezclip.studies.frames import CompareFrames, FramePlane
from ezclip.studies.host import Host
from ezclip.studies.motion import ProbeMotion
from ezclip.studies.predict import Predict
from ezclip.studies.timeline import ScoreTimeline

Found = TypeVar("Found", covariant=True)


class _Runs(Protocol[Found]):
    def run(self, host: Host) -> Steps[Found]: ...


def _on_clip(study: type[_Runs[Found]], name: str):
    """The function of a study of one clip; its class names are a list or text as on the command line."""

    def call(clip: str | Path, labels: str | list[str] = "", *, device: str = "auto", **parameters: Any) -> Found:
        text = labels if isinstance(labels, str) else "\n".join(labels)
        return on_terminal(build(study, {"clip": str(clip), "labels": text, **parameters}).run(Host(device)))

    call.__name__, call.__doc__ = name, study.__doc__
    return call


predict = _on_clip(Predict, "predict")
analyse = _on_clip(Analyse, "analyse")
explain = _on_clip(Explain, "explain")
probe_motion = _on_clip(ProbeMotion, "probe_motion")
corrupt = _on_clip(Corrupt, "corrupt")
score_timeline = _on_clip(ScoreTimeline, "score_timeline")


def compare_frames(clips: list[str | Path], *, device: str = "auto", **parameters: Any) -> FramePlane:
    """Frames of clips under two models in one plane."""
    study = build(CompareFrames, {"clips": tuple(map(str, clips)), **parameters})
    return on_terminal(study.run(Host(device)))


def evaluate(data: str | Path, *, device: str = "auto", **parameters: Any) -> ClassStudy:
    """Accuracy on labelled clips, of one model or class by class of two."""
    return on_terminal(build(Evaluate, {"data": str(data), **parameters}).run(Host(device)))
