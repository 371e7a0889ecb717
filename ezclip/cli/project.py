"""``python -m ezclip project``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ezclip.checkpoints.catalog import check_model_name
from ezclip.cli._shared import check_exists, check_out, print_json


@dataclass
class Project:
    """Lay the frames of clips out in a plane, two models in one fit (Fig. 8).

    Example: python -m ezclip project a.mp4 b.mp4 --out plane --first tabletop/prompts --second tabletop/ezclip
    """

    clips: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Video files or folders of frames."""
    out: Path
    """Folder for the report: plane.png and .svg, points.csv and .json, spread.csv and .json, report.html."""
    first: str = "tabletop/prompts"
    """Name, folder or clip:ARCH/TAG."""
    second: str = "tabletop/ezclip"
    """A model of the same number of frames."""
    method: Literal["t-SNE", "UMAP", "PCA"] = "t-SNE"
    """The projection."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, embed, project, write."""
        for clip in self.clips:
            check_exists(clip)
        check_out(self.out)
        for name in (self.first, self.second):
            check_model_name(name)
        from ezclip.evaluation.frames import lay_out
        from ezclip.evaluation.provenance import card, command_line
        from ezclip.predictor import Predictor
        from ezclip.video.decode import read_clip
        from ezclip.video.sampling import segment_centres

        backbones: dict[str, Any] = {}
        models = [Predictor.load(name, device=self.device, backbones=backbones) for name in (self.first, self.second)]
        pick = partial(segment_centres, T=models[1].model.num_frames)
        layout = lay_out(models, [read_clip(clip, pick) for clip in self.clips], self.method)
        made = {"clips": ", ".join(clip.name for clip in layout.clips), "command": command_line("project")}
        files = layout.report(made | card([self.first, self.second])).write(self.out)
        if self.json:
            print_json(layout.as_json() | {"files": {kind: str(path) for kind, path in files.items()}})
        else:
            print(*files.values(), sep="\n")
        return 0
