"""The studies as functions, for scripts and notebooks.

Each takes the parameters of its study by name (``ezclip.studies.STUDIES`` lists them), and ``device``; it returns the
study's result, which has ``as_json()``, ``report()`` and ``write(folder)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ezclip.figures.stage import element
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
from ezclip.studies.stage.document import films_of, stage
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


@dataclass(frozen=True)
class Shown:
    """A stage for notebooks: Jupyter and Colab display it as the last value of a cell; ``html`` is a whole page."""

    html: str
    height: int

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="{self.height}" style="border:0"></iframe>'


def show(
    clip: str | Path, labels: str | list[str] = "", *, height: int = 720, device: str = "auto", **parameters: Any
) -> Shown:
    """Play a clip forward, reversed, shuffled and static under two models, with maps and answers.

    Args:
        clip: video file or folder of frames.
        labels: class names, a list or text as on the command line; empty uses the model's own.
        height: of the frame in a notebook, in pixels.
        device: "auto", "cpu", "cuda" or "mps".
        **parameters: further ones of ``Analyse``, such as ``model`` and ``baseline``.

    Raises:
        UserError: a clip, model or name that cannot be used.
    """
    analysis = analyse(clip, labels, device=device, orders=True, **parameters)
    shown = element(stage(analysis, films_of(str(clip))))
    return Shown(f"<!doctype html><meta charset=utf-8><body style='font-family:sans-serif'>{shown}", height)


def compare_frames(clips: list[str | Path], *, device: str = "auto", **parameters: Any) -> FramePlane:
    """Frames of clips under two models in one plane."""
    study = build(CompareFrames, {"clips": tuple(map(str, clips)), **parameters})
    return on_terminal(study.run(Host(device)))


def evaluate(data: str | Path, *, device: str = "auto", **parameters: Any) -> ClassStudy:
    """Accuracy on labelled clips, of one model or class by class of two."""
    return on_terminal(build(Evaluate, {"data": str(data), **parameters}).run(Host(device)))
