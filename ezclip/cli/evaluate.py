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
    """Manifest (JSONL), a folder with manifest.jsonl, or a folder with one sub-folder for each class."""
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
    protocol: Literal["zero-shot"] = "zero-shot"
    """One view of each clip, the segment-centre frames; scores are means over the texts of a name."""
    texts: Literal["trained", "names", "templates", "descriptions"] = "trained"
    """What a name becomes: as the model was trained, the bare name, 16 templates, or the description that ships."""
    out: Path | None = None
    """Folder for report.json, CSV tables, PNG charts and one self-contained report.html."""
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
        names = [self.model, *([self.baseline] if self.baseline else [])]
        for name in names:
            check_model_name(name)
        if self.out is not None:
            check_out(self.out)
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size is {self.batch_size}; it must be at least 1.")
        from tqdm import tqdm

        from ezclip.evaluation.classwise import compare
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.evaluation.run import evaluate
        from ezclip.evaluation.summary import summarise
        from ezclip.predictor import Predictor

        backbones: dict[str, Any] = {}
        evaluations = []
        for name in names:
            predictor = Predictor.load(name, device=self.device, backbones=backbones)
            bar = partial(tqdm, desc=name, unit="batch")
            options: dict[str, Any] = {"batch_size": self.batch_size, "texts": self.texts, "progress": bar}
            evaluations.append(evaluate(predictor, rows, labels, **options))
        evaluation = evaluations[0]
        if self.out is not None:
            made = {"data": Path(self.data).name, "command": command_line("evaluate")} | card(names)
            summarise(*evaluations, provenance=made).write(self.out)
        report = evaluation.report()
        comparison = compare(evaluations[1], evaluation) if self.baseline else None
        if comparison is not None:
            report |= {"baseline": evaluations[1].report(), "comparison": comparison.as_json()}
        if self.json:
            print_json(report)
            return 0
        if comparison is not None:
            print(comparison.verdict)
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
