"""``python -m ezclip evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import check_out, chosen_labels, print_json
from ezclip.data.manifest import labels_of, read_rows
from ezclip.errors import ConfigError


@dataclass
class Evaluate:
    """Top-1, top-5, per-class and within-pairs accuracy; every clip counts once.

    Example: python -m ezclip evaluate --data data/tabletop/val --baseline tabletop/base --out report
    """

    data: str
    """Manifest (JSONL or Parquet), a folder with manifest.jsonl or one sub-folder for each class, or what ezclip embed
    left."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str | None = None
    """A second model on the same clips: the report then compares the two class by class."""
    labels: str | None = None
    """Class names to choose among; by default the labels of the data."""
    labels_file: Path | None = None
    """Text file with one name a line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A set that ships."""
    protocol: Literal["zero-shot", "released"] = "zero-shot"
    """zero-shot counts every clip; released leaves out the clips after the last whole batch, as the release does."""
    views: str = "1x1"
    """Views of a clip in time x crops; scores are means over them. The paper has 1x1, the segment-centre frames."""
    texts: str = "trained"
    """What a name becomes: as the model was "trained", the bare "names", 16 "templates", the "descriptions" that ship,
    or those of a CSV file."""
    out: Path | None = None
    """Folder for report.json, CSV tables, PNG charts and one self-contained report.html."""
    batch_size: int = 16
    """Clips in one forward pass."""
    workers: int = 0
    """Processes that decode; 0 decodes between forward passes."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, evaluate, print and write."""
        embedded = (Path(self.data) / "embedding.json").is_file()
        rows = [] if embedded else read_rows(self.data)
        given = any(value is not None for value in (self.labels, self.labels_file, self.label_set))
        chosen = chosen_labels(self.labels, self.labels_file, self.label_set) if given else None
        names = [self.model] if self.baseline in (None, self.model) else [self.model, self.baseline]
        for name in names:
            check_model_name(name)
        if self.out is not None:
            check_out(self.out)
        if self.batch_size < 1 or self.workers < 0:
            raise ConfigError("--batch-size must be at least 1, --workers at least 0.")
        if self.protocol == "released":
            if embedded or len(rows) < self.batch_size:
                raise ConfigError("The released protocol counts whole batches of a manifest that has at least one.")
            rows = rows[: len(rows) // self.batch_size * self.batch_size]
        from tqdm import tqdm

        from ezclip.evaluation.class_study import study_of
        from ezclip.evaluation.embed import ViewCount, shards_of
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.evaluation.run import check_labels, evaluate, score_all
        from ezclip.predictor import Predictor

        views = ViewCount.parse(self.views)
        backbones: dict[str, Any] = {}
        evaluations = []
        for name in names:
            parts = shards_of(name, Path(self.data)) if embedded else []
            rows = [row for part in parts for row in part.rows] or rows
            labels = chosen or labels_of(rows)
            check_labels(rows, labels)
            predictor = Predictor.load(name, device=self.device, backbones=backbones)
            if embedded:
                evaluations.append(score_all(predictor, parts, labels, self.texts))
                continue
            bar = partial(tqdm, desc=name, unit="batch", total=-(-len(rows) // self.batch_size))
            options: dict[str, Any] = {"batch_size": self.batch_size, "views": views, "workers": self.workers}
            evaluations.append(evaluate(predictor, rows, labels, texts=self.texts, progress=bar, **options))
        study = study_of(evaluations[::-1])
        if self.out is not None:
            made = {"data": Path(self.data).name, "command": command_line("evaluate")} | card(names)
            study.report(made).write(self.out)
        report = study.as_json()
        if self.json:
            print_json(report)
            return 0
        if study.comparison is not None:
            print(study.comparison.verdict)
        print(f"{report['model']}: {report['n']} clips, top-1 {report['top1']:.1%}, top-5 {report['top5']:.1%}")
        if "within_pairs" in report:
            print(f"within pairs {report['within_pairs']:.1%} (chance 50 %)")
        for label, row in report["per_class"].items():
            print(f"  {row['top1']:6.1%}  {label} ({row['n']})")
        for family, row in report.get("families", {}).items():
            print(f"  {row['top1']:6.1%}  family {family} ({row['n']})")
        if study.model.skipped:
            print(f"{len(study.model.skipped)} clips could not be read, first {next(iter(study.model.skipped))}")
        return 0
