"""The current analysis as one self-contained page, and the command that repeats it."""

from __future__ import annotations

import csv
import io
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ezclip.checkpoints.files import sha256_of
from ezclip.errors import UserError
from ezclip.evaluation.analysis import Analysis, Request, wanted_labels
from ezclip.evaluation.proof import MapProof
from ezclip.evaluation.provenance import card
from ezclip.evaluation.report import Picture, Report, Table, slug
from ezclip.figures.charts import NO_INTERVAL, by_class
from ezclip.figures.maps import draw_influence, draw_prompts, draw_reading, draw_strip, gains

if TYPE_CHECKING:
    from ezclip.explanation.temporal import TemporalView

TOP = 10


def commands(analysis: Analysis) -> str:
    """What repeats the analysis on a command line and in Python; names.txt and sentences.csv are in the zip."""
    r, file = analysis.request, analysis.clip.name
    usual = Request(None)
    asked = ["python", "-m", "ezclip", "analyse", file, "--out", "analysis", *label_options(r)]
    asked += ["--model", r.model, "--baseline", r.baseline, "--method", r.method]
    asked += [f"--target={analysis.target}"]
    for flag in ("fusion", "start_layer", "discard", "opacity"):
        if getattr(r, flag) != getattr(usual, flag):
            asked += [f"--{flag.replace('_', '-')}", str(getattr(r, flag))]
    if r.further:
        asked += ["--further", *r.further]
    if r.difference:
        asked.append("--difference")
    lines = [
        f"# names.txt: the {len(analysis.names)} class names, one a line (in the zip)",
        *(["# sentences.csv: the own sentences (in the zip)"] if r.sentences else []),
        shlex.join([*asked, "--prove"]),
        "",
        "# Python",
        "from ezclip.evaluation.analysis import Alone, Request, analyse, finish",
        'names = tuple(open("names.txt", encoding="utf-8").read().splitlines())',
        f"asked = Request({file!r}, names, {r.baseline!r}, {r.model!r}, {r.further!r}, {r.texts!r}, {r.sentences!r},",
        f"                {r.method!r}, {r.fusion!r}, {r.start_layer!r}, {r.discard!r}, {analysis.target!r})",
        "found = finish(analyse(Alone(), asked))",
        "for one in found.results:",
        "    print(one.name, one.best, one.predictions[0].score, one.attribution.heat.shape)",
    ]
    return "\n".join(lines)


def label_options(request: Request) -> list[str]:
    """The options of a command that takes the class names and texts of ``label_files``."""
    own = ["--sentences", "sentences.csv"] if request.sentences.keys() & set(wanted_labels(request)[0]) else []
    return ["--labels-file", "names.txt", "--texts", request.texts, *own]


def label_files(names: list[str], own: dict[str, str]) -> dict[str, str]:
    """names.txt and, with own sentences, sentences.csv: number, class and sentence."""
    found = {"names.txt": "\n".join(names) + "\n"}
    if own := {name: text for name, text in own.items() if name in names}:
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["number", "class", "description"])
        writer.writerows([i, name, text] for i, (name, text) in enumerate(own.items()))
        found["sentences.csv"] = file.getvalue()
    return found


def strip_figure(analysis: Analysis, proofs: list[MapProof], opacity: float) -> Figure:
    """Input and maps of all models on one colour scale, with their faithfulness; below the difference, if asked for."""
    return draw_strip(
        analysis.clip,
        {r.name: r.attribution for r in analysis.results},
        limit=analysis.limit,
        opacity=opacity,
        difference=analysis.difference,
        notes={proof.name: gains(proof.deletion, proof.insertion) for proof in proofs},
    )


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
        "texts": "; ".join([r.texts, *(f"{name}: “{own}”" for name, own in r.sentences.items())]),
        "method": f"{r.method}, label {analysis.target}",
        **card(r.models),
        "command": commands(analysis),
    }


