"""The main analysis of a clip: predictions, spread and maps of two models or more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.actions.jobs import Step, watched
from app.services import Services
from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import UserError, VideoError
from ezclip.text.labels import label_set, parse_labels, read_labels_file
from ezclip.text.templates import Texts, read_descriptions, sentences
from ezclip.types import Attribution, Clip, MotionStatistics, Prediction

OWN_SET = "The model's own classes"
SET_TITLES = {
    OWN_SET: None,
    "UCF-101": "ucf101",
    "HMDB-51": "hmdb51",
    "Kinetics-400": "kinetics400",
    "Kinetics-600, classes new to Kinetics-400": "kinetics600_unseen",
    "Something-Something v2": "ssv2",
}
TEXTS: dict[str, Texts] = {
    "As the model was trained": "trained",
    "Bare names": "names",
    "16 templates": "templates",
    "Descriptions, where one ships": "descriptions",
}


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        path: of the user's file, None before one is given.
        labels: what is in the class box; empty takes the model's own classes.
        baseline: name of the model that is compared with.
        model: name of the model that is looked at.
        further: names of more models, drawn below.
        texts: what a name becomes.
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
    labels: str = ""
    baseline: str = "tabletop/base"
    model: str = "tabletop/ezclip"
    further: tuple[str, ...] = ()
    texts: Texts = "trained"
    sentences: dict[str, str] = field(default_factory=dict)
    method: str = "rollout"
    fusion: str = "mean"
    start_layer: int = 0
    discard: float = 0.0
    target: str = ""
    opacity: float = 0.6
    difference: bool = False

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


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the tabs show.

    Attributes:
        request: what was asked.
        clip: the frames that all models saw.
        results: one a model, the baseline first, then the model.
        limit: upper end of the colour scale of all maps.
        target: the label that was explained.
        nearest: the classes whose texts lie nearest to the target's, with their cosines.
        warnings: about labels, texts and the file, for the user.
    """

    request: Request
    clip: Clip
    results: list[ModelResult]
    limit: float
    target: str
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


def analyse(services: Services, request: Request) -> Iterator[Step | Analysis]:
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
    yield Step(0.0, "loading the models")
    compare = services.compare()
    predictors = {name: services.predictor(name) for name in request.models}
    model = predictors[request.model]
    T = max(compare.shared_frames(model, other) for other in predictors.values())
    clip: Clip | None = None
    for step in watched(lambda tick: services.clip(path, T, tick), "reading the clip"):
        if isinstance(step, Clip):
            clip = step
        else:
            yield step
    assert clip is not None
    options = compare.Options(request.fusion, request.start_layer, request.discard)
    target = request.target
    results: dict[str, ModelResult] = {}
    cut: list[str] = []
    order = [request.model, *(n for n in request.models if n != request.model)]  # its best label is what all explain
    for i, name in enumerate(order):
        predictor = predictors[name]
        done = i / len(order)
        yield Step(done, f"{name}: reading {len(names)} class names, encoding {len(clip)} frames")
        with services.lock:
            predictor.set_video(clip)
            ranked, motion = predictor.score(names, sentences_of(request, predictor, names)), predictor.motion()
            cut = predictor.cut_texts or cut
        target = target or ranked[0].label

        def explain(tick: Any, predictor: Any = predictor, target: str = target) -> Attribution:
            with services.lock:
                predictor.set_video(clip)
                return compare.explain_clip(
                    predictor,
                    method=request.method,
                    options=options,
                    sentences=sentences_of(request, predictor, [target])[target],
                    tick=tick,
                )

        for step in watched(explain, f"{name}: {request.method}"):
            if isinstance(step, Step):
                yield Step(done + step.share / len(order), step.doing)
            else:
                results[name] = ModelResult(name, predictor.model.variant, ranked, motion, step)
    if cut:
        warnings.append(f"{len(cut)} texts are longer than 77 tokens and were cut, first: {cut[0][:60]}…")
    if clip.lost:
        warnings.append(f"{clip.lost} of {clip.lost + clip.total} frames of this file could not be decoded.")
    found = [results[name] for name in request.models]
    limit = compare.shared_limit([r.attribution for r in found])
    with services.lock:
        nearest = model.nearest(target, names, sentences_of(request, model, names))
    yield Analysis(request, clip, found, limit, target, nearest, warnings)


def finish(steps: Iterator[Step | Any]) -> Any:
    """Run to the end and return the last value."""
    return deque(steps, maxlen=1).pop()


def wanted_labels(request: Request) -> tuple[list[str], list[str]]:
    """The user's class names, or the model's own where the box is empty; and warnings."""
    return parse_labels(request.labels) if request.labels.strip() else (own_labels(request.model), [])


def sentences_of(request: Request, predictor: Any, names: list[str]) -> dict[str, list[str]]:
    """The texts that stand for each name: the user's own sentence or the chosen kind."""
    found = sentences(names, request.texts, predictor.templates)
    return {n: [own] * len(found[n]) if (own := request.sentences.get(n, "").strip()) else found[n] for n in names}


def set_text(title: str, model: str) -> str:
    """The names of a label set as the class box shows them, one a line."""
    name = SET_TITLES.get(title)
    return "\n".join(label_set(name) if name else own_labels(model))


def read_uploaded(path: str | None) -> tuple[str, dict[str, str]]:
    """Class names, one a line, and own sentences from an uploaded text file, name CSV or descriptions CSV."""
    if not path:
        return "", {}
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    if header.count(",") >= 2 and "name" not in header.lower().split(","):
        described = read_descriptions(path)
        return "\n".join(described), described
    names, _ = read_labels_file(path)
    return "\n".join(names), {}


def predict_json(services: Services, request: Request) -> dict[str, Any]:
    """The JSON of ``ezclip predict``, for the endpoint."""
    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip was given.")
    predictor = services.predictor(request.model)
    clip = services.clip(request.path, predictor.model.num_frames)
    with services.lock:
        predictor.set_video(clip)
        return predictor.report(names)


def explain_json(services: Services, request: Request, *, prove: bool) -> tuple[dict[str, Any], list[str]]:
    """The JSON of ``ezclip explain`` and the paths of its files, for the endpoint."""
    names, _ = wanted_labels(request)
    if request.target and request.target not in names:
        raise UserError(f"The label {request.target[:80]!r} is not among the class names; add it there.")
    compare = services.compare()
    compare.check_method(request.method)
    if not request.path:
        raise VideoError("No clip was given.")
    chosen = dict.fromkeys(name for name in (request.model, request.baseline) if name)
    predictors = [services.predictor(name) for name in chosen]
    clip = services.clip(request.path, predictors[0].model.num_frames)
    with services.lock:
        predictors[0].set_video(clip)
        result = compare.write_explanation(
            services.scratch(),
            *predictors,
            labels=names,
            label=request.target or None,
            method=request.method,
            prove=prove,
        )
    paths = list(result["files"].values())
    result["files"] = {kind: Path(path).name for kind, path in result["files"].items()}
    return result, paths
