"""``python -m ezclip analyse``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name, own_labels
from ezclip.cli._shared import RolloutOptions, check_exists, check_out, chosen_labels, print_json, warn
from ezclip.errors import LabelError, UserError
from ezclip.text.templates import read_descriptions


@dataclass
class Analyse:
    """Everything that the app shows of a clip: rankings, maps, spread and proof of two models or more, in a report.

    Example: python -m ezclip analyse clip.mp4 --labels "waving, clapping" --out report --prove
    """

    clip: Annotated[str, tyro.conf.Positional]
    """Video file or folder of frames."""
    out: Path
    """Folder for report.html, tables (CSV, JSON), figures (PNG, SVG), maps.npz and overlay.mp4."""
    labels: str | None = None
    """Class names, separated by commas or one a line; by default those of the model."""
    labels_file: Path | None = None
    """Text file with one name a line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A set that ships."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    baseline: str = BASELINE
    """The model that is compared with."""
    further: tuple[str, ...] = ()
    """More models, drawn below."""
    texts: Literal["trained", "names", "templates", "descriptions"] = "trained"
    """What a name becomes: as the model was trained, the bare name, 16 templates, or the description that ships."""
    sentences: Path | None = None
    """CSV with number, class and own sentence, for some of the names."""
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
        given = any(value is not None for value in (self.labels, self.labels_file, self.label_set))
        for name in (self.model, self.baseline, *self.further):
            check_model_name(name)
        labels = chosen_labels(self.labels, self.labels_file, self.label_set) if given else own_labels(self.model)
        own = read_descriptions(self.sentences) if self.sentences else {}
        if strange := [name for name in own if name not in labels]:
            raise LabelError(f"{len(strange)} names of {self.sentences} are no class names, first {strange[0]!r}.")
        if not 0 <= self.opacity <= 1:
            raise UserError(f"--opacity is {self.opacity}; it must be between 0 and 1.")
        from ezclip.evaluation.analysis import Alone, Request, analyse, finish
        from ezclip.evaluation.analysis_files import write_analysis
        from ezclip.evaluation.proof import prove, truth
        from ezclip.explanation.registry import check_method

        check_method(self.method)
        shared = ("baseline", "model", "further", "texts", "method", "target", "opacity", "difference")
        options: dict[str, Any] = {name: getattr(self, name) for name in shared} | vars(self.rollout)
        host = Alone(self.device)
        analysis = finish(analyse(host, Request(self.clip, tuple(labels), sentences=own, **options)))
        proofs = finish(prove(host, analysis)) if self.prove else truth(analysis)
        result = write_analysis(self.out, analysis, proofs, host)
        if self.json:
            print_json(result)
            return 0
        warn(analysis.warnings)
        for found in analysis.results:
            print(found.name)
            for p in found.predictions[:5]:
                print(f"  {p.score:6.1%}  {p.label}")
        print(f"Nearest to {analysis.target}: " + ", ".join(f"{n} ({c:.3f})" for n, c in analysis.nearest))
        print(f"The report is {result['files']['page']}", file=sys.stderr)
        return 0
