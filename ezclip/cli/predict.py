"""``python -m ezclip predict``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import Classes, check_exists, print_json
from ezclip.errors import UserError, VideoError
from ezclip.text.templates import sentences
from ezclip.video.corrupt import Corruption, corrupt
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres


@dataclass
class Predict:
    """Rank class names for clips.

    Example: python -m ezclip predict clip.mp4 --labels "waving, clapping, jumping"
    """

    clips: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Video files or folders of frames."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    damage: Annotated[Corruption, tyro.conf.arg(name="")] = field(default_factory=Corruption)
    """Damage to the frames, each kind from 0 for none to 1."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    top_k: int = 5
    """Predictions that are shown; JSON holds as many."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check everything that is cheap to check, then load the model and go through the clips."""
        labels, own = self.classes.read()
        if self.top_k < 1:
            raise UserError(f"--top-k is {self.top_k}; it must be at least 1.")
        check_model_name(self.model)
        if not self.clips:
            raise UserError("Give at least one clip.")
        if len(self.clips) == 1:
            check_exists(self.clips[0])
        from ezclip.predictor import Predictor

        predictor = Predictor.load(self.model, device=self.device)
        written = sentences(labels, self.classes.texts, predictor.templates, own)
        results: list[dict[str, Any]] = []
        for path in self.clips:
            try:
                clip = read_clip(path, partial(segment_centres, T=predictor.model.num_frames))
                predictor.set_video(corrupt(clip, self.damage))
                results.append(predictor.report(labels, top_k=self.top_k, sentences=written))
            except VideoError as error:
                if len(self.clips) == 1:
                    raise
                results.append({"clip": Path(path).name, "error": str(error)})
        failed = any("error" in result for result in results)
        if self.json:
            print_json(results[0] if len(results) == 1 else results)
        else:
            for result in results:
                _print(result)
        if failed:
            print("Some clips could not be read; see their errors.", file=sys.stderr)
        return 2 if failed else 0


def _print(result: dict[str, Any]) -> None:
    print(result["clip"])
    if "error" in result:
        print(f"  {result['error']}")
        return
    for p in result["predictions"]:
        print(f"  {p['score']:6.1%}  {p['label']}")
