"""``python -m ezclip table``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import tyro

from ezclip.cli._protocols import Where
from ezclip.cli._shared import launched, print_json
from ezclip.errors import ConfigError


@dataclass
class Table:
    """Print a table of the paper beside what has been measured here; with --run, train and test what it lacks.

    Data sets lie as DATA/<set>/<list>.jsonl or .parquet, written by ezclip data check; configs/protocols names the
    lists. A run that was broken off goes on; a finished one is not made again.

    Example: accelerate launch -m ezclip table 5 --run --data data --sets ucf101
    """

    number: Annotated[int, tyro.conf.Positional]
    """1 to 13."""
    run_missing: Annotated[bool, tyro.conf.arg(name="run")] = False
    """Make the runs that the table lacks."""
    sets: str | None = None
    """Train on these sets only, for example hmdb51,ucf101."""
    preset: Literal["paper", "released"] = "released"
    """Recipe: of the paper's text or of the released code."""
    backbone: str = "clip:ViT-B-16-quickgelu/openai"
    """clip:ARCH/TAG or a folder, for rows that name none."""
    frames: int = 8
    """T, for rows that name none."""
    text: str = "descriptions"
    """descriptions, templates, names or a CSV file, for rows that name none."""
    seed: int = 0
    """Of the runs; results of all seeds are averaged."""
    epoch: Literal["last", "best"] = "last"
    """Which epoch to print. Under the released preset the best one was selected on the test set."""
    where: Annotated[Where, tyro.conf.arg(name="")] = field(default_factory=Where)
    """Folders, and what all runs share."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Make what is missing if asked, then print."""
        place = self.where.place()
        from ezclip.training.protocols import Run, carry_out
        from ezclip.training.tables import as_rows, cells, markdown, measured, missing

        defaults = Run(
            protocol="",
            trained_on="",
            backbone=self.backbone,
            num_frames=self.frames,
            text=self.text,
            preset=self.preset,
            seed=self.seed,
        )
        title, rows = as_rows(self.number, place, defaults, self.epoch)
        filled = self.number not in (7, 8, 9)
        if self.run_missing:
            if not filled:
                raise ConfigError(f"Table {self.number} is not made of training runs; tables 1-6 and 10-13 are.")
            say = partial(print, file=sys.stderr)
            with launched() as processes:
                main, sets = processes.is_main_process, self.sets.split(",") if self.sets else None
                for run in list(missing(self.number, place, defaults, sets)):
                    with redirect_stdout(sys.stderr):
                        carry_out(run, place, say=say if main else lambda _: None)
            if not main:
                return 0
            title, rows = as_rows(self.number, place, defaults, self.epoch)
        if not self.json:
            print(f"Table {self.number}. {title}\n\n{markdown(rows)}")
            return 0
        found = {"table": self.number, "title": title, "rows": rows}
        if filled:
            found["cells"] = [
                {"row": cell.row, "column": cell.column, "paper": cell.paper}
                | {epoch: value and value[0] for epoch in ("last", "best") for value in [measured(cell, place, epoch)]}
                for row in cells(self.number, defaults)[1]
                for cell in row
            ]
        print_json(found)
        return 0
