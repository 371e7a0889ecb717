"""Accuracy by class of one model, or of two side by side, on labelled clips or from tables of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from ezclip.checkpoints.cards import shipped_variants
from ezclip.checkpoints.catalog import BASELINE, DEFAULT
from ezclip.errors import ConfigError, UserError
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, rescale
from ezclip.studies.declaration import Alias, Baseline, Labels, Model, ModelsResult, Study, Texts
from ezclip.studies.host import Host
from ezclip.types import Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ezclip.checkpoints.identity import Identity
    from ezclip.data.manifest import Row
    from ezclip.evaluation.classwise import ChangedClip, ClassMap, Comparison
    from ezclip.evaluation.embed import Embedded, ViewCount
    from ezclip.evaluation.run import Evaluation
    from ezclip.predictor import Predictor

ProtocolName = Literal["zero-shot", "released"]
_Data = Parameter(
    "Manifest (JSONL or Parquet), a folder with manifest.jsonl or one sub-folder for each class, or the output of "
    "ezclip embed; at the endpoint, a zip of such a folder.",
    kind="archive",
)
_Views = Parameter("Views of each clip as time x crops, such as 4x3; scores are averaged over them.")
_Protocol = Parameter(
    "zero-shot counts every clip; released leaves out the clips after the last whole batch, as the release does.",
    choices=get_args(ProtocolName),
)
_Order = Parameter(
    "Also measure accuracy on reversed, shuffled and static clips; decodes every video a second time.",
    "Test frame order",
)
BROKEN = Parameter("Largest share of unreadable clips before the run stops.", low=0, high=1)
_First = Parameter(
    "predictions.csv of a model; or base, motion, prompts or ezclip for their shipped results on Tabletop.",
    kind="table",
)
_SHIPPED = Alias(
    "shipped", (("first", "baseline"), ("second", "model")), (("first", "base"), ("second", "ezclip")), old=False
)


EVIDENCE_NOTE = (
    "How far predictions depend on frame order, motion or a single frame. "
    "A ratio is undefined where an accuracy is at chance."
)


@dataclass(frozen=True)
class Evaluate(Study):
    """Measure top-1, top-5, per-class and within-pairs accuracy; every clip counts once.

    Example: python -m ezclip evaluate --data data/tabletop/val --baseline tabletop/base --out report
    """

    verb: ClassVar[str] = "evaluate"
    long: ClassVar[bool] = True
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("compare", (("data", "archive"),), (("baseline", BASELINE),)),)
    data: Annotated[str, _Data] = ""
    labels: Labels = ""
    model: Model = DEFAULT
    baseline: Baseline = ""
    texts: Texts = "trained"
    protocol: Annotated[ProtocolName, _Protocol] = "zero-shot"
    views: Annotated[str, _Views] = "1x1"
    order: Annotated[bool, _Order] = False
    max_broken: Annotated[float, BROKEN] = 1.0

    def run(self, host: Host) -> Steps[ClassStudy]:
        """Embed every clip with both models and compare them; embeddings are cached, even those of a cancelled run."""
        from ezclip.data.manifest import labels_of, read_rows
        from ezclip.evaluation.embed import ViewCount, check_broken
        from ezclip.evaluation.order import order_sensitivity
        from ezclip.evaluation.run import check_classes, score_all
        from ezclip.evaluation.shards import INDEX, read_shards

        if not self.data:
            raise UserError("No clips yet: give a manifest, or a folder or zip with a folder of clips for each class.")
        views, embedded = ViewCount.parse(self.views), (Path(self.data) / INDEX).is_file()
        rows: Sequence[Row] = [] if embedded else read_rows(self.data)
        if self.protocol == "released":
            if embedded or len(rows) < host.batch_size:
                raise ConfigError("The released protocol counts whole batches of a manifest; give at least one.")
            rows = rows[: len(rows) // host.batch_size * host.batch_size]
        if self.order and embedded:
            raise UserError("Embedded clips cannot be reversed or shuffled; give their manifest, or leave out --order.")
        user_labels, _ = self.user_labels()
        if not embedded:
            check_classes(rows, user_labels or labels_of(rows))
        predictors = yield from host.predictors(self.models())
        evaluations, orders, share = [], {}, 1 / len(predictors)
        embed_share = share / 2 if self.order else share
        for i, (name, predictor) in enumerate(predictors.items()):
            if embedded:
                parts = read_shards(Path(self.data), predictor.identity)
                reasons = [reason for part in parts for _, reason in part.skipped]
                check_broken(reasons, len(reasons) + sum(len(part.rows) for part in parts), self.max_broken)
                rows = [row for part in parts for row in part.rows]
            else:
                parts = yield from self._embed(host, predictor, rows, views, i * share, embed_share)
            labels = user_labels or labels_of(rows)
            yield Progress((i + 1) / len(predictors), f"{name}: encoding {len(labels)} class names")
            check_classes(rows, labels)
            evaluations.append(score_all(predictor, parts, labels, self.texts))
            if self.order:
                steps = order_sensitivity(predictor, evaluations[-1].rows, labels, self.texts)
                orders[name] = yield from rescale(steps, i * share + embed_share, (i + 1) * share)
        yield Progress(1.0, "projecting the videos")
        return replace(class_study(self, evaluations, [p.identity for p in predictors.values()]), orders=orders)

    def _embed(
        self, host: Host, predictor: Predictor, rows: Sequence[Row], views: ViewCount, start: float, share: float
    ) -> Steps[list[Embedded]]:
        """Embed the clips batch by batch; cached batches are reused."""
        from ezclip.evaluation.embed import check_broken, embed

        parts: list[Embedded] = host.cached_list(predictor.name, "embedded", self.data, str(views), len(rows))
        first, size = len(parts), host.batch_size
        batches = embed(predictor, rows[first * size :], views=views, batch_size=size, workers=host.workers)
        for i, part in enumerate(batches, first):
            if i == len(parts):  # a cancelled run may have finished this batch in the meantime
                parts.append(part)
            check_broken([reason for part in parts for _, reason in part.skipped], len(rows), self.max_broken)
            host.mark_used(Path(self.data))
            done = min(len(parts) * size, len(rows))
            yield Progress(start + share * done / len(rows), f"{predictor.name}: {done} of {len(rows)} clips")
        return list(parts)


@dataclass(frozen=True)
class Classes(Study):
    """Compare predictions class by class: tables from ezclip evaluate --out, or the shipped results.

    Example: python -m ezclip classes base/predictions.csv ezclip/predictions.csv --out compared

    For the shipped results: python -m ezclip classes base ezclip
    """

    verb: ClassVar[str] = "classes"
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("compare_tables"), _SHIPPED)
    first: Annotated[str, _First] = ""
    second: Annotated[str, Parameter("The same for a second model, on the same clips and classes.", kind="table")] = ""

    def run(self, host: Host) -> Steps[ClassStudy]:
        """Read the tables and compare them."""
        from ezclip.evaluation.run import read_predictions
        from ezclip.evaluation.shipped import shipped_evaluations, shipped_map

        inputs = [name for name in (self.first, self.second) if name]
        if not inputs:
            raise UserError("No table yet: give the predictions.csv of one model or of two.")
        yield Progress(0.0, "reading the tables")
        if set(inputs) <= set(shipped_variants()):
            variants = list(dict.fromkeys(inputs))
            return ClassStudy(self, [], shipped_evaluations(variants), shipped_map(variants))
        if missing := [name for name in inputs if not Path(name).is_file()]:
            raise UserError(
                f"There is no table {Path(missing[0]).name!r}; ezclip evaluate --out writes predictions.csv. Shipped "
                f"results: {', '.join(shipped_variants())}."
            )
        titles = ("first table", "second table") if len(inputs) == 2 else ("table",)
        tables = [read_predictions(path, title) for path, title in zip(inputs, titles, strict=True)]
        return class_study(self, tables, [])


def class_study(study: Evaluate | Classes | None, evaluations: list[Evaluation], models: list[Identity]) -> ClassStudy:
    """The result of one evaluation, or of two (baseline, model), with a class map if their embedding sizes are equal.

    Raises UserError if the two differ in clips or class names.
    """
    from ezclip.evaluation.classwise import map_classes, top_changed

    result = ClassStudy(study, models, evaluations)
    if result.comparison is None or len({e.frames.shape[-1] for e in evaluations if len(e.frames)}) != 1:
        return result
    baseline, model = evaluations
    return replace(result, class_map=map_classes(baseline, model, top_changed(result.comparison)))


@dataclass(frozen=True, eq=False)
class ClassStudy(ModelsResult[Evaluate | Classes | None]):
    """Evaluations of one or two models on the same labelled clips."""

    evaluations: list[Evaluation]  # of the model; or of the baseline, then of the model
    class_map: ClassMap | None = None  # of the classes that changed most; None for one model or without embeddings
    orders: Document = field(default_factory=dict)  # by model, from ``order_sensitivity``; empty if not requested

    @property
    def model(self) -> Evaluation:
        """The evaluation of the model under study."""
        return self.evaluations[-1]

    @cached_property
    def comparison(self) -> Comparison | None:
        """Differences and changed confusions, None for one model; raises UserError if clips or class names differ."""
        from ezclip.evaluation.classwise import compare

        return compare(*self.evaluations) if len(self.evaluations) == 2 else None

    @cached_property
    def evidence(self) -> dict[str, Document]:
        """Model -> those measures of ``evaluation.evidence`` for which clips, partners and ``orders`` suffice."""
        return {e.model: e.evidence(self.orders.get(e.model)) for e in self.evaluations}

    @property
    def changed_clips(self) -> list[ChangedClip]:
        """The clips that only one of the two gets right; empty for one model."""
        from ezclip.evaluation.classwise import changed_clips

        return changed_clips(*self.evaluations) if self.comparison else []

    @property
    def verdict(self) -> str:
        """A sentence per model and one that compares them."""
        parts = [
            f"{e.model} has {report['top1']:.1%} top-1 on {report['n']} clips of {len(e.labels)} classes."
            for e in self.evaluations
            for report in [e.report()]
        ]
        return " ".join([*parts, *([self.comparison.verdict] if self.comparison else [])])

    def as_json(self) -> Document:
        """The verdict and the accuracies of the model; with a baseline also "baseline", "comparison" and "class_map".

        "confusion" lists class, prediction and number of clips; "evidence" has the measures of ``evaluation.evidence``.
        """
        data = {"verdict": self.verdict} | self._accuracies(self.model)
        if self.comparison is not None:
            data |= {"baseline": self._accuracies(self.evaluations[0]), "comparison": self.comparison.as_json()}
        if self.class_map is not None:
            data["class_map"] = self.class_map.as_json()
        return data

    def _accuracies(self, e: Evaluation) -> Document:
        answers = e.scores.argmax(dim=1).tolist()
        counts = Counter((row.label, e.labels[answer]) for row, answer in zip(e.rows, answers, strict=True))
        confusion = [[*pair, n] for pair, n in sorted(counts.items())]
        return e.report() | {"confusion": confusion, "evidence": self.evidence[e.model]}

    def text(self) -> str:
        """Accuracies, differences and unreadable clips."""
        report = self.model.report()
        lines = [self.verdict]
        if isinstance(self.study, Evaluate):
            accuracies = f"top-1 {report['top1']:.1%}, top-5 {report['top5']:.1%}"
            lines.append(f"{report['model']}: {report['n']} clips, {accuracies}")
        lines += self._evidence_lines()
        if self.comparison is not None and isinstance(self.study, Classes):
            lines += [f"  {100 * d.difference:+6.1f}  {d.label} ({d.n})" for d in self.comparison.classes]
        else:
            lines += [f"  {row['top1']:6.1%}  {label} ({row['n']})" for label, row in report["per_class"].items()]
        for family, row in report.get("families", {}).items():
            lines.append(f"  {row['top1']:6.1%}  family {family} ({row['n']})")
        if skipped := self.model.skipped:
            lines.append(f"{len(skipped)} clips could not be read, first {skipped[0][0].short_name}: {skipped[0][1]}")
        return "\n".join(lines)

    def _evidence_lines(self) -> list[str]:
        """A line per measure: the values of the models, name, meaning and reference."""
        from ezclip.evaluation.evidence import evidence_rows

        lines = []
        for name, measure, values in evidence_rows(self.evidence):
            columns = "  ".join(f"{'undefined' if v is None else format(v, '.3f'):>9}" for v in values)
            lines.append(f"{columns}  {name}: {measure['meaning']}. Reference: {measure['reference']}.")
        return [f"Evidence under {', then '.join(self.evidence)}", *lines] if lines else []

    def confusions(self) -> list[Table | Picture]:
        """A confusion matrix and its counts for each evaluation."""
        from ezclip.evaluation.summary import confusion_parts

        return [part for e in self.evaluations for part in confusion_parts(e)]

    def charts(self) -> tuple[Figure | None, Figure]:
        """The gain of each class (None for one model), and the top-1 of each class under each model."""
        from ezclip.evaluation.summary import classes_chart, differences_chart

        return self.comparison and differences_chart(self.comparison), classes_chart(self.evaluations)

    def report(self) -> Report:
        """All results as figures and tables."""
        from ezclip.evaluation import summary

        parts = [summary.accuracy_table(self.evaluations), *summary.family_parts(self.evaluations)]
        if any(self.evidence.values()):
            parts.append(summary.evidence_table(self.evidence, "Evidence", EVIDENCE_NOTE))
        if self.comparison is not None:
            parts += summary.comparison_parts(self.comparison)
        parts += summary.class_parts(self.evaluations)
        if self.class_map is not None:
            parts.append(self.class_map.picture())
        parts += self.confusions()
        for e in self.evaluations:
            parts.append(summary.predictions_table(e, "predictions" if e is self.model else "predictions_baseline"))
        models, count = ", ".join(e.model for e in self.evaluations), len(self.model.rows)
        title = f"{self.model.model} on {count} clips"
        return self._report(title, self.verdict, parts, models=models, clips=str(count))
