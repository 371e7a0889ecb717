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
from ezclip.types import Built, Document

if TYPE_CHECKING:
    from ezclip.reproduction.protocols import Place, Run
    from ezclip.reproduction.tables import Cell, Measured

# Where a preset differs from what it is named after, below the tables that runs fill.
NOTES: dict[str, str] = {
    "released": (
        "Recipe of EZ-CLIP against the release's: random resized crops for its corner crops, one colour jitter draw "
        "per clip for its draw per frame, own descriptions for GPT-3.5's, no flips on SSv2, prompts on HMDB few-shot."
    ),
    "paper": "Recipe of EZ-CLIP against the paper's: own descriptions for GPT-3.5's.",
}


@dataclass(kw_only=True)
class _Runs:
    """Settings of all runs, and their folders."""

    backbone: list[str] = field(default_factory=list)
    """clip:ARCH/TAG (by default clip:ViT-B-16-quickgelu/openai) or a folder, in a table for rows that name none; and
    ARCH=FILE, as often as needed, to load open_clip's ARCH from a .safetensors file or a folder."""
    num_frames: Annotated[int, tyro.conf.arg(name="frames")] = 8
    """T; in a table, for rows that name none."""
    text: str | None = None
    """descriptions (by default, but other methods' own), templates, names, a template with {} or a CSV file; in a
    table, for rows that name none."""
    preset: Literal["paper", "released"] = "released"
    """Recipe: of the paper's text or of the released code."""
    seed: int = 0
    """Seed of the training and of the shots; a table shows means over all seeds."""
    data: Path = Path("data")
    """Folder with one folder per data set, with the manifests named in configs/protocols."""
    views: str = "1x1"
    """Views of a tested clip in time x crops."""
    workers: int = 0
    """Test clips decoded at once; 0 takes all cores but one."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that replace values of every run's training configuration."""
    root: Path = Path(".")
    """Folder that holds configs/; runs/ and results/ go there."""

    def place(self) -> Place:
        """The folders of the runs; raises ConfigError if the folder holds no protocols or cannot be written."""
        check_project(self.root, "configs/protocols")
        from ezclip.evaluation.embed import ViewCount
        from ezclip.reproduction.protocols import Place

        files = dict(one.split("=", 1) for one in self.backbone if "=" in one)
        if lacking := [file for file in files.values() if not Path(file).exists()]:
            raise ConfigError(f"There is no file or folder {Path(lacking[0]).name}; --backbone takes ARCH=FILE.")
        views = ViewCount.parse(self.views)
        return Place(self.root, self.data, tuple(self.set), views, workers=self.workers, backbones=files)

    def chosen(self, **names: Any) -> Run:
        """A run with these settings, and ``names`` of fields that the command lacks."""
        from ezclip.checkpoints.rivals import TEXTS
        from ezclip.reproduction.protocols import Run

        named = [one for one in self.backbone if "=" not in one]
        if len(named) > 1:
            raise ConfigError(f"--backbone names {' and '.join(named[:2])}; give one, and others as ARCH=FILE.")
        own: dict[str, Any] = {f.name: vars(self)[f.name] for f in fields(Run) if f.name in vars(self)}
        own["backbone"] = named[0] if named else Run.backbone
        own["text"] = self.text or TEXTS.get(own.get("method", ""), Run.text)
        return Run(**names | own)


@dataclass
class Protocol(_Runs):
    """Train one model by a protocol of the paper and test its last and its best epoch.

    Example: accelerate launch -m ezclip protocol few_shot --trained-on ucf101 --shots 16
    """

    protocol: Annotated[str, tyro.conf.Positional]
    """zero_shot, base_to_novel, few_shot or supervised: a file of configs/protocols."""
    trained_on: str
    """Data set, a folder of --data."""
    shots: int | None = None
    """Clips per class; by default all."""
    method: Annotated[Built, tyro.conf.arg(aliases=["--variant"])] = "ezclip"
    """What to train; clip is only tested. Other methods than EZ-CLIP's have recipes of their own."""
    prompt_depth: Literal["deep", "shallow"] = "deep"
    """Prompts in every layer or in the first."""

    def run(self) -> int:
        """Train, test and print the result as JSON."""
        if self.shots is not None and self.shots < 1:
            raise ConfigError(f"--shots is {self.shots}; it must be at least 1.")
        place = self.place()
        from ezclip.reproduction.protocols import carry_out

        return run_launched(carry_out(self.chosen(), place))


