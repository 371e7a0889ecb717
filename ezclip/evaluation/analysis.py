"""One clip under two models or more: predictions, spread and maps, step by step.

The app and ``ezclip analyse`` run the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ezclip.checkpoints.catalog import own_labels, trained_labels
from ezclip.errors import UserError, VideoError
from ezclip.evaluation.jobs import Step, watched
from ezclip.text.labels import check_labels, parse_labels
from ezclip.text.templates import check_texts, sentences
from ezclip.types import Attribution, Clip, MotionStatistics, Prediction, has_prompts
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres

if TYPE_CHECKING:
    from ezclip.predictor import Predictor


DECODING = 0.2  # share of an analysis


class Host(Protocol):
    """Who holds models and clips: the app for all its users, ``Alone`` for one command."""

    lock: threading.RLock

    def predictor(self, name: str) -> Predictor:
        """A loaded model."""
        ...

    def clip(self, path: str, T: int, tick: Callable[[float], None] = ...) -> Clip:
        """The T segment-centre frames of a video; ``tick`` hears the share that is decoded."""
        ...


class Alone:
    """Models that one command needs, loaded when they are first asked for."""

    def __init__(self, device: str = "auto"):
        self.device, self.lock = device, threading.RLock()
        self._predictors: dict[str, Predictor] = {}
        self._backbones: dict[str, Any] = {}

    def predictor(self, name: str) -> Predictor:
        """See ``Host``."""
        if name not in self._predictors:
            from ezclip.predictor import Predictor

            self._predictors[name] = Predictor.load(name, device=self.device, backbones=self._backbones)
        return self._predictors[name]

    def clip(self, path: str, T: int, tick: Callable[[float], None] = lambda _: None) -> Clip:
        """See ``Host``."""
        return read_clip(path, partial(segment_centres, T=T), tick=tick)


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        path: of the user's file, None before one is given.
        labels: class names, or what is in the class box; empty takes the model's own classes.
        baseline: name of the model that is compared with.
        model: name of the model that is looked at.
        further: names of more models, drawn below.
        texts: what a name becomes: one of ``templates.KINDS``, or a template with {}.
        sentences: the user's own sentence for some of the names.
        method: a key of ``explanation.registry.METHODS``.
        fusion: how heads become one.
        start_layer: first block that rollout takes.
        discard: share of the smallest attention entries that rollout drops.
        target: label that is explained; empty takes the model's best.
        opacity: of the maps over the frames.
        difference: also draw the model's map minus the baseline's.
    """

    path: str | None
    labels: str | tuple[str, ...] = ""
    baseline: str = "tabletop/base"
    model: str = "tabletop/ezclip"
    further: tuple[str, ...] = ()
    texts: str = "trained"
    sentences: dict[str, str] = field(default_factory=dict)
    method: str = "rollout"
    fusion: str = "mean"
    start_layer: int = 0
    discard: float = 0.0
    target: str = ""
    opacity: float = 0.6
    difference: bool = False

    def __post_init__(self) -> None:
        """Refuse texts that are no kind and no template, and other opacities; a request may come from anybody."""
        check_texts(self.texts)
        if not 0 <= self.opacity <= 1:
            raise UserError(f"The opacity is {self.opacity}; it must be between 0 and 1.")

    @property
    def models(self) -> list[str]:
        """Baseline, model and the further ones, each once."""
        return list(dict.fromkeys([self.baseline, self.model, *self.further]))


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model's part of an analysis."""

    name: str
    variant: str
    predictions: list[Prediction]
    motion: MotionStatistics
    attribution: Attribution

    @property
    def best(self) -> str:
        """The label that it ranks first."""
        return self.predictions[0].label


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the tabs show.

    Attributes:
        request: what was asked.
        clip: the frames that all models saw.
        results: one a model, the baseline first, then the model.
        limit: upper end of the colour scale of all maps.
        target: the label that was explained.
        names: class names in the order in which they were given.
        nearest: the classes whose texts lie nearest to the target's, with their cosines.
        warnings: about labels, texts and the file, for the user.
    """

    request: Request
    clip: Clip
    results: list[ModelResult]
    limit: float
    target: str
    names: list[str]
    nearest: list[tuple[str, float]]
    warnings: list[str]

    @property
    def baseline(self) -> ModelResult:
        """The model that is compared with."""
        return next(r for r in self.results if r.name == self.request.baseline)

    @property
    def model(self) -> ModelResult:
        """The model that is looked at."""
        return next(r for r in self.results if r.name == self.request.model)

    @property
    def verdict(self) -> str:
        """What both models answer, and how much the model's frames drew on one another."""
        base, model = self.baseline, self.model
        told = [f"{r.name} says “{r.predictions[0].label}” ({r.predictions[0].score:.0%})" for r in (base, model)]
        if base is model:
            return f"{told[0]}."
        told[1] = told[1].replace(" says ", " also says ") if base.best == model.best else told[1]
        influence = model.attribution.influence
        if (
            influence is None
            or base.attribution.influence is not None
            and np.allclose(base.attribution.influence, influence)
        ):
            return f"{', '.join(told)}."
        across = float(influence.sum() - np.trace(influence)) / len(influence)
        return f"{', '.join(told)}. In {model.name}, {across:.1%} of a frame's attention comes from other frames."

    @property
    def difference(self) -> np.ndarray | None:
        """(T, grid, grid), the model's heat minus the baseline's; None if not asked for or the two are one."""
        if not self.request.difference or self.model is self.baseline:
            return None
        return self.model.attribution.heat - self.baseline.attribution.heat


