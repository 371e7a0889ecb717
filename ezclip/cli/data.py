"""``python -m ezclip data check``, ``describe`` and ``embed``, also ``accelerate launch -m ezclip embed``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ezclip.checkpoints.catalog import DEFAULT, check_model_name
from ezclip.cli._shared import check_out, labels_from_options, launched, print_json
from ezclip.data.formats import Options, read_listing
from ezclip.data.manifest import digest_of, read_rows
from ezclip.errors import ConfigError
from ezclip.parameters import parameters_of
from ezclip.progress import on_terminal
from ezclip.studies.classes import BROKEN, Evaluate
from ezclip.text.labels import label_set

SHOWN = 5


@dataclass
class Data:
    """Detect the format of a downloaded data set, report broken and missing videos, and write a manifest.

    Supports class folders, the EZ-CLIP release's lists, UCF-101, HMDB-51, Kinetics, Something-Something v2,
    Something-Else, Chirality in Action, RTime (its reversed videos as ID_reversed), UCF101-DS, frame folders,
    WebDataset shards, and lists of path and label.

    Example: python -m ezclip data check ucfTrainTestlist --root UCF-101 --subset test --out ucf_test.jsonl
    """

    action: Annotated[Literal["check"], tyro.conf.Positional]
    """Action."""
    path: Annotated[Path, tyro.conf.Positional]
    """The list, or the folder of lists or videos."""
    root: Path | None = None
    """Folder of the videos, if not that of the list; absolute paths from another machine are matched below it."""
    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    """Options of some formats."""
    out: Path | None = None
    """Manifest to write: .jsonl or .parquet."""
    unpack: Path | None = None
    """Folder into which videos of WebDataset shards are extracted."""
    only: str | None = None
    """Keep only the classes of a shipped set, for example ssv2_temporal or kinetics400_temporal (arXiv 1907.08340)."""
    without: str | None = None
    """Leave out classes that are also in a shipped set, for example kinetics400."""
    quick: bool = False
    """Only check that the files exist; decode nothing."""
    jobs: int | None = None
    """Processes; all cores by default."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Detect, check, write, and print a summary; 0 even if videos are missing."""
        from ezclip.data.check import check, overlap, unpack

        if self.out is not None and self.out.suffix not in (".jsonl", ".parquet"):
            raise ConfigError(f"The manifest {self.out.name} must end in .jsonl or .parquet.")
        listing = read_listing(self.path, self.options)
        if self.only:
            listing = listing.only(label_set(self.only))
        if listing.form == "WebDataset shards":
            if self.unpack is None:
                raise ConfigError("Videos in WebDataset shards are extracted first; add --unpack FOLDER.")
            listing = unpack(listing, self.unpack)
        checked = on_terminal(check(listing, self.root, decode=not self.quick, jobs=self.jobs))
        excluded = overlap(checked.counts, label_set(self.without)) if self.without else []
        checked.rows[:] = [row for row in checked.rows if row["label"] not in excluded]
        if self.out is not None:
            checked.write(self.out)
        if self.json:
            print_json(checked.as_json() | {"left_out": excluded})
            return 0
        counts = checked.counts
        print(f"{checked.form}: {len(listing.names)} videos listed, {len(checked.rows)} good, {len(counts)} classes")
        for label, n in counts.items():
            print(f"  {n:6}  {label}")
        for title, names in (
            ("classes left out", excluded),
            ("missing", checked.missing),
            ("broken", [f"{name}: {reason}" for name, reason in checked.broken.items()]),
            ("damaged, kept", [f"{name}: {lost} frames lost" for name, lost in checked.damaged.items()]),
        ):
            if names:
                print(f"{len(names)} {title}, first:", *names[:SHOWN], sep="\n  ")
        return 0


