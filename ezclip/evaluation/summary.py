"""Tables and figures of evaluations on the same clips: accuracies, families, classes, confusions."""

from __future__ import annotations

from collections import Counter

from matplotlib.figure import Figure

from ezclip.evaluation.classwise import Comparison
from ezclip.evaluation.evidence import evidence_rows
from ezclip.evaluation.metrics import confusion_matrix, mean_interval
from ezclip.evaluation.run import Evaluation
from ezclip.figures import charts
from ezclip.figures.charts import Bar
from ezclip.figures.report import Picture, Table, slug
from ezclip.types import WITHIN_PAIRS, Document


def confusion_parts(e: Evaluation) -> list[Table | Picture]:
    """The confusion matrix of an evaluation as a figure and as a table of counts."""
    matrix = confusion_matrix(e.scores, e.targets).numpy()
    name, title = f"confusion_{slug(e.model)}", f"Confusions of {e.model}"
    rows = [[label, *map(int, counts)] for label, counts in zip(e.labels, matrix, strict=True)]
    return [
        Picture(name, title, charts.confusion(matrix, e.labels, title=e.model)),
        Table(f"{name}_counts", title, ["true class, columns: predictions", *e.labels], rows, on_page=False),
    ]


def predictions_table(e: Evaluation, name: str) -> Table:
    """Every clip with its class, prediction and one score per class."""
    columns = ["path", "label", "prediction", *e.labels]
    return Table(name, f"Every clip under {e.model}", columns, e.predictions(), on_page=False)


def accuracy_table(evaluations: list[Evaluation]) -> Table:
    """Top-1 with its interval, top-5 and within pairs; the last row is chance."""
    rows = []
    for e in evaluations:
        report, (_, low, high) = e.report(), mean_interval(e.correct).bar
        rows.append([e.model, report["n"], report["top1"], low, high, report["top5"], report.get("within_pairs", "")])
    C = len(evaluations[0].labels)
    rows.append(["chance", "", 1 / C, "", "", min(5, C) / C, 0.5])
    columns = ["model", "clips", "top-1", "95 % from", "to", "top-5", WITHIN_PAIRS]
    note = (
        "Chiral accuracy: share of clips whose own class outscores the class that differs by order or direction alone."
    )
    return Table("accuracy", "Accuracy", columns, rows, note)


def evidence_table(evidence: dict[str, Document], title: str, note: str) -> Table:
    """A row for each measure of ``evidence``, ``annotate`` by model: values, meaning and reference value."""
    rows = [[name, *values, info["meaning"], info["reference"]] for name, info, values in evidence_rows(evidence)]
    return Table("evidence", title, ["measure", *evidence, "meaning", "reference"], rows, note)


def family_parts(evaluations: list[Evaluation]) -> list[Table | Picture]:
    """Top-1 of each out-of-distribution family; empty if the clips have none."""
    reports = {e.model: e.report() for e in evaluations}
    families = list(next(iter(reports.values())).get("families", {}))
    if not families:
        return []
    columns = ["family", *(f"{model}: {metric}" for model in reports for metric in ("top-1", WITHIN_PAIRS))]
    tables = [report["families"] for report in reports.values()]
    rows = [[f, *(table[f].get(key, "") for table in tables for key in ("top1", "within_pairs"))] for f in families]
    series = {
        e.model: [mean_interval(e.correct[[row.family == family for row in e.rows]]).bar for family in families]
        for e in evaluations
    }
    chance = (1 / len(evaluations[0].labels), "chance")
    names = [f.replace("_", " ") for f in families]
    figure = charts.grouped(
        names, series, title="Out-of-distribution families", axis_label="top-1, %", reference=chance
    )
    return [
        Table("families", "Out-of-distribution families", columns, rows),
        Picture("families_chart", "Bar chart", figure, "Whiskers: 95 % bootstrap intervals over clips."),
    ]


def class_parts(evaluations: list[Evaluation]) -> list[Table | Picture]:
    """Top-1 of every class under each model, with intervals."""
    series = {e.model: class_accuracies(e) for e in evaluations}
    labels = list(next(iter(series.values())))
    counts = Counter(row.label for row in evaluations[0].rows)
    columns = ["class", "clips", *(f"{model}{suffix}" for model in series for suffix in ("", ": 95 % from", ": to"))]
    rows = [[label, counts[label], *(v for bars in series.values() for v in bars[label])] for label in labels]
    note = "Top-1 of each class; 95 % Wilson intervals."
    return [
        Picture("classes_chart", "Accuracy by class", classes_chart(evaluations), note),
        Table("classes", "Accuracy by class", columns, rows, note, on_page=False),
    ]


def classes_chart(evaluations: list[Evaluation]) -> Figure:
    """Bar chart of ``class_accuracies``."""
    series = {e.model: class_accuracies(e) for e in evaluations}
    return charts.by_class(series, title="Top-1 by class, whiskers: 95 % Wilson intervals")


def class_accuracies(evaluation: Evaluation) -> dict[str, Bar]:
    """Label -> top-1 and the ends of its 95 % Wilson interval; classes without clips are omitted."""
    rows = evaluation.report()["per_class"]
    return {label: (rows[label]["top1"], rows[label]["low"], rows[label]["high"]) for label in sorted(rows)}


def comparison_parts(comparison: Comparison) -> list[Table | Picture]:
    """Fig. 5: differences by class, and the confusions that are fixed and created."""
    first, second = comparison.models
    rows = [
        [d.label, d.n, d.first, d.second, d.difference, d.low, d.high, d.p]
        for d in [comparison.overall, *comparison.classes]
    ]
    columns = ["class", "clips", first, second, "difference", "95 % from", "to", "McNemar p"]
    confusions = [["fixed", *row] for row in comparison.fixed] + [["created", *row] for row in comparison.created]
    title = "Confusions that the second model fixes and creates"
    note = f"Blue: {second} gains; whiskers: 95 % paired bootstrap over a class's clips."
    gains = [(d.label, d.first, (d.difference, d.low, d.high)) for d in comparison.classes]
    dumbbells = charts.dumbbells(gains, comparison.models, title=f"{first} to {second}")
    band = "The band is the same interval, around the second model's accuracy."
    return [
        Picture("dumbbells", "From the first model to the second", dumbbells, band),
        Picture("classwise_chart", "Class by class (Fig. 5)", differences_chart(comparison), note),
        Table("classwise", "Class by class", columns, rows, "Without correction for the number of classes."),
        Table("confusions", title, ["change", "class", "taken for", "clips"], confusions),
    ]


def differences_chart(comparison: Comparison) -> Figure:
    """Bar chart of each class's gain or loss."""
    first, second = comparison.models
    bars = [(d.label, (d.difference, d.low, d.high)) for d in comparison.classes]
    return charts.differences(bars, title=f"{second} minus {first}")
