"""``python -m ezclip scan``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import Classes, check_exists, check_out, print_json
from ezclip.errors import UserError


@dataclass
class Scan:
    """Scores over a long video: a window slides over it, in constant memory.

    Example: python -m ezclip scan film.mp4 --labels "cooking, eating" --seconds 4 --step 2
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str | None = None
    """A second model."""
    seconds: float = 2.0
    """Length of a window."""
    step: float = 1.0
    """From the start of one window to the next."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names; by default those of the model."""
    top_k: int = 3
    """Predictions of each window."""
    out: Path | None = None
    """Folder for a report: scores of every window, charts and one self-contained page."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, slide, print."""
        check_exists(self.clip)
        names = [self.baseline, self.model] if self.baseline and self.baseline != self.model else [self.model]
        for name in names:
            check_model_name(name)
        if self.out is not None:
            check_out(self.out)
        labels, own = self.classes.read(model=self.model)
        if self.top_k < 1:
            raise UserError(f"--top-k is {self.top_k}; it must be at least 1.")
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.evaluation.timeline import scan, score_window, timeline_report
        from ezclip.predictor import Predictor
        from ezclip.text.templates import sentences

        backbones: dict[str, Any] = {}
        predictors = [Predictor.load(name, device=self.device, backbones=backbones) for name in names]
        moments = []

        def written(predictor: Predictor) -> dict[str, list[str]]:
            return sentences(labels, self.classes.texts, predictor.templates, own)

        for window in scan(predictors, self.clip, seconds=self.seconds, step=self.step):
            moment = score_window(window, predictors, labels, written)
            moments.append(moment)
            for name in [] if self.json else names:
                best = moment.ranked(name, 1)[0]
                print(f"{moment.start:8.2f} s  {best.score:6.1%}  {best.label}{f'  {name}' if self.baseline else ''}")
        clip = Path(self.clip).name
        if self.out is not None:
            made = {"clip": clip, "command": command_line("scan")} | card(names)
            timeline_report(moments, made).write(self.out)
        if self.json:
            windows = [moment.as_json(self.top_k) for moment in moments]
            print_json({"clip": clip, "model": self.model, "windows": windows})
        return 0
