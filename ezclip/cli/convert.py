"""``python -m ezclip convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import model_folder, read_config
from ezclip.cli._shared import check_out, print_json, warn
from ezclip.errors import CheckpointError
from ezclip.types import Document


@dataclass
class Convert:
    """Convert a .pt file of the EZ-CLIP or T2L release into a model folder, or a model folder into such a file.

    Example: python -m ezclip convert K400_ViT-B-16.pt checkpoints/k400
    """

    source: Annotated[Path, tyro.conf.Positional]
    """The release's file (only tensors are read), or a model's name or folder."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder for config.json, adapter.safetensors and backbone.safetensors; or a .pt file in the release's layout."""
    frames: int | None = None
    """T, if not the file's: prompts are interpolated, which only approximates the trained model."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Convert and print a summary."""
        found = self._export() if self.out.suffix == ".pt" else self._convert()
        if self.json:
            print_json(found)
            return 0
        if self.out.suffix != ".pt":
            found |= {"backbone": read_config(self.out).openai}
        for key, value in found.items():
            print(f"{key:<11} {value}")
        return 0

    def _convert(self) -> Document:
        if not self.source.is_file():
            raise CheckpointError(f"There is no file {self.source.name}; give an official EZ-CLIP .pt file.")
        check_out(self.out)
        from ezclip.checkpoints.convert import convert

        found = convert(self.source, self.out, num_frames=self.frames)
        if self.frames is not None:
            warn([f"The prompts were interpolated to {self.frames} frames; the model was not trained with these."])
        return found

    def _export(self) -> Document:
        folder = model_folder(str(self.source))
        check_out(self.out.parent)
        from ezclip.checkpoints.convert import export_official

        return export_official(folder, self.out)
