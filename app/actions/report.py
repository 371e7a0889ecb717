"""The current analysis as one self-contained page, and the command that repeats it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from app.actions.analysis import Analysis, Request
from app.actions.attention import MapProof
from app.services import Services
from ezclip.checkpoints.files import sha256_of
from ezclip.errors import UserError
from ezclip.evaluation.provenance import card
from ezclip.evaluation.report import Picture, Report, Table, slug
from ezclip.figures.maps import draw_influence, draw_strip

TOP = 10


def commands(analysis: Analysis) -> str:
    """What repeats the analysis on a command line and in Python; names.txt is in the zip of figures and tables."""
    r, file = analysis.request, analysis.clip.name
    python = ["python", "-m", "ezclip"]
    predict = [*python, "predict", file, "--labels-file", "names.txt", "--model", r.model, "--texts", r.texts]
    explain = [*python, "explain", file, "--out", "maps", "--model", r.model, "--baseline", r.baseline]
    explain += ["--method", r.method, "--label", analysis.target, "--prove"]
    for flag, value, usual in (
        ("--fusion", r.fusion, "mean"),
        ("--start-layer", r.start_layer, 0),
        ("--discard", r.discard, 0.0),
    ):
        if value != usual:
            explain += [flag, str(value)]
    lines = [
        f"# names.txt: the {len(analysis.model.predictions)} class names, one a line (in the zip)",
        *(["# own sentences are not repeated here"] if r.sentences else []),
        shlex.join(predict),
        shlex.join(explain),
        "",
        "# Python",
        "from ezclip import Predictor",
        "from ezclip.text.templates import sentences",
        'names = open("names.txt").read().splitlines()',
        f"predictor = Predictor.load({r.model!r})",
        f"predictor.set_video({file!r})",
        f"predictor.score(names, sentences(names, {r.texts!r}, predictor.templates))",
    ]
    return "\n".join(lines)


def provenance(analysis: Analysis) -> dict[str, str]:
    """Clip, models, texts, frames and versions."""
    r = analysis.request
    assert r.path is not None
    if not Path(r.path).is_file():
        raise UserError("The clip is no longer there; upload it again.")
    digest = sha256_of(r.path)
    frames = ", ".join(f"{i} ({s:.2f} s)" for i, s in zip(analysis.clip.indices, analysis.clip.seconds, strict=True))
    return {
        "clip": f"{analysis.clip.name}, sha256 {digest[:16]}…",
        "frames used": frames,
        "texts": r.texts + ("; own sentences for " + ", ".join(r.sentences) if r.sentences else ""),
        "method": f"{r.method}, label {analysis.target}",
        **card(r.models),
        "command": commands(analysis),
    }


def analysis_report(analysis: Analysis, proofs: list[MapProof]) -> Report:
    """Rankings, maps, spread and proofs as one report."""
    parts: list[Table | Picture] = []
    for result in analysis.results:
        rows = [[rank, p.label, p.score, p.logit] for rank, p in enumerate(result.predictions, 1)]
        columns = ["rank", "label", "score", "logit"]
        parts.append(Table(f"ranking_{slug(result.name)}", f"Ranking of {result.name}", columns, rows[:TOP]))
    strip = draw_strip(analysis.clip, {r.name: r.attribution for r in analysis.results}, limit=analysis.limit)
    note = f"Method {analysis.request.method}, label {analysis.target}. " + " ".join(
        r.attribution.note for r in analysis.results if r.attribution.note
    )
    parts.append(Picture("strip", "Maps on one colour scale", strip, note))
    rows = [[p.name, *(_told(v) for v in (p.deletion, p.insertion, p.moving, p.area))] for p in proofs]
    columns = ["map of", "deletion gain", "insertion gain", "heat on what moves", "area that moves"]
    parts.append(Table("proof", "How far to trust the maps", columns, rows, "Gains over random orders; 0 is chance."))
    if analysis.model.attribution.influence is not None:
        figure = draw_influence(analysis.model.attribution, title=analysis.model.name)
        parts.append(Picture("influence", "Which frame drew on which", figure))
    spread = [
        [r.name, m.reading, m.variance_unit, m.central_difference_unit, m.variance, m.frozen_variance]
        + [m.central_difference, m.frozen_central_difference]
        for r in analysis.results
        for m in [r.motion]
    ]
    columns = ["model", "reading", "Var, unit", "C, unit", "Var", "Var frozen", "C", "C frozen"]
    parts.append(Table("spread", "Spread of the frames", columns, spread))
    base, model = analysis.baseline, analysis.model
    lead = (
        f"{base.name} says “{base.predictions[0].label}” ({base.predictions[0].score:.0%}), {model.name} says "
        f"“{model.predictions[0].label}” ({model.predictions[0].score:.0%})."
    )
    data = {
        "clip": analysis.clip.name,
        "target": analysis.target,
        "models": {
            r.name: {"predictions": [vars(p) for p in r.predictions], "motion": vars(r.motion)}
            for r in analysis.results
        },
        "proof": [vars(p) for p in proofs],
    }
    return Report(f"{analysis.clip.name}", lead, data, provenance(analysis), parts)


def report_files(services: Services, analysis: Analysis, proofs: list[MapProof]) -> tuple[str, str]:
    """Paths of the self-contained page, and of a zip with every table and picture."""
    names = "\n".join(p.label for p in analysis.model.predictions)
    return pack(services, "ezclip-report", analysis_report(analysis, proofs), {"names.txt": names})


def study_archive(
    services: Services, name: str, make: Callable[[dict[str, str]], Report], asked: Request | None
) -> str:
    """Path of a zip with everything that a tab has found.

    Args:
        services: for the folder.
        name: of the file.
        make: the report of a provenance card.
        asked: what the study was made of; None where that was tables.
    """
    made = card(asked.models if asked else [])
    if asked and asked.path and Path(asked.path).is_file():
        made = _source(asked.path) | {"texts": asked.texts} | made
    return pack(services, name, make(made))[1]


def _source(path: str) -> dict[str, str]:
    return {"source": f"{Path(path).name}, sha256 {sha256_of(path)[:16]}…"}


def pack(services: Services, name: str, report: Report, more: dict[str, str] | None = None) -> tuple[str, str]:
    """Paths of the report's page and of a zip of all its files and of ``more``: names and texts."""
    folder = services.scratch()
    files = report.write(folder / "report")
    archive = folder / f"{name}.zip"
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for path in files.values():
            packed.write(path, path.name)
        for inside, text in (more or {}).items():
            packed.writestr(inside, text)
    page = folder / f"{name}.html"
    files["page"].rename(page)
    shutil.rmtree(folder / "report")
    return str(page), str(archive)


def _told(value: float | None) -> float | str:
    return "not measured" if value is None else value
