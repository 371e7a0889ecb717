"""``python -m ezclip train``, also ``accelerate launch -m ezclip train``."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ezclip.cli._shared import check_out, launched, print_json
from ezclip.config import TrainConfig, load_config


@dataclass
class Train:
    """Train adapters and prompts on a frozen backbone.

    Example: python -m ezclip train --config configs/tabletop.yaml --set steps=100 out=runs/trial
    """

    config: Path
    """YAML file, see ezclip.config.TrainConfig; presets are in configs/."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that replace values of the file."""
    resume: Literal["no", "auto"] = "no"
    """auto goes on from the state in the run's folder, if there is one."""

    def run(self) -> int:
        """Train and print the summary."""
        config = load_config(TrainConfig, self.config, self.set)
        check_out(Path(config.out))
        from ezclip.training.loop import train

        with launched() as processes:
            with redirect_stdout(sys.stderr):  # trackers talk
                summary = train(config, resume=self.resume == "auto")
            if processes.is_main_process:
                print_json(summary)
        return 0
