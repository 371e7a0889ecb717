"""``python -m ezclip explain``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name, own_labels
from ezclip.cli._shared import RolloutOptions, check_exists, check_out, print_json
from ezclip.text.labels import check_labels


@dataclass
class Explain:
    """Write attention maps of a clip: a strip of overlays, the T x T influence matrix, and the numbers.

    Example: python -m ezclip explain clip.mp4 --out maps --baseline tabletop/base
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file or folder of frames."""
    out: Path
    """Folder for strip.png, influence.png and maps.npz."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str | None = None
    """A second model, drawn on the same colour scale."""
    label: str | None = None
    """Class whose scores are reported, among the model's own classes and this one; by default the best."""
    method: str = "rollout"
    """rollout, rollout-own-frame, last-layer, released; and, of the label: gradient-rollout, grad-cam,
    integrated-gradients, occlusion."""
    rollout: Annotated[RolloutOptions, tyro.conf.arg(name="")] = field(default_factory=RolloutOptions)
    """Settings of rollouts."""
    prove: bool = False
    """Also measure how faithful each map is: deletion and insertion against random orders."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, explain with one or two models, write the files."""
        check_exists(self.clip)
        check_out(self.out)
        names = [self.model, *([self.baseline] if self.baseline else [])]
        for name in names:
            check_model_name(name)
        labels = own_labels(self.model)
        if self.label is not None:
            labels, _ = check_labels([*labels, self.label])
            self.label = next(name for name in labels if name.casefold() == " ".join(self.label.split()).casefold())
        from ezclip.explanation.compare import write_explanation
        from ezclip.explanation.registry import Options, check_method
        from ezclip.predictor import Predictor

        check_method(self.method)
        backbones: dict[str, Any] = {}
        predictors = [Predictor.load(name, device=self.device, backbones=backbones) for name in names]
        predictors[0].set_video(self.clip)
        result = write_explanation(
            self.out,
            *predictors,
            labels=labels,
            label=self.label,
            method=self.method,
            options=Options(**vars(self.rollout)),
            prove=self.prove,
        )
        if self.json:
            print_json(result)
        else:
            print("\n".join(result["files"].values()))
        return 0