@dataclass
class Describe:
    """Describe classes with your own language model; training (text=FILE) and evaluation (--texts FILE) read the file.

    Run it again to describe the remaining classes.
    Example: python -m ezclip describe --label-set ucf101 --endpoint http://localhost:8000/v1 --llm qwen3 --out ucf.csv
    """

    out: Path
    """CSV file for number, class and description."""
    llm: str
    """The model's name at the endpoint; without an endpoint, a chat model of transformers by name or folder."""
    endpoint: str | None = None
    """Address of an OpenAI-compatible API; its key is read from the environment variable OPENAI_API_KEY."""
    labels: str | None = None
    """Class names, separated by commas."""
    labels_file: Path | None = None
    """Text file with one name per line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A shipped set."""

    def run(self) -> int:
        """Describe the missing classes and print how many."""
        labels = labels_from_options(self.labels, self.labels_file, self.label_set)
        check_out(self.out.parent)
        if self.out.suffix != ".csv":
            raise ConfigError(f"{self.out.name} must end in .csv.")
        from ezclip.text.generate import endpoint, local, write_descriptions

        key = os.environ.get("OPENAI_API_KEY", "none")
        ask = endpoint(self.endpoint, self.llm, key) if self.endpoint else local(self.llm)
        count = on_terminal(write_descriptions(labels, ask, self.out))
        print(f"{count} of {len(labels)} classes were described; all are in {self.out.name}.")
        return 0


@dataclass
class Embed:
    """Write the frame and video embeddings of a list of clips as Parquet and safetensors shards.

    Run it again to complete missing shards; ezclip evaluate --data DIR reads them.
    Example: accelerate launch -m ezclip embed data/k400/val.jsonl --out embedded/k400
    """

    data: Annotated[str, tyro.conf.Positional]
    """Manifest (JSONL or Parquet), a folder with manifest.jsonl, or a folder with one sub-folder per class."""
    out: Path
    """Folder for the shards."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    views: str = "1x1"
    """Views of a clip in time x crops."""
    shard_size: int = 1024
    """Clips in a shard."""
    batch_size: int | None = None
    """Clips per forward pass; by default 16, on a GPU as many as fit into half of its free memory."""
    workers: int = 0
    """Processes that decode clips; 0 takes all cores but one."""
    max_broken: Annotated[float, tyro.conf.arg(help=BROKEN.help)] = Evaluate.max_broken
    device: str = "auto"
    """auto, cpu, cuda or mps; under a launcher each process uses its own GPU."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Check, embed and print the index."""
        rows = read_rows(self.data)
        check_model_name(self.model)
        check_out(self.out)
        next(field for field in parameters_of(Evaluate) if field.name == "max_broken").check(self.max_broken)
        if (self.batch_size is not None and self.batch_size < 1) or self.shard_size < 1 or self.workers < 0:
            raise ConfigError("--batch-size and --shard-size must be at least 1, --workers at least 0.")
        from ezclip.evaluation.embed import ViewCount
        from ezclip.evaluation.shards import write_shards
        from ezclip.predictor import Predictor

        views = ViewCount.parse(self.views)
        with launched(cpu=self.device == "cpu") as processes:
            device = str(processes.device)
            on_gpu = processes.num_processes > 1 and device.startswith("cuda")
            predictor = Predictor.load(self.model, device=device if on_gpu else self.device)
            origin = {"model": self.model, "weights": predictor.identity.weights}
            steps = write_shards(
                predictor,
                rows,
                self.out,
                origin | {"views": self.views, "data": digest_of(rows)},
                shard_size=self.shard_size,
                rank=processes.process_index,
                processes=processes.num_processes,
                batch_size=self.batch_size,
                views=views,
                workers=self.workers,
                max_broken=self.max_broken,
            )
            index = on_terminal(steps, show=processes.is_main_process)
            processes.wait_for_everyone()
            if not processes.is_main_process:
                return 0
        if self.json:
            print_json(index)
        else:
            print(
                f"{index['clips']} clips in {index['shards']} shards; read them with ezclip evaluate --data. "
                f"The device waited for clips in {index['device_waits']:.0%} of the time."
            )
        return 0
