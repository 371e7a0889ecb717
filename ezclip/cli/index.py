"""``python -m ezclip index``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import check_out, print_json
from ezclip.errors import ConfigError
from ezclip.progress import on_terminal
from ezclip.types import Document, Keywords
from ezclip.video.sampling import SHORTEST

LONGEST = 600.0


@dataclass
class Index:
    """Embed the videos of a folder, so that ezclip search and clusters find moments in them.

    Run it again to go on after an interruption, and to take in new, changed and removed videos. Several processes and
    machines that run it with the same folders share the work.
    Example: python -m ezclip index videos --out videos.index && python -m ezclip search videos.index "somebody falls"
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of videos, searched with its sub-folders, or a manifest (JSONL or Parquet)."""
    out: Path
    """Folder for the index."""
    model: tuple[str, ...] = (DEFAULT,)
    """Names, folders or clip:ARCH/TAG; with several, each gets an index in a sub-folder, and search --model chooses."""
    seconds: float = 2.0
    """Length of a window in seconds; 0 embeds each video as one clip."""
    step: float = 1.0
    """Seconds from the start of one window to the next."""
    frames: bool = False
    """Keep the embedding of every frame, too: T times the size."""
    shard_size: int = 256
    """Most videos in a shard, which one process embeds at a time."""
    batch_size: int = 16
    """Windows in one forward pass."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    engine: Literal["process", "ray"] = "process"
    """ray shares the work among the workers of a Ray cluster: pip install "ezclip[ray]"."""
    workers: int = 0
    """Of the engine ray; 0 for one for each GPU, or core, of the cluster."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, embed and print a summary; 0 even if videos could not be read."""
        if not self.source.exists():
            raise ConfigError(f"There is no folder or manifest {self.source.name}; check the path.")
        for name in self.model:
            check_model_name(name)
        check_out(self.out)
        if self.seconds and not SHORTEST <= self.seconds <= LONGEST or not SHORTEST <= self.step <= LONGEST:
            raise ConfigError(f"--seconds and --step must be {SHORTEST} to {LONGEST:g}; --seconds may also be 0.")
        if self.shard_size < 1 or self.batch_size < 1 or self.workers < 0:
            raise ConfigError("--shard-size and --batch-size must be at least 1, --workers at least 0.")
        from ezclip.collection.layout import place_for

        made = [self._made(model, out) for model, out in place_for(self.out, list(dict.fromkeys(self.model))).items()]
        if self.json:
            print_json(made if len(made) > 1 else made[0])
            return 0
        for found in made:
            print(f"{found['model']}: " if len(made) > 1 else "", end="")
            print(f"{found['clips']} videos, {found['windows']} windows; {len(found['skipped'])} could not be read.")
            for path, reason in found["skipped"].items():
                print(f"  {path}: {reason}")
        return 0

    def _made(self, model: str, out: Path) -> Document:
        from ezclip.collection.index import build
        from ezclip.predictor import Predictor

        options: Keywords = {
            name: getattr(self, name) for name in ("seconds", "step", "frames", "shard_size", "batch_size")
        }
        if self.engine == "ray":
            from ezclip.collection.on_ray import on_ray

            options["engine"] = on_ray(model, self.device, self.workers)
        predictor = Predictor.load(model, device="cpu" if self.engine == "ray" else self.device)
        with redirect_stdout(sys.stderr):  # Ray prints to it
            return on_terminal(build(predictor, self.source, out, **options))
