"""``python -m ezclip synth`` and ``reproduce``: the benchmark Tabletop Motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ezclip.cli._shared import check_out, check_project
from ezclip.progress import on_terminal


@dataclass
class Synth:
    """Draw clips of the Tabletop Motion benchmark as mp4 files, with a manifest.

    Example: python -m ezclip synth data/tabletop --split val --clips-per-class 20 --seed 1
    """

    out: Annotated[Path, tyro.conf.Positional]
    """Receives SPLIT/<label>/<number>.mp4, SPLIT/manifest.jsonl and SPLIT/contact_sheet.png."""
    clips_per_class: int = 10
    """Clips of each class."""
    split: Literal["train", "val", "ood", "static"] = "val"
    """Splits of one seed have no clip in common; ood cycles through the out-of-distribution families, static through
    the versions of each scene that test for static bias."""
    seed: int = 0
    """The same seed gives the same clips."""
    masks: bool = False
    """Also write <number>.masks.npz: 0 background, 1 other objects, 2 moving objects."""
    surfaces: float = 0.0
    """Fraction of the train or val clips of a wider world: surfaces with the statistics of natural images, places, more
    things, arms of many looks."""
    plain: int = 0
    """Further clips of each class whose motion a camera or a single shape can make over a surface, for train or val."""

    def run(self) -> int:
        """Draw and print paths."""
        check_out(self.out)
        from ezclip.data.tabletop.generate import synthesise

        options = {"clips_per_class": self.clips_per_class, "seed": self.seed, "masks": self.masks}
        wider = {"surfaces": self.surfaces, "plain": self.plain}
        print(on_terminal(synthesise(self.out, split=self.split, **wider, **options)))
        return 0


@dataclass
class Reproduce:
    """Draw the benchmark, train every variant, run every study, and write RESULTS.md.

    Example: python -m ezclip reproduce tabletop --resume --until study
    """

    what: Annotated[Literal["tabletop"], tyro.conf.Positional]
    """The benchmark."""
    fast: bool = False
    """Smoke test of a few minutes with few clips and steps, in runs/fast; its numbers are meaningless."""
    resume: bool = False
    """Skip stages whose results exist; otherwise all stages run again."""
    until: str | None = None
    """Last stage to run, for example study."""
    root: Path = Path(".")
    """Folder that contains configs/; data/, runs/, results/ and RESULTS.md are written to it."""

    def run(self) -> int:
        """Run the stages and print their names."""
        check_project(self.root, "configs/tabletop.yaml")
        from ezclip.reproduction.stages import reproduce
        from ezclip.reproduction.tabletop import FAST, FULL, Reproduction

        steps = reproduce(Reproduction(self.root, FAST if self.fast else FULL), resume=self.resume, until=self.until)
        stages = on_terminal(steps)
        print(f"{len(stages)} stages done: {', '.join(stages) or 'nothing was left to do'}.")
        return 0
