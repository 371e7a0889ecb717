"""``python -m ezclip compare``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.cli._shared import check_out, print_json
from ezclip.errors import UserError


@dataclass
class Compare:
    """Two models class by class, from the predictions.csv that ezclip evaluate --out wrote of each.

    Example: python -m ezclip compare base/predictions.csv ezclip/predictions.csv --out compared
    """

    first: Annotated[Path, tyro.conf.Positional]
    """Table of the first model."""
    second: Annotated[Path, tyro.conf.Positional]
    """Table of the second model, on the same clips and classes."""
    out: Path | None = None
    """Folder for report.html, tables and figures."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Compare, write and print."""
        for path in (self.first, self.second):
            if not path.is_file():
                raise UserError(f"There is no table {path.name}; ezclip evaluate --out writes predictions.csv.")
        if self.out is not None:
            check_out(self.out)
        from ezclip.evaluation.class_study import two_tables
        from ezclip.evaluation.provenance import command_line

        study = two_tables(str(self.first), str(self.second))
        if self.out is not None:
            study.report({"command": command_line("compare")}).write(self.out)
        if self.json:
            print_json(study.comparison.as_json())
            return 0
        print(study.comparison.verdict)
        for d in study.comparison.classes:
            print(f"  {100 * d.difference:+6.1f}  {d.label} ({d.n})")
        return 0
