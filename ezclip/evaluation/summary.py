"""The report of one model, or of two side by side, on one list of clips: what ``ezclip evaluate --out`` writes."""

from __future__ import annotations

from typing import Any

from ezclip import __version__
from ezclip.evaluation.class_map import map_classes
from ezclip.evaluation.classwise import Comparison, compare
from ezclip.evaluation.intervals import mean_interval
from ezclip.evaluation.metrics import confusion_matrix
from ezclip.evaluation.report import Picture, Report, Table, slug
from ezclip.evaluation.run import Evaluation
from ezclip.figures import charts


def summarise(evaluation: Evaluation, baseline: Evaluation | None = None, *, provenance: dict[str, str]) -> Report:
    """Accuracies, confusions and, with a baseline, the class-wise comparison.

    Args:
        evaluation: of the model.
        baseline: of another one on the same clips.
        provenance: what made the evaluation, for the card at the end.
    """
    both = [e for e in (baseline, evaluation) if e is not None]
    data: dict[str, Any] = evaluation.report()
    parts: list[Table | Picture] = [accuracy_table(both), *family_parts(both)]
    lead = (
        f"{evaluation.model} is right on {data['top1']:.1%} of {data['n']} clips of {len(evaluation.labels)} classes."
    )
    if baseline is not None:
        comparison = compare(baseline, evaluation)
        data["baseline"], data["comparison"] = baseline.report(), comparison.as_json()
        lead += " " + comparison.verdict
        parts += comparison_parts(comparison)
        if len(evaluation.frames):
            plane = map_classes(baseline, evaluation)
            data["class_map"] = plane.as_json()
            parts.append(plane.picture())
    for e in both:
        parts += confusion_parts(e)
        if e is evaluation:
            columns = ["path", "label", "prediction", *e.labels]
            parts.append(Table("predictions", "Every clip", columns, e.predictions(), on_page=False))
    provenance = {"models": ", ".join(e.model for e in both), "clips": str(data["n"]), **provenance}
    return Report(f"{evaluation.model} on {data['n']} clips", lead, data, provenance | {"ezclip": __version__}, parts)


def confusion_parts(e: Evaluation) -> list[Table | Picture]:
    """The confusion matrix of an evaluation, and its counts."""
    matrix = confusion_matrix(e.scores, e.targets).numpy()
    name, title = f"confusion_{slug(e.model)}", f"Confusions of {e.model}"
    rows = [[label, *map(int, counts)] for label, counts in zip(e.labels, matrix, strict=True)]
    return [
        Picture(name, title, charts.confusion(matrix, e.labels, title=e.model)),
        Table(f"{name}_counts", title, ["true class, answers to the right", *e.labels], rows, on_page=False),
    ]


def accuracy_table(evaluations: list[Evaluation]) -> Table:
    """Top-1 with its interval, top-5 and within pairs, chance in the last row."""
    rows = []
    for e in evaluations:
        report = e.report()
        top1 = mean_interval((e.scores.argmax(dim=1) == e.targets).numpy())
        rows.append(
            [e.model, report["n"], report["top1"], top1.low, top1.high, report["top5"], report.get("within_pairs", "")]
        )
    C = len(evaluations[0].labels)
    rows.append(["chance", "", 1 / C, "", "", min(5, C) / C, 0.5])
    columns = ["model", "clips", "top-1", "95 % from", "to", "top-5", "within pairs"]
    note = "Within pairs: share of clips whose own class outscores the class that differs by order or direction alone."
    return Table("accuracy", "Accuracy", columns, rows, note)


def family_parts(evaluations: list[Evaluation]) -> list[Table | Picture]:
    """Top-1 of each out-of-distribution family; nothing where the clips have none."""
    reports = {e.model: e.report() for e in evaluations}
    families = list(next(iter(reports.values())).get("families", {}))
    if not families:
        return []
    columns = ["family", *(f"{model}: {what}" for model in reports for what in ("top-1", "within pairs"))]
    found = {model: report["families"] for model, report in reports.items()}
    rows = [[f, *(found[m][f].get(key, "") for m in reports for key in ("top1", "within_pairs"))] for f in families]
    series = {}
    for e in evaluations:
        right = (e.scores.argmax(dim=1) == e.targets).numpy()
        own = [mean_interval(right[[row.family == family for row in e.rows]]) for family in families]
        series[e.model] = [(i.mean, i.low, i.high) for i in own]
    chance = (1 / len(evaluations[0].labels), "chance")
    names = [f.replace("_", " ") for f in families]
    figure = charts.grouped(
        names, series, title="Out-of-distribution families", axis_label="top-1, %", reference=chance
    )
    return [
        Table("families", "Out-of-distribution families", columns, rows),
        Picture("families_chart", "The same as bars", figure, "Whiskers: 95 % bootstrap intervals over clips."),
    ]


def comparison_parts(comparison: Comparison) -> list[Table | Picture]:
    """Fig. 5: differences by class, and confusions fixed and created."""
    first, second = comparison.models
    bars = [(d.label, (d.difference, d.low, d.high)) for d in comparison.classes]
    figure = charts.differences(bars, title=f"{second} minus {first}, the 20 largest differences")
    rows = [
        [d.label, d.n, d.first, d.second, d.difference, d.low, d.high, d.p]
        for d in [comparison.overall, *comparison.classes]
    ]
    columns = ["class", "clips", first, second, "difference", "95 % from", "to", "McNemar p"]
    confusions = [["fixed", *row] for row in comparison.fixed] + [["created", *row] for row in comparison.created]
    note = f"Blue: {second} gains; whiskers: 95 % paired bootstrap over a class's clips."
    return [
        Picture("classwise_chart", "Class by class (Fig. 5)", figure, note),
        Table("classwise", "Class by class", columns, rows, "Without correction for the number of classes."),
        Table(
            "confusions",
            "Confusions that the second model fixes and creates",
            ["change", "class", "taken for", "clips"],
            confusions,
        ),
    ]
