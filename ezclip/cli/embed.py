"""``python -m ezclip embed``, also ``accelerate launch -m ezclip embed``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import check_out, launched, print_json
from ezclip.data.manifest import digest_of, read_rows
from ezclip.errors import ConfigError
from ezclip.progress import on_terminal


@dataclass
class Embed:
    """Write the frame and video embeddings of a list of clips as Parquet and safetensors shards.

    Run it again to complete missing shards; ezclip evaluate --data DIR reads them.
    Example: accelerate launch -m ezclip embed data/k400/val.jsonl --out embedded/k400
    """

    data: Annotated[str, tyro.conf.Positional]
    """Manifest (JSONL or Parquet), a folder with manifest.jsonl, or a folder with one sub-folder for each class."""
    out: Path
    """Folder for the shards."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    views: str = "1x1"
    """Views of a clip in time x crops."""
    shard_size: int = 1024
    """Clips in a shard."""
    batch_size: int = 16
    """Clips in one forward pass."""
    workers: int = 0
    """Decoding processes; 0 decodes in the main process."""
    device: str = "auto"
    """auto, cpu, cuda or mps; under a launcher each process uses its own."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, embed and print the index."""
        rows = read_rows(self.data)
        check_model_name(self.model)
        check_out(self.out)
        if self.batch_size < 1 or self.shard_size < 1 or self.workers < 0:
            raise ConfigError("--batch-size and --shard-size must be at least 1, --workers at least 0.")
        from ezclip.evaluation.embed import ViewCount, write_shards
        from ezclip.predictor import Predictor

        views = ViewCount.parse(self.views)
        with launched(cpu=self.device == "cpu") as processes:
            device = str(processes.device)
            on_gpu = processes.num_processes > 1 and device.startswith("cuda")
            predictor = Predictor.load(self.model, device=device if on_gpu else self.device)
            about = {"model": self.model, "weights": predictor.identity.weights}
            steps = write_shards(
                predictor,
                rows,
                self.out,
                about | {"views": self.views, "data": digest_of(rows)},
                shard_size=self.shard_size,
                rank=processes.process_index,
                processes=processes.num_processes,
                batch_size=self.batch_size,
                views=views,
                workers=self.workers,
            )
            index = on_terminal(steps, show=processes.is_main_process)
            processes.wait_for_everyone()
            if not processes.is_main_process:
                return 0
        if self.json:
            print_json(index)
        else:
            print(f"{index['clips']} clips in {index['shards']} shards; read them with ezclip evaluate --data.")
        return 0