def analysis_report(analysis: Analysis, proofs: list[MapProof], view: TemporalView | None) -> Report:
    """Rankings, maps, spread, proofs and, where there are any, the temporal prompts, as one report."""
    parts: list[Table | Picture] = []
    for result in analysis.results:
        rows = [[rank, p.label, p.score, p.logit] for rank, p in enumerate(result.predictions, 1)]
        columns, name = ["rank", "label", "score", "logit"], slug(result.name)
        parts.append(Table(f"ranking_{name}", f"Ranking of {result.name}", columns, rows, on_page=len(rows) <= TOP))
        if len(rows) > TOP:
            parts.append(Table(f"best_{name}", f"{result.name}: {TOP} best of {len(rows)}", columns, rows[:TOP]))
    parts.append(Picture("ranking", "The best class names", ranking_chart(analysis)))
    near = [[name, cosine] for name, cosine in analysis.nearest]
    title = f"Nearest in text to “{analysis.target}” for {analysis.model.name}"
    parts.append(Table("nearest", title, ["class", "cosine"], near))
    strip = strip_figure(analysis, proofs, analysis.request.opacity)
    note = f"Method {analysis.request.method}, label {analysis.target}. " + " ".join(
        r.attribution.note for r in analysis.results if r.attribution.note
    )
    parts.append(Picture("strip", "Maps on one colour scale", strip, note))
    rows = [[p.name, *(_told(v) for v in (p.deletion, p.insertion, p.moving, p.area))] for p in proofs]
    columns = ["map of", "deletion gain", "insertion gain", "heat on what moves", "area that moves"]
    parts.append(Table("proof", "How far to trust the maps", columns, rows, "Gains over random orders; 0 is chance."))
    parts += _prompt_parts(analysis, view) if view is not None else []
    spread = [
        [r.name, m.reading, m.variance_unit, m.central_difference_unit, m.variance, m.frozen_variance]
        + [m.central_difference, m.frozen_central_difference]
        for r in analysis.results
        for m in [r.motion]
    ]
    columns = ["model", "reading", "Var, unit", "C, unit", "Var", "Var frozen", "C", "C frozen"]
    parts.append(Table("spread", "Spread of the frames", columns, spread))
    base, model = analysis.baseline, analysis.model
    lead = " ".join([analysis.verdict, *analysis.warnings])
    data = {
        "clip": analysis.clip.name,
        "frames": [
            {"index": int(i), "seconds": round(float(s), 3)}
            for i, s in zip(analysis.clip.indices, analysis.clip.seconds, strict=True)
        ],
        "baseline": base.name,
        "model": model.name,
        "texts": analysis.request.texts,
        "method": analysis.request.method,
        "target": analysis.target,
        "verdict": analysis.verdict,
        "models": {
            r.name: {"variant": r.variant, "predictions": [vars(p) for p in r.predictions], "motion": vars(r.motion)}
            for r in analysis.results
        },
        "nearest": [{"label": name, "cosine": cosine} for name, cosine in analysis.nearest],
        "proof": [vars(p) for p in proofs],
        "warnings": analysis.warnings,
    }
    return Report(f"{analysis.clip.name}", lead, data, provenance(analysis), parts)


def ranking_chart(analysis: Analysis) -> Figure:
    """Scores of the names that any model has among its best."""
    best = list(dict.fromkeys(p.label for r in analysis.results for p in r.predictions[:TOP]))
    scores = {r.name: {p.label: p.score for p in r.predictions} for r in analysis.results}
    series = {name: {label: (own[label], *NO_INTERVAL) for label in best} for name, own in scores.items()}
    title = f"{analysis.clip.name}: the best class names of each model"
    return by_class(series, title=title, axis_label="score, %")


def _told(value: float | None) -> float | str:
    return "not measured" if value is None else value


def _prompt_parts(analysis: Analysis, view: TemporalView) -> list[Table | Picture]:
    """Which frame drew on which: over all layers, and among the prompts of each."""
    seconds, name = analysis.clip.seconds, analysis.model.name
    frames = [f"{t + 1}: {s:.2f} s" for t, s in enumerate(seconds)]
    drew = [[at, *map(float, row)] for at, row in zip(frames, view.influence, strict=True)]
    read = [
        [layer, at, *map(float, row)]
        for layer, matrix in zip(view.layers, view.prompts, strict=True)
        for at, row in zip(frames, matrix, strict=True)
    ]
    title = f"{name}: which frame drew on which"
    return [
        Picture("influence", title, draw_influence(view.influence, seconds, title=name)),
        Table("influence_matrix", title, ["frame, drew on frame to the right", *frames], drew, on_page=False),
        Picture("prompts", f"{name}: attention among the prompts", draw_prompts(view.prompts, view.layers)),
        Picture("reading", f"{name}: who reads the prompts", draw_reading(view.reading, view.layers, seconds)),
        Table(
            "prompts_by_layer",
            "Attention among the prompts",
            ["layer", "prompt of frame", *frames],
            read,
            on_page=False,
        ),
    ]
