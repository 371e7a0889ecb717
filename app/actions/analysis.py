"""Class names, texts and the JSON of the endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.services import Services
from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import UserError, VideoError
from ezclip.studies.analysis import Request, analyse, finish, sentences_of, wanted_labels
from ezclip.text.labels import label_set, read_labels_file
from ezclip.text.templates import read_descriptions

OWN_SET = "The model's own classes"
SET_TITLES = {
    OWN_SET: None,
    "Tabletop Motion": "tabletop",
    "UCF-101": "ucf101",
    "HMDB-51": "hmdb51",
    "Kinetics-400": "kinetics400",
    "Kinetics-600, classes new to Kinetics-400": "kinetics600_unseen",
    "Something-Something v2": "ssv2",
}
TEXTS = {
    "As the model was trained": "trained",
    "Bare names": "names",
    "16 templates": "templates",
    "Descriptions, where one ships": "descriptions",
}


_SET = "set:"


def set_text(title: str, model: str) -> str:
    """The names of a label set as the class box shows them, one a line."""
    name = SET_TITLES.get(title)
    return "\n".join(label_set(name) if name else own_labels(model))


def set_or_names(names: str, model: str) -> str:
    """Class names as a page's address holds them: "set:TITLE" where they are a set's, which may be long."""
    try:
        return next((f"{_SET}{title}" for title in SET_TITLES if names == set_text(title, model)), names)
    except UserError:  # a model that was mistyped has no set of its own
        return names


def names_of(address: str, model: str) -> str:
    """The way back."""
    title = address.removeprefix(_SET)
    return set_text(title, model) if address.startswith(_SET) and title in SET_TITLES else address


def read_uploaded(path: str | None) -> tuple[str, dict[str, str], list[str]]:
    """Class names, one a line, own sentences, and warnings, from an uploaded text, name CSV or descriptions CSV."""
    if not path:
        return "", {}, []
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        header = [column.strip().lower() for column in file.readline().split(",")]
    described = len(header) >= 3 and (header[-1] in ("description", "text", "sentence") or "name" not in header)
    if described and Path(path).suffix.lower() == ".csv":
        own = read_descriptions(path)
        return "\n".join(own), own, []
    names, warnings = read_labels_file(path)
    return "\n".join(names), {}, warnings


def predict_json(services: Services, request: Request) -> dict[str, Any]:
    """The JSON of ``ezclip predict``, for the endpoint."""
    names, _ = wanted_labels(request)
    if not request.path:
        raise VideoError("No clip was given.")
    predictor = services.predictor(request.model)
    clip = services.clip(request.path, predictor.model.num_frames)
    with services.lock:
        predictor.set_video(clip)
        return predictor.report(names, sentences=sentences_of(request, predictor, names))


def analysis_json(services: Services, request: Request, *, measure: bool) -> tuple[dict[str, Any], list[str]]:
    """The JSON of ``ezclip analyse`` and the paths of its files, for the endpoint."""
    from ezclip.evaluation.analysis_files import write_analysis

    from ezclip.studies.faithfulness import prove, truth

    services.compare().check_method(request.method)
    analysis = finish(analyse(services, request))
    proofs = finish(prove(services, analysis)) if measure else truth(analysis)
    result = write_analysis(services.scratch(), analysis, proofs, services)
    paths = list(result["files"].values())
    result["files"] = {kind: Path(path).name for kind, path in result["files"].items()}
    return result, paths


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
