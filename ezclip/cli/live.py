"""``python -m ezclip live``."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name
from ezclip.cli._shared import Classes
from ezclip.errors import UserError


@dataclass
class Live:
    """Scores of a camera or a stream, its newest moments again and again, under two models; Ctrl+C ends it.

    Example: python -m ezclip live camera:0 --labels "waving, clapping"
    """

    source: Annotated[str, tyro.conf.Positional]
    """camera:NUMBER (on Windows camera:NAME), the address of a stream, or a video file."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str = BASELINE
    """A second model."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names; by default those of the model."""
    seconds: float = 2.0
    """Length of the window."""
    top_k: int = 3
    """Predictions that are shown."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print a line of JSON for each window."""

    def run(self) -> int:
        """Check, then score window after window."""
        names, own = self.classes.read(model=self.model)
        for name in (self.model, self.baseline):
            check_model_name(name)
        if self.seconds <= 0 or self.top_k < 1:
            raise UserError(f"--seconds is {self.seconds}, --top-k {self.top_k}; both must be above 0.")
        from ezclip.evaluation.analysis import Alone, Request
        from ezclip.evaluation.live import score_live, watch

        host = Alone(self.device)
        asked = Request(None, tuple(names), self.baseline, self.model, texts=self.classes.texts, sentences=own)
        for name in asked.models:
            host.predictor(name)
        began = time.monotonic()
        with suppress(KeyboardInterrupt):
            for held in watch(self.source, self.seconds):
                found = {name: ranked[: self.top_k] for name, ranked in score_live(host, asked, held).items()}
                seconds = round(time.monotonic() - began, 3)
                if self.json:
                    models = {name: [vars(p) for p in ranked] for name, ranked in found.items()}
                    print(json.dumps({"seconds": seconds, "models": models}, ensure_ascii=False), flush=True)
                    continue
                for name, ranked in found.items():
                    best = ", ".join(f"{p.label} {p.score:.0%}" for p in ranked)
                    print(f"{seconds:8.1f} s  {name}  {best}", flush=True)
        return 0
