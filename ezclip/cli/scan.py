"""``python -m ezclip scan``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name, own_labels
from ezclip.cli._shared import check_exists, check_out, chosen_labels, print_json


@dataclass
class Scan:
    """Scores over a long video: a window slides over it, in constant memory.

    Example: python -m ezclip scan film.mp4 --labels "cooking, eating" --seconds 4 --step 2
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    seconds: float = 2.0
    """Length of a window."""
    step: float = 1.0
    """From the start of one window to the next."""
    labels: str | None = None
    """Class names; by default the model's own."""
    labels_file: Path | None = None
    """Text file with one name a line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A set that ships."""
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
        check_model_name(self.model)
        if self.out is not None:
            check_out(self.out)
        given = any(value is not None for value in (self.labels, self.labels_file, self.label_set))
        labels = chosen_labels(self.labels, self.labels_file, self.label_set) if given else own_labels(self.model)
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.evaluation.timeline import scan, timeline_report
        from ezclip.predictor import Predictor

        predictor = Predictor.load(self.model, device=self.device)
        moments = []
        for moment in scan([predictor], self.clip, labels, seconds=self.seconds, step=self.step):
            moments.append(moment)
            if not self.json:
                best = moment.predictions[predictor.name][0]
                print(f"{moment.start:8.2f} s  {best.score:6.1%}  {best.label}")
        clip = Path(self.clip).name
        if self.out is not None:
            made = {"clip": clip, "command": command_line("scan")} | card([self.model])
            timeline_report(moments, made).write(self.out)
        if self.json:
            windows = [moment.as_json(self.top_k) for moment in moments]
            print_json({"clip": clip, "model": self.model, "windows": windows})
        return 0
