"""``python -m ezclip evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import check_out, chosen_labels, print_json
from ezclip.data.manifest import labels_of, read_rows
from ezclip.errors import ConfigError


@dataclass
class Evaluate:
    """Top-1, top-5, per-class and within-pairs accuracy; every clip counts once.

    Example: python -m ezclip evaluate --data data/tabletop/val --model tabletop/base
    """

    data: str
    """Manifest (JSONL), a folder with manifest.jsonl, or a folder with one sub-folder for each class."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    labels: str | None = None
    """Class names to choose among; by default the labels of the data."""
    labels_file: Path | None = None
    """Text file with one name a line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A set that ships."""
    protocol: Literal["zero-shot"] = "zero-shot"
    """Single view, the segment-centre frames, scores averaged over the model's templates."""
    out: Path | None = None
    """Folder for report.json and predictions.csv."""
    batch_size: int = 16
    """Clips in one forward pass."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, evaluate, print and write."""
        rows = read_rows(self.data)
        given = any(value is not None for value in (self.labels, self.labels_file, self.label_set))
        labels = chosen_labels(self.labels, self.labels_file, self.label_set) if given else labels_of(rows)
        check_model_name(self.model)
        if self.out is not None:
            check_out(self.out)
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size is {self.batch_size}; it must be at least 1.")
        from tqdm import tqdm

        from ezclip.evaluation.run import evaluate
        from ezclip.predictor import Predictor

        predictor = Predictor.load(self.model, device=self.device)
        bar = partial(tqdm, desc="evaluating", unit="batch")
        evaluation = evaluate(predictor, rows, labels, batch_size=self.batch_size, progress=bar)
        if self.out is not None:
            evaluation.write(self.out)
        report = evaluation.report()
        if self.json:
            print_json(report)
            return 0
        print(f"{report['model']}: {report['n']} clips, top-1 {report['top1']:.1%}, top-5 {report['top5']:.1%}")
        if "within_pairs" in report:
            print(f"within pairs {report['within_pairs']:.1%} (chance 50 %)")
        for label, row in report["per_class"].items():
            print(f"  {row['top1']:6.1%}  {label} ({row['n']})")
        for family, row in report.get("families", {}).items():
            print(f"  {row['top1']:6.1%}  family {family} ({row['n']})")
        if evaluation.skipped:
            print(f"{len(evaluation.skipped)} clips could not be read, first {next(iter(evaluation.skipped))}")
        return 0
