"""``python -m ezclip table`` and ``protocol``: the paper's tables and the runs that fill them."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

from ezclip.cli._shared import check_project, launched, print_json
from ezclip.cli.train import run_launched
from ezclip.errors import ConfigError
from ezclip.progress import on_terminal
from ezclip.types import Document, NativeMethod

if TYPE_CHECKING:
    from ezclip.reproduction.protocols import Run, Workspace
    from ezclip.reproduction.tables import Cell, Statistics

# Differences between a preset and the recipe it is named after, printed below tables of accuracies.
NOTES: dict[str, str] = {
    "released": (
        "Recipe of EZ-CLIP against the release's: random resized crops for its corner crops, one colour jitter draw "
        "per clip for its draw per frame, own descriptions for GPT-3.5's, no flips on SSv2, prompts on HMDB few-shot, "
        "bfloat16 for float16, and in zero-shot the best epoch on Kinetics-400 for that on each test set."
    ),
    "paper": "Recipe of EZ-CLIP against the paper's: own descriptions for GPT-3.5's.",
}


@dataclass(kw_only=True)
class _RunOptions:
    """Settings shared by all runs, and their folders."""

    backbone: list[str] = field(default_factory=list)
    """clip:ARCH/TAG (default clip:ViT-B-16-quickgelu/openai) or a folder, for table rows that do not specify one; and
    any number of ARCH=FILE, each of which loads open_clip's ARCH from a .safetensors file or a folder."""
    num_frames: Annotated[int, tyro.conf.arg(name="frames")] = 8
    """T, for table rows that do not specify it."""
    text: str | None = None
    """descriptions (default of EZ-CLIP; other methods have their own), templates, names, a template with {} or a CSV
    file, for table rows that do not specify it."""
    preset: Literal["paper", "released"] = "released"
    """Recipe of the paper's text or of the released code."""
    seed: int = 0
    """Seed of the training and of the shots; a table shows means over all seeds."""
    data: Path = Path("data")
    """Folder with one sub-folder per data set, which contains the manifests named in configs/protocols."""
    views: str = "1x1"
    """Views of a test clip, time x crops."""
    workers: int = 0
    """Test clips decoded in parallel; 0 takes all cores but one."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that override the training configuration of every run."""
    root: Path = Path(".")
    """Folder that contains configs/; runs/ and results/ are written to it."""

    def workspace(self) -> Workspace:
        """The folders of the runs; raises ConfigError if the root lacks protocols or cannot be written."""
        check_project(self.root, "configs/protocols")
        from ezclip.evaluation.embed import ViewCount
        from ezclip.reproduction.protocols import Workspace

        files = dict(value.split("=", 1) for value in self.backbone if "=" in value)
        if missing := [file for file in files.values() if not Path(file).exists()]:
            raise ConfigError(f"There is no file or folder {Path(missing[0]).name}; --backbone takes ARCH=FILE.")
        views = ViewCount.parse(self.views)
        return Workspace(self.root, self.data, tuple(self.set), views, workers=self.workers, backbones=files)

    def make_run(self, **defaults: Any) -> Run:
        """A run with these settings; ``defaults`` sets the fields of ``Run`` that the command lacks."""
        from ezclip.checkpoints.rivals import TEXTS
        from ezclip.reproduction.protocols import Run

        names = [value for value in self.backbone if "=" not in value]
        if len(names) > 1:
            raise ConfigError(f"--backbone names {' and '.join(names[:2])}; give one, and others as ARCH=FILE.")
        settings: dict[str, Any] = {f.name: vars(self)[f.name] for f in fields(Run) if f.name in vars(self)}
        settings["backbone"] = names[0] if names else Run.backbone
        settings["text"] = self.text or TEXTS.get(settings.get("method", ""), Run.text)
        return Run(**defaults | settings)


@dataclass
class Protocol(_RunOptions):
    """Train one model by a protocol of the paper and test its last and best epochs.

    Example: accelerate launch -m ezclip protocol few_shot --trained-on ucf101 --shots 16
    """

    protocol: Annotated[str, tyro.conf.Positional]
    """zero_shot, base_to_novel, few_shot or supervised: a file of configs/protocols."""
    trained_on: str
    """Data set, a folder of --data."""
    shots: int | None = None
    """Clips per class; by default all."""
    method: Annotated[NativeMethod, tyro.conf.arg(aliases=["--variant"])] = "ezclip"
    """Method to train; clip is only tested. Methods other than EZ-CLIP's variants have their own recipes."""
    prompt_depth: Literal["deep", "shallow"] = "deep"
    """Prompts in every layer or in the first."""

    def run(self) -> int:
        """Train, test and print the result as JSON."""
        if self.shots is not None and self.shots < 1:
            raise ConfigError(f"--shots is {self.shots}; it must be at least 1.")
        workspace = self.workspace()
        from ezclip.reproduction.protocols import carry_out

        return run_launched(carry_out(self.make_run(), workspace))


