"""``python -m ezclip convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.cli._shared import check_out, print_json
from ezclip.errors import CheckpointError


@dataclass
class Convert:
    """Convert a .pt file of the EZ-CLIP or T2L release into a model folder.

    Example: python -m ezclip convert K400_ViT-B-16.pt checkpoints/k400
    """

    official: Annotated[Path, tyro.conf.Positional]
    """The release's file; only tensors are read from it."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder for config.json, adapter.safetensors and backbone.safetensors."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Convert and say what was found."""
        if not self.official.is_file():
            raise CheckpointError(f"There is no file {self.official.name}; give an official EZ-CLIP .pt file.")
        check_out(self.out)
        from ezclip.checkpoints.convert import convert

        found = convert(self.official, self.out)
        if self.json:
            print_json(found)
            return 0
        for key, value in found.items():
            print(f"{key:<11} {value}")
        return 0
