"""Embeddings of many clips: batch by batch, or in shards on disk that several processes write and a rerun completes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from ezclip.checkpoints.identity import Identity
from ezclip.data.dataset import Views
from ezclip.data.manifest import Row
from ezclip.errors import ConfigError
from ezclip.files import write_atomically, write_json
from ezclip.model.interface import Video
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Document
from ezclip.video.transforms import static_copy

INDEX = "embedding.json"


class ViewCount(NamedTuple):
    """How many views of a clip are embedded, in time and in space."""

    temporal: int = 1
    spatial: int = 1

    @classmethod
    def parse(cls, text: str) -> ViewCount:
        """Read "4x3": 4 views in time, each with 3 crops.

        Raises:
            ConfigError: another format.
        """
        temporal, cross, spatial = text.partition("x")
        if not cross or not all(part.isdigit() and 1 <= int(part) <= 16 for part in (temporal, spatial)):
            raise ConfigError(f'Views are {text!r}; give times x crops, each 1 to 16, such as "1x1" or "4x3".')
        return cls(int(temporal), int(spatial))

    def __str__(self) -> str:
        return f"{self.temporal}x{self.spatial}"


ONE_VIEW = ViewCount()


@dataclass
class Embedded:
    """Frame embeddings of clips.

    Attributes:
        rows: the clips that could be read.
        frames: (B, V, T, E) float32, not normalised, of V views.
        context: (B, V, N, E) float32, see ``model.interface.Video``; empty for models without.
        static: (B, T, E) of the middle view's middle frame repeated T times; empty unless requested.
        skipped: clips that could not be read, with the reason.
    """

    rows: list[Row] = field(default_factory=list)
    frames: Tensor = field(default_factory=lambda: torch.empty(0))
    context: Tensor = field(default_factory=lambda: torch.empty(0))
    static: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[Row, str]] = field(default_factory=list)

    def video(self, view: int | None = None) -> Video:
        """The clips' views as B*V videos, or one view of each."""
        parts = [t.flatten(0, 1) if view is None else t[:, view] for t in (self.frames, self.context) if len(t)]
        return Video(*parts)

    def among(self, labels: Sequence[str]) -> Embedded:
        """Only the clips of these classes."""
        classes = set(labels)
        chosen = [i for i, row in enumerate(self.rows) if row.label in classes]
        frames, context, static = (t[chosen] if len(t) else t for t in (self.frames, self.context, self.static))
        skipped = [(row, why) for row, why in self.skipped if row.label in classes]
        return Embedded([self.rows[i] for i in chosen], frames, context, static, skipped)


def embed(
    predictor: Predictor,
    rows: Sequence[Row],
    *,
    batch_size: int = 16,
    views: ViewCount = ONE_VIEW,
    static: bool = False,
    workers: int = 0,
) -> Iterator[Embedded]:
    """Embed clips, ``batch_size`` at a time and in their order.

    Args:
        predictor: the model.
        rows: clips.
        batch_size: clips decoded together, and views in one forward pass.
        views: of each clip.
        static: also embed each clip's static copy.
        workers: decoding processes; 0 decodes in this one.
    """
    model = predictor.model
    dataset = Views(rows, T=model.num_frames, seen=model.preprocessing, **views._asdict())
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=list)
    for start, batch in zip(range(0, len(rows), batch_size), loader, strict=True):
        read = [(rows[start + i], pixels) for i, pixels in enumerate(batch) if not isinstance(pixels, str)]
        skipped = [(rows[start + i], why) for i, why in enumerate(batch) if isinstance(why, str)]
        yield Embedded([row for row, _ in read], *_encode(predictor, [pixels for _, pixels in read], static), skipped)