@dataclass
class Table(_RunOptions):
    """Print a table of the paper next to the results measured here; with --run, execute the missing runs.

    Data sets are at DATA/<set>/<list>.jsonl or .parquet, written by ezclip data check; configs/protocols names the
    lists. Interrupted runs are resumed; finished runs are skipped.

    Example: accelerate launch -m ezclip table 5 --run --data data --sets ucf101
    """

    number: Annotated[int, tyro.conf.Positional]
    """1 to 13."""
    run_missing: Annotated[bool, tyro.conf.arg(name="run")] = False
    """Execute the missing runs."""
    measured: bool = False
    """Tables 1, 2 and 7: print the methods trained here, with costs and intervals; with --run, also train rivals and
    measure the costs of all models."""
    sets: str | None = None
    """Train on these sets only, for example hmdb51,ucf101."""
    epoch: Literal["last", "best"] = "last"
    """Epoch to print. Under the released preset the best epoch is selected on the test set, and for zero-shot on the
    validation set of the training data set."""
    harmonic_mean: Literal["of-means", "mean"] = "of-means"
    """HM over several runs: of the mean accuracies, or the mean of the runs' HMs."""
    unseen: Literal["paper", "names", "rivals"] = "paper"
    """Classes of Kinetics-600: the paper's 220 (inferred), all 231 whose names were not trained, or the mean over the
    three lists of 160 that other methods use."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Execute the missing runs if requested, then print."""
        workspace, defaults = self.workspace(), self.make_run(protocol="", trained_on="")
        from ezclip.reproduction import tables
        from ezclip.reproduction.methods import FAIRNESS
        from ezclip.reproduction.protocols import carry_out
        from ezclip.reproduction.report.markdown import markdown
        from ezclip.reproduction.tables import Epoch, TableOptions, cell_statistics, cells, missing_runs

        options = TableOptions(self.epoch, self.harmonic_mean, self.unseen)
        make_table = tables.measured_table if self.measured else tables.comparison_table
        title, rows = make_table(self.number, workspace, defaults, options)
        from_runs = self.number not in (7, 8, 9)
        if self.run_missing:
            if not from_runs:
                raise ConfigError(f"Table {self.number} is not made of training runs; tables 1-6 and 10-13 are.")
            with launched() as processes, redirect_stdout(sys.stderr):
                main, sets = processes.is_main_process, self.sets.split(",") if self.sets else None
                for run in list(missing_runs(self.number, workspace, defaults, sets, rivals=self.measured)):
                    on_terminal(carry_out(run, workspace), show=main)
            if not main:
                return 0
            if self.measured:
                tables.measure_costs(self.number, workspace, defaults)
            title, rows = make_table(self.number, workspace, defaults, options)
        note = NOTES[self.preset] if self.number not in (7, 8) else ""  # tables of costs and of texts
        if not self.json:
            print(f"Table {self.number}. {title}\n\n{markdown(rows)}")
            if note:
                print(f"\n{note}")
            if self.measured:
                print("\nWhy published numbers are not comparable:\n", *(f"- {line}" for line in FAIRNESS), sep="\n")
            return 0
        document: Document = {"table": self.number, "title": title, "rows": rows, "note": note}
        if from_runs:
            by_epoch = {epoch: replace(options, epoch=epoch) for epoch in get_args(Epoch)}
            document["cells"] = [
                _as_json(cell, {epoch: cell_statistics(cell, workspace, o) for epoch, o in by_epoch.items()})
                for row in cells(self.number, defaults)[1]
                for cell in row
            ]
        print_json(document)
        return 0


def _as_json(cell: Cell, values: dict[str, Statistics | None]) -> Document:
    result: Document = {"row": cell.row, "column": cell.column, "paper": cell.paper}
    for epoch, value in values.items():
        result |= {
            epoch: value and value.mean,
            f"{epoch}_sd": value and value.sd,
            f"{epoch}_n": value.n if value else 0,
        }
    return result