@dataclass
class Table(_Runs):
    """Print a table of the paper next to the results measured here; with --run, make the missing runs.

    Data sets are at DATA/<set>/<list>.jsonl or .parquet, written by ezclip data check; configs/protocols names the
    lists. Interrupted runs are resumed; finished ones are skipped.

    Example: accelerate launch -m ezclip table 5 --run --data data --sets ucf101
    """

    number: Annotated[int, tyro.conf.Positional]
    """1 to 13."""
    run_missing: Annotated[bool, tyro.conf.arg(name="run")] = False
    """Make the missing runs."""
    measured: bool = False
    """Tables 1, 2 and 7: print the methods that were trained here, with costs and intervals; with --run, also train
    rivals, and measure all models."""
    sets: str | None = None
    """Train on these sets only, for example hmdb51,ucf101."""
    epoch: Literal["last", "best"] = "last"
    """Which epoch to print. Under the released preset the best one was selected on the test set, in zero-shot on the
    validation set of the trained one."""
    harmonic_mean: Literal["of-means", "mean"] = "of-means"
    """HM of several runs: of their mean accuracies, or the mean of their own."""
    unseen: Literal["paper", "names", "rivals"] = "paper"
    """Classes of Kinetics-600: the paper's 220 (inferred), all whose names were not trained (231), or the mean over
    the three lists of 160 that other methods use."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Make missing runs if asked, then print."""
        place, defaults = self.place(), self.chosen(protocol="", trained_on="")
        from ezclip.reproduction import tables
        from ezclip.reproduction.methods import FAIRNESS
        from ezclip.reproduction.protocols import carry_out
        from ezclip.reproduction.tables import Epoch, Shown, cells, markdown, measured, missing

        shown = Shown(self.epoch, self.harmonic_mean, self.unseen)
        printed = tables.as_measured if self.measured else tables.as_rows
        title, rows = printed(self.number, place, defaults, shown)
        filled = self.number not in (7, 8, 9)
        if self.run_missing:
            if not filled:
                raise ConfigError(f"Table {self.number} is not made of training runs; tables 1-6 and 10-13 are.")
            with launched() as processes, redirect_stdout(sys.stderr):
                main, sets = processes.is_main_process, self.sets.split(",") if self.sets else None
                for run in list(missing(self.number, place, defaults, sets, rivals=self.measured)):
                    on_terminal(carry_out(run, place), show=main)
            if not main:
                return 0
            if self.measured:
                tables.measure_costs(self.number, place, defaults)
            title, rows = printed(self.number, place, defaults, shown)
        note = NOTES[self.preset] if self.number not in (7, 8) else ""  # these two are costs and texts
        if not self.json:
            print(f"Table {self.number}. {title}\n\n{markdown(rows)}")
            if note:
                print(f"\n{note}")
            if self.measured:
                print("\nWhy published numbers are not alike:\n", *(f"- {line}" for line in FAIRNESS), sep="\n")
            return 0
        found = {"table": self.number, "title": title, "rows": rows, "note": note}
        if filled:
            found["cells"] = [
                _as_json(cell, {epoch: measured(cell, place, replace(shown, epoch=epoch)) for epoch in get_args(Epoch)})
                for row in cells(self.number, defaults)[1]
                for cell in row
            ]
        print_json(found)
        return 0


def _as_json(cell: Cell, found: dict[str, Measured | None]) -> Document:
    result: Document = {"row": cell.row, "column": cell.column, "paper": cell.paper}
    for epoch, value in found.items():
        result |= {
            epoch: value and value.mean,
            f"{epoch}_sd": value and value.sd,
            f"{epoch}_n": value.n if value else 0,
        }
    return result
