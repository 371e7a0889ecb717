"""``python -m ezclip train`` and ``pretrain``, also under ``accelerate launch -m ezclip``."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ezclip.cli._shared import check_out, launched, print_json
from ezclip.config import PretrainConfig, TrainConfig, load_config
from ezclip.progress import Steps, on_terminal
from ezclip.types import Document


def run_launched(steps: Steps[Document]) -> int:
    """Run in the processes of ``accelerate launch``; the main process prints the progress and the result as JSON."""
    with launched() as processes:
        with redirect_stdout(sys.stderr):  # trackers print to stdout
            result = on_terminal(steps, show=processes.is_main_process)
        if processes.is_main_process:
            print_json(result)
    return 0


@dataclass
class Train:
    """Train adapters and prompts on a frozen backbone.

    Example: python -m ezclip train --config configs/tabletop.yaml --set steps=100 out=runs/trial
    """

    config: Path
    """YAML file, see ezclip.config.TrainConfig; presets are in configs/."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that override values of the file."""
    resume: Literal["no", "auto"] = "no"
    """auto resumes from the saved state in the folder of the run, if there is one."""

    def run(self) -> int:
        """Train and print the summary."""
        config = load_config(TrainConfig, self.config, self.set)
        check_out(Path(config.out))
        from ezclip.training.loop import train

        return run_launched(train(config, resume=self.resume == "auto"))


@dataclass
class Pretrain:
    """Train the compact CLIP on captioned stills and measure its zero-shot accuracy.

    Example: python -m ezclip pretrain --config configs/pretrain_tabletop.yaml
    """

    config: Path
    """YAML file, see ezclip.config.PretrainConfig."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that override values of the file."""
    resume: Literal["no", "auto"] = "no"
    """auto resumes from the saved state in the folder of the run, if there is one."""

    def run(self) -> int:
        """Train and print the content of pretrain.json."""
        config = load_config(PretrainConfig, self.config, self.set)
        check_out(Path(config.out))
        from ezclip.training.pretrain import pretrain

        return run_launched(pretrain(config, resume=self.resume == "auto"))
