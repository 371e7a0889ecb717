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
    """One model class by class, or two, from predictions.csv of ezclip evaluate --out or from the results that ship.

    Example: python -m ezclip compare base/predictions.csv ezclip/predictions.csv --out compared
    Example: python -m ezclip compare base ezclip
    """

    first: Annotated[str, tyro.conf.Positional]
    """Table of the first model; or base, motion, prompts or ezclip for what ships of it on Tabletop Motion."""
    second: Annotated[str | None, tyro.conf.Positional] = None
    """Table of a second model, on the same clips and classes."""
    out: Path | None = None
    """Folder for report.html, tables and figures."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Compare, write and print."""
        from ezclip.evaluation.shipped import shipped_study, shipped_variants

        given = [name for name in (self.first, self.second) if name is not None]
        shipped = set(given) <= set(shipped_variants())
        if not shipped and (missing := [name for name in given if not Path(name).is_file()]):
            raise UserError(
                f"There is no table {Path(missing[0]).name}; ezclip evaluate --out writes predictions.csv. What ships: "
                f"{', '.join(shipped_variants())}."
            )
        if self.out is not None:
            check_out(self.out)
        from ezclip.evaluation.class_study import study_tables
        from ezclip.evaluation.provenance import command_line

        study = shipped_study(given) if shipped else study_tables(given)
        if self.out is not None:
            study.report({"command": command_line("compare")}).write(self.out)
        if self.json:
            print_json(study.as_json())
            return 0
        print(study.verdict)
        if study.comparison is None:
            for label, row in study.as_json()["per_class"].items():
                print(f"  {row['top1']:6.1%}  {label} ({row['n']})")
            return 0
        for d in study.comparison.classes:
            print(f"  {100 * d.difference:+6.1f}  {d.label} ({d.n})")
        return 0
