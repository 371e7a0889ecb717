"""``python -m ezclip probe``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name
from ezclip.cli._shared import Classes, check_exists, check_out, print_json


@dataclass
class Probe:
    """Does a model see motion in a clip? Its frames reversed, shuffled, frozen, at half and double speed.

    Example: python -m ezclip probe clip.mp4 --labels "opening something, closing something"
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file or folder of frames."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str | None = BASELINE
    """A second model."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names; by default those of the model."""
    out: Path | None = None
    """Folder for a report: table, chart and one self-contained page."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, run every variation under each model, print."""
        check_exists(self.clip)
        names = [self.model] if self.baseline in (None, self.model) else [self.baseline, self.model]
        for name in names:
            check_model_name(name)
        if self.out is not None:
            check_out(self.out)
        labels, own = self.classes.read(model=self.model)
        from ezclip.evaluation.analysis import Alone, frames_beside
        from ezclip.evaluation.evidence import Probe as Found
        from ezclip.evaluation.evidence import evidence_report, observe, probe
        from ezclip.evaluation.order import read_variations
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.text.templates import sentences

        host = Alone(self.device)
        found: dict[str, list[Found]] = {}
        for name in names:
            predictor = host.predictor(name)
            written = sentences(labels, self.classes.texts, predictor.templates, own)
            T = frames_beside(predictor, host.predictor(self.model))
            *_, seen = observe(predictor, read_variations(self.clip, T))
            assert isinstance(seen, list)
            found[name] = probe(predictor, seen, labels, written)
        clip = Path(self.clip).name
        report = evidence_report(found, {"clip": clip, "command": command_line("probe")} | card(names))
        if self.out is not None:
            report.write(self.out)
        if self.json:
            print_json({"clip": clip} | report.data)
            return 0
        for name, rows in found.items():
            print(name)
            for row in rows:
                print(f"  {row.variation:<17} {row.score:6.1%}  rank {row.rank:.1f}  {row.answer}")
        print(*report.data["verdicts"], sep="\n")
        return 0
