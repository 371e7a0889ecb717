"""``python -m ezclip protocol``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from ezclip.cli._protocols import Where
from ezclip.cli._shared import launched, print_json
from ezclip.errors import ConfigError


@dataclass
class Protocol:
    """Train one model as a protocol of the paper says and test its last and its best epoch.

    Example: accelerate launch -m ezclip protocol few_shot --trained-on ucf101 --shots 16
    """

    protocol: Annotated[str, tyro.conf.Positional]
    """zero_shot, base_to_novel, few_shot or supervised: a file of configs/protocols."""
    trained_on: str
    """Data set, a folder of --data."""
    shots: int | None = None
    """Clips a class; by default all."""
    variant: Literal["clip", "base", "motion", "prompts", "ezclip"] = "ezclip"
    """What is trained; clip is only tested."""
    prompt_depth: Literal["deep", "shallow"] = "deep"
    """Prompts in every layer or in the first."""
    backbone: str = "clip:ViT-B-16-quickgelu/openai"
    """clip:ARCH/TAG or a folder."""
    frames: int = 8
    """T."""
    text: str = "descriptions"
    """descriptions, templates, names or a CSV file."""
    preset: Literal["paper", "released"] = "released"
    """Recipe: of the paper's text or of the released code."""
    seed: int = 0
    """Of the training and of the draw of shots."""
    where: Annotated[Where, tyro.conf.arg(name="")] = field(default_factory=Where)
    """Folders, and what all runs share."""

    def run(self) -> int:
        """Train, test and print the result as JSON."""
        if self.shots is not None and self.shots < 1:
            raise ConfigError(f"--shots is {self.shots}; it must be at least 1.")
        place = self.where.place()
        from ezclip.training.protocols import Run, carry_out

        run = Run(
            self.protocol,
            self.trained_on,
            self.shots,
            self.variant,
            self.prompt_depth,
            self.backbone,
            self.frames,
            self.text,
            self.preset,
            self.seed,
        )
        with launched() as processes:
            with redirect_stdout(sys.stderr):
                result = carry_out(run, place)
            if processes.is_main_process:
                print_json(result)
        return 0