@torch.inference_mode()
def _encode(predictor: Predictor, clips: list[Tensor], static: bool) -> tuple[Tensor, Tensor, Tensor]:
    nothing = torch.empty(0)
    if not clips:
        return nothing, nothing, nothing
    model = predictor.model
    pixels = torch.stack(clips).to(predictor.device)  # (B, V, T, 3, S, S) uint8
    parts = pixels.flatten(0, 1).split(len(clips))
    video = Video.cat([model.encode(model.normalise(part)).float().to("cpu") for part in parts])
    frames, context = (
        nothing if t is None else t.unflatten(0, pixels.shape[:2]) for t in (video.frames, video.context)
    )
    if not static:
        return frames, context, nothing
    middle = model.normalise(pixels[:, pixels.shape[1] // 2])
    return frames, context, model.encode_video(static_copy(middle)).float().cpu()


def write_shards(
    predictor: Predictor,
    rows: Sequence[Row],
    out: Path,
    about: Document,
    *,
    shard_size: int = 1024,
    rank: int = 0,
    processes: int = 1,
    batch_size: int = 16,
    views: ViewCount = ONE_VIEW,
    workers: int = 0,
) -> Steps[Document]:
    """Embed clips into ``out``: shard-N.safetensors with "frames" (n, V, T, E) and "videos" (n, V, E), both float32
    and not normalised, and "context" (n, V, N, E) of models that have one; shard-N.parquet with one row a clip and the
    reason where it was skipped.

    Existing shards are skipped. ``processes`` take shards of ``shard_size`` clips in turn, this one as number ``rank``.
    ``about`` is the source of the embeddings; a folder with another source is rejected. The rest as in ``embed``.

    Returns:
        The index, as saved in embedding.json.

    Raises:
        ConfigError: the folder holds other embeddings.
    """
    shards = -(-len(rows) // shard_size)
    index = about | {"clips": len(rows), "shard_size": shard_size, "shards": shards}
    if (out / INDEX).is_file():
        if read_index(out) != index:
            raise ConfigError(f"{out.name} holds embeddings of another model, list or kind; choose another folder.")
    elif rank == 0:
        write_json(out / INDEX, index)
    for number in range(rank, shards, processes):
        yield Progress(number / shards, f"shard {number + 1} of {shards}")
        tensors, table = _paths(out, number)
        if tensors.is_file():
            continue
        own = list(rows[number * shard_size : (number + 1) * shard_size])
        parts = list(embed(predictor, own, batch_size=batch_size, views=views, workers=workers))
        skipped = {id(row): why for part in parts for row, why in part.skipped}
        columns = {
            "path": [str(row.path) for row in own],
            **{name: [getattr(row, name) for row in own] for name in ("label", "partner", "family")},
            "skipped": [skipped.get(id(row)) for row in own],
        }
        written = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
        write_atomically(table, partial(parquet.write_table, written))
        frames = torch.cat([part.frames for part in parts if part.rows] or [torch.empty(0, 1, 1, 1)])
        # written last: if it exists, the shard is complete
        held = {"frames": frames, "videos": frames.mean(2)}
        if contexts := [part.context for part in parts if len(part.context)]:
            held["context"] = torch.cat(contexts)
        write_atomically(tensors, partial(save_file, held))
    return index


def read_index(folder: Path) -> Document:
    """The index that ``write_shards`` saved in ``folder``.

    Raises:
        ConfigError: there is none.
    """
    if not (folder / INDEX).is_file():
        raise ConfigError(f"{folder.name} has no {INDEX}; make it with python -m ezclip embed MANIFEST --out DIR.")
    return json.loads((folder / INDEX).read_text("utf-8"))


def read_shards(folder: Path, identity: Identity) -> list[Embedded]:
    """The embeddings of ``folder``, shard by shard.

    Raises:
        ConfigError: they are another model's, or a shard is missing.
    """
    made_by, found = read_index(folder), []
    if made_by["weights"] != identity.weights:
        raise ConfigError(
            f"{folder.name} holds embeddings of {made_by['model']}, not of {identity.name}; give --model."
        )
    for number in range(made_by["shards"]):
        tensors, table = _paths(folder, number)
        if not tensors.is_file():
            raise ConfigError(f"{folder.name} lacks {tensors.name}; run the same ezclip embed again to complete it.")
        rows = [
            (Row(Path(row["path"]), row["label"], row["partner"], row["family"]), row["skipped"])
            for row in parquet.read_table(table).to_pylist()
        ]
        skipped = [(row, why) for row, why in rows if why is not None]
        held = load_file(tensors)
        parts = {key: held[key] for key in ("frames", "context") if key in held}
        found.append(Embedded([row for row, why in rows if why is None], **parts, skipped=skipped))
    return found


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    stem = f"shard-{number:05d}"
    return folder / f"{stem}.safetensors", folder / f"{stem}.parquet"
