"""``python -m ezclip synth``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ezclip.cli._shared import check_out


@dataclass
class Synth:
    """Draw clips of the Tabletop Motion benchmark as mp4 files, with a manifest.

    Example: python -m ezclip synth data/tabletop --split val --clips-per-class 20 --seed 1
    """

    out: Annotated[Path, tyro.conf.Positional]
    """Receives SPLIT/<label>/<number>.mp4, SPLIT/manifest.jsonl and SPLIT/contact_sheet.png."""
    clips_per_class: int = 10
    """Clips of each class."""
    split: Literal["train", "val", "ood"] = "val"
    """Splits of one seed have no clip in common; ood goes through the out-of-distribution families."""
    seed: int = 0
    """Same seed, same clips."""
    masks: bool = False
    """Also write <number>.masks.npz: 0 background, 1 things that take no part, 2 what moves."""
    samples: bool = False
    """Write the app's sample clips straight into OUT instead of a split."""

    def run(self) -> int:
        """Draw and say where."""
        check_out(self.out)
        from ezclip.data.tabletop.generate import synthesise, write_samples

        if self.samples:
            print(*write_samples(self.out), sep="\n")
            return 0
        print(
            synthesise(
                self.out, clips_per_class=self.clips_per_class, split=self.split, seed=self.seed, masks=self.masks
            )
        )
        return 0
