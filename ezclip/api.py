"""The studies as functions, for scripts and notebooks.

Each takes the parameters of its study as keyword arguments (``ezclip.studies.STUDIES`` lists them) and ``device``, and
returns the study's result, which has ``as_json()``, ``report()`` and ``write(folder)``.
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

T_co = TypeVar("T_co", covariant=True)


class _Study(Protocol[T_co]):
    def run(self, host: Host) -> Steps[T_co]: ...


def _clip_function(study: type[_Study[T_co]], name: str):
    """The function for a study of one clip; class names are a list, or text as on the command line."""

    def call(clip: str | Path, labels: str | list[str] = "", *, device: str = "auto", **parameters: Any) -> T_co:
        text = labels if isinstance(labels, str) else "\n".join(labels)
        return on_terminal(build(study, {"clip": str(clip), "labels": text, **parameters}).run(Host(device)))

    call.__name__, call.__doc__ = name, study.__doc__
    return call


predict = _clip_function(Predict, "predict")
analyse = _clip_function(Analyse, "analyse")
explain = _clip_function(Explain, "explain")
probe_motion = _clip_function(ProbeMotion, "probe_motion")
corrupt = _clip_function(Corrupt, "corrupt")
score_timeline = _clip_function(ScoreTimeline, "score_timeline")


@dataclass(frozen=True)
class NotebookStage:
    """A stage that Jupyter and Colab display as the output of a cell; ``html`` is a complete page."""

    html: str
    height: int

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="{self.height}" style="border:0"></iframe>'


def show(
    clip: str | Path, labels: str | list[str] = "", *, height: int = 720, device: str = "auto", **parameters: Any
) -> NotebookStage:
    """Play a clip forward, reversed, shuffled and static, with the maps and predictions of two models.

    Args:
        clip: video file or folder of frames.
        labels: class names, a list or text as on the command line; empty uses the classes the model was trained on.
        height: height of the notebook frame in pixels.
        device: "auto", "cpu", "cuda" or "mps".
        **parameters: other parameters of ``Analyse``, such as ``model`` and ``baseline``.

    Raises:
        UserError: the clip, a model or a class name cannot be used.
    """
    analysis = analyse(clip, labels, device=device, orders=True, **parameters)
    page_body = element(stage(analysis, films_of(str(clip))))
    return NotebookStage(f"<!doctype html><meta charset=utf-8><body style='font-family:sans-serif'>{page_body}", height)


def compare_frames(clips: list[str | Path], *, device: str = "auto", **parameters: Any) -> FramePlane:
    """Project the frame embeddings of clips under two models into one plane."""
    study = build(CompareFrames, {"clips": tuple(map(str, clips)), **parameters})
    return on_terminal(study.run(Host(device)))


def evaluate(data: str | Path, *, device: str = "auto", **parameters: Any) -> ClassStudy:
    """Accuracy on labelled clips: of one model, or per class for two models."""
    return on_terminal(build(Evaluate, {"data": str(data), **parameters}).run(Host(device)))