def analyse(host: Host, request: Request) -> Iterator[Step | Analysis]:
    """Decode once, then predictions, spread and maps of every model.

    Yields:
        Steps, and the Analysis last. Closing the iterator cancels.

    Raises:
        UserError: anything that the user can mend.
    """
    names, warnings = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip yet: drop a video, record one, or click a sample.")
    if request.target and request.target not in names:
        raise UserError(f"The label {request.target[:80]!r} is not among the class names; add it or choose another.")
    path = request.path
    request = replace(request, sentences={n: own for n, own in request.sentences.items() if n in names})
    yield Step(0.0, "loading the models")
    compare = _compare()
    predictors: dict[str, Predictor] = {}
    for name in request.models:
        for step in watched(lambda _, name=name: host.predictor(name), f"loading {name}"):
            if isinstance(step, Step):
                yield step
            else:
                predictors[name] = step
    model = predictors[request.model]
    T = max(compare.shared_frames(model, other) for other in predictors.values())
    clip: Clip | None = None
    for step in watched(lambda tick: host.clip(path, T, tick), "reading the clip"):
        if isinstance(step, Clip):
            clip = step
        else:
            yield Step(DECODING * step.share, step.doing)
    assert clip is not None
    options = compare.Options(request.fusion, request.start_layer, request.discard)
    target = request.target
    results: dict[str, ModelResult] = {}
    cut: list[str] = []
    order = [request.model, *(n for n in request.models if n != request.model)]  # its best label is what all explain
    for i, name in enumerate(order):
        predictor = predictors[name]
        done, part = DECODING + (1 - DECODING) * i / len(order), (1 - DECODING) / len(order)
        which = f"model {i + 1} of {len(order)}, {name}"
        yield Step(done, f"{which}: reading {len(names)} class names, encoding {len(clip)} frames")
        with host.lock:
            predictor.set_video(clip)
            ranked, motion = predictor.score(names, sentences_of(request, predictor, names)), predictor.motion()
            cut = predictor.cut_texts or cut
        target = target or ranked[0].label

        def explain(tick: Any, predictor: Any = predictor, target: str = target) -> Attribution:
            with host.lock:
                predictor.set_video(clip)
                return compare.explain_clip(
                    predictor,
                    method=request.method,
                    options=options,
                    sentences=sentences_of(request, predictor, [target])[target],
                    tick=tick,
                )

        for step in watched(explain, f"{which}: {request.method}"):
            if isinstance(step, Step):
                yield Step(done + part * step.share, step.doing)
            else:
                results[name] = ModelResult(name, predictor.model.variant, ranked, motion, step)
    if cut:
        warnings.append(f"{len(cut)} texts are longer than 77 tokens and were cut, first: {cut[0][:60]}…")
    if len(names) == 1:
        warnings.append("There is one class name alone, so its score is 100 % whatever the clip shows; add others.")
    if clip.lost:
        warnings.append(f"{clip.lost} of {clip.lost + clip.total} frames of this file could not be decoded.")
    known = set(trained_labels(request.model))
    if known and (new := [name for name in names if name not in known]):
        warnings.append(
            f"{len(new)} of {len(names)} class names are new to {request.model}, which was trained on others."
        )
    found = [results[name] for name in request.models]
    limit = compare.shared_limit([r.attribution for r in found])
    with host.lock:
        nearest = model.nearest(target, names, sentences_of(request, model, names))
    yield Analysis(request, clip, found, limit, target, names, nearest, warnings)


def finish(steps: Iterator[Step | Any]) -> Any:
    """Run to the end and return the last value."""
    return deque(steps, maxlen=1).pop()


def frames_beside(baseline: Predictor, model: Predictor) -> int:
    """T of the clip that a baseline is shown beside a model: its own where it has prompts, else the model's."""
    return (baseline if has_prompts(baseline.model.variant) else model).model.num_frames


def wanted_labels(request: Request) -> tuple[list[str], list[str]]:
    """The user's class names, or the model's own where there are none; and warnings."""
    if not isinstance(request.labels, str):
        return check_labels(list(request.labels))
    return parse_labels(request.labels) if request.labels.strip() else (own_labels(request.model), [])


def _compare() -> Any:
    """Imported when torch is: the app's port opens before."""
    from ezclip.explanation import compare

    return compare


def sentences_of(request: Request, predictor: Any, names: list[str]) -> dict[str, list[str]]:
    """The texts that stand for each name: the user's own sentence or the chosen kind."""
    return sentences(names, request.texts, predictor.templates, request.sentences)
