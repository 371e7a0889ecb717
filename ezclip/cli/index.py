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
from ezclip.video.sampling import MIN_SECONDS

LONGEST = 600.0


@dataclass
class Index:
    """Embed the videos of a folder for ezclip search and ezclip clusters.

    Run it again to resume after an interruption, or to update the index after videos were added, changed or removed.
    Several processes and machines that run it with the same folders share the work.
    Example: python -m ezclip index videos --out videos.index && python -m ezclip search videos.index "somebody falls"
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Folder of videos, searched recursively, or a manifest (JSONL or Parquet)."""
    out: Path
    """Folder for the index."""
    model: tuple[str, ...] = (DEFAULT,)
    """Names, folders or clip:ARCH/TAG; several models get one sub-folder each, selected by search --model."""
    seconds: float = 2.0
    """Length of a window in seconds; 0 embeds each video as one clip."""
    step: float = 1.0
    """Seconds from the start of one window to the next."""
    frames: bool = False
    """Also keep the embedding of every frame: T times the size."""
    shard_size: int = 256
    """Maximum number of videos per shard, the unit of work of a process."""
    batch_size: int = 16
    """Windows per forward pass."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    engine: Literal["process", "ray"] = "process"
    """ray distributes the work over a Ray cluster: pip install "ezclip[ray]"."""
    workers: int = 0
    """Number of Ray workers; 0 for one per GPU, or per core, of the cluster."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, embed and print a summary; 0 even if videos could not be read."""
        if not self.source.exists():
            raise ConfigError(f"There is no folder or manifest {self.source.name}; check the path.")
        for name in self.model:
            check_model_name(name)
        check_out(self.out)
        if self.seconds and not MIN_SECONDS <= self.seconds <= LONGEST or not MIN_SECONDS <= self.step <= LONGEST:
            raise ConfigError(f"--seconds and --step must be {MIN_SECONDS} to {LONGEST:g}; --seconds may also be 0.")
        if self.shard_size < 1 or self.batch_size < 1 or self.workers < 0:
            raise ConfigError("--shard-size and --batch-size must be at least 1, --workers at least 0.")
        from ezclip.collection.layout import index_folders

        indexes = [
            self._build(model, out) for model, out in index_folders(self.out, [*dict.fromkeys(self.model)]).items()
        ]
        if self.json:
            print_json(indexes if len(indexes) > 1 else indexes[0])
            return 0
        for index in indexes:
            print(f"{index['model']}: " if len(indexes) > 1 else "", end="")
            print(f"{index['clips']} videos, {index['windows']} windows; {len(index['skipped'])} could not be read.")
            for path, reason in index["skipped"].items():
                print(f"  {path}: {reason}")
        return 0

    def _build(self, model: str, out: Path) -> Document:
        from ezclip.collection.index import build
        from ezclip.predictor import Predictor

        options: Keywords = {
            name: getattr(self, name) for name in ("seconds", "step", "frames", "shard_size", "batch_size")
        }
        if self.engine == "ray":
            from ezclip.collection.on_ray import ray_engine

            options["engine"] = ray_engine(model, self.device, self.workers)
        predictor = Predictor.load(model, device="cpu" if self.engine == "ray" else self.device)
        with redirect_stdout(sys.stderr):  # Ray prints to stdout
            return on_terminal(build(predictor, self.source, out, **options))
