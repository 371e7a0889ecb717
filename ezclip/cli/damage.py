"""``python -m ezclip damage``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name
from ezclip.cli._shared import Classes, check_exists, check_out, print_json
from ezclip.video.corrupt import Corruption


@dataclass
class Damage:
    """Rank class names for a clip whose frames are damaged, under two models.

    Example: python -m ezclip damage clip.mp4 --labels "waving, clapping" --darkness 0.6 --noise 0.3
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file or folder of frames."""
    damage: Annotated[Corruption, tyro.conf.arg(name="")] = field(default_factory=Corruption)
    """Each kind from 0 for none to 1."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names; by default those of the model."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str = BASELINE
    """The model that is compared with."""
    out: Path | None = None
    """Folder for a report: the damaged frames, the rankings and one self-contained page."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, damage, score, print."""
        check_exists(self.clip)
        for name in (self.model, self.baseline):
            check_model_name(name)
        if self.out is not None:
            check_out(self.out)
        labels, own = self.classes.read(model=self.model)
        from ezclip.evaluation.analysis import Alone, Request, finish
        from ezclip.evaluation.damage import Damaged, damage
        from ezclip.evaluation.provenance import card, command_line

        asked = Request(self.clip, tuple(labels), self.baseline, self.model, texts=self.classes.texts, sentences=own)
        found: Damaged = finish(damage(Alone(self.device), asked, self.damage))
        if self.out is not None:
            found.report({"command": command_line("damage")} | card(asked.models)).write(self.out)
        if self.json:
            print_json(found.as_json())
            return 0
        for name, ranked in found.predictions.items():
            print(name)
            for p in ranked[:5]:
                print(f"  {p.score:6.1%}  {p.label}")
        return 0
