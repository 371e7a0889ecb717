"""``python -m ezclip analyse``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name
from ezclip.cli._shared import Classes, RolloutOptions, check_exists, check_out, print_json, warn


@dataclass
class Analyse:
    """Everything that the app shows of a clip: rankings, maps, spread and proof of two models or more, in a report.

    Example: python -m ezclip analyse clip.mp4 --labels "waving, clapping" --out report --prove
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file or folder of frames."""
    out: Path
    """Folder for report.html, tables (CSV, JSON), figures (PNG, SVG), maps.npz and overlay.mp4."""
    classes: Annotated[Classes, tyro.conf.arg(name="")] = field(default_factory=Classes)
    """Class names; by default those of the model."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str = BASELINE
    """The model that is compared with."""
    further: tuple[str, ...] = ()
    """More models, drawn below."""
    method: str = "rollout"
    """rollout, rollout-own-frame, last-layer, released; and, of the target: gradient-rollout, grad-cam,
    integrated-gradients, occlusion."""
    target: str = ""
    """Class name that is explained; by default the model's best."""
    rollout: Annotated[RolloutOptions, tyro.conf.arg(name="")] = field(default_factory=RolloutOptions)
    """Settings of rollouts."""
    opacity: float = 0.6
    """Of the maps over the frames, 0 to 1."""
    difference: bool = False
    """Also draw the model's map minus the baseline's."""
    prove: bool = False
    """Also measure how faithful each map is."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, analyse, write and print."""
        check_exists(self.clip)
        check_out(self.out)
        for name in (self.model, self.baseline, *self.further):
            check_model_name(name)
        labels, own = self.classes.read(model=self.model)
        from ezclip.evaluation.analysis import Alone, Request, analyse, finish
        from ezclip.evaluation.analysis_files import write_analysis
        from ezclip.evaluation.proof import prove, truth
        from ezclip.explanation.registry import check_method

        check_method(self.method)
        shared = ("baseline", "model", "further", "method", "target", "opacity", "difference")
        options: dict[str, Any] = {name: getattr(self, name) for name in shared} | vars(self.rollout)
        host = Alone(self.device)
        request = Request(self.clip, tuple(labels), texts=self.classes.texts, sentences=own, **options)
        analysis = finish(analyse(host, request))
        proofs = finish(prove(host, analysis)) if self.prove else truth(analysis)
        result = write_analysis(self.out, analysis, proofs, host)
        if self.json:
            print_json(result)
            return 0
        warn(analysis.warnings)
        print(analysis.verdict)
        for found in analysis.results:
            print(found.name)
            for p in found.predictions[:5]:
                print(f"  {p.score:6.1%}  {p.label}")
        print(f"Nearest to {analysis.target}: " + ", ".join(f"{n} ({c:.3f})" for n, c in analysis.nearest))
        print(f"The report is {result['files']['page']}", file=sys.stderr)
        return 0
