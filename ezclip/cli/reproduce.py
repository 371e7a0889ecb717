"""``python -m ezclip reproduce``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ezclip.cli._shared import check_out


@dataclass
class Reproduce:
    """Draw the benchmark, train every variant, run every study, and write RESULTS.md.

    Example: python -m ezclip reproduce tabletop --resume --until study
    """

    what: Annotated[Literal["tabletop"], tyro.conf.Positional]
    """The benchmark."""
    fast: bool = False
    """A few clips and steps below runs/fast: shows in minutes that everything works, its numbers mean nothing."""
    resume: bool = False
    """Pass over steps that have left their result; without it everything is made anew."""
    until: str | None = None
    """Last step to run, for example study."""
    root: Path = Path(".")
    """Folder that holds configs/; data/, runs/, results/ and RESULTS.md go there."""

    def run(self) -> int:
        """Run the steps and say what was done."""
        check_out(self.root)
        from ezclip.errors import ConfigError
        from ezclip.training.reproduce import FAST, FULL, Reproduction, reproduce

        if not (self.root / "configs" / "tabletop.yaml").is_file():
            raise ConfigError(
                "There is no configs/tabletop.yaml here; run this in the project's folder, or give --root."
            )
        ran = reproduce(
            Reproduction(self.root, FAST if self.fast else FULL),
            resume=self.resume,
            until=self.until,
            say=lambda text: print(text, file=sys.stderr),
        )
        print(f"{len(ran)} steps done: {', '.join(ran) or 'nothing was left to do'}.")
        return 0
