"""Embeddings on disk, in shards that several processes can write and a rerun completes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from ezclip.checkpoints.identity import Identity
from ezclip.data.manifest import Row
from ezclip.errors import ConfigError
from ezclip.evaluation.embed import (
    BATCH,
    ONE_VIEW,
    Embedded,
    Encoder,
    ViewCount,
    automatic_size,
    check_broken,
    embed,
)
from ezclip.files import remove_partial, write_atomically, write_json
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Document

INDEX = "embedding.json"


def write_shards(
    predictor: Predictor,
    rows: Sequence[Row],
    out: Path,
    source: Document,
    *,
    shard_size: int = 1024,
    rank: int = 0,
    processes: int = 1,
    batch_size: int | None = None,
    views: ViewCount = ONE_VIEW,
    workers: int = 0,
    max_broken: float = 1.0,
) -> Steps[Document]:
    """Embed clips into ``out``: shard-N.safetensors with "frames" (n, V, T, E) and "videos" (n, V, E), both float32
    and not normalised, and "context" (n, V, N, E) for models that have one; shard-N.parquet with one row per clip and
    the reason if it was skipped.

    Existing shards are skipped. ``processes`` take shards of ``shard_size`` clips in turn, this one as number ``rank``.
    ``source`` describes model and data; a folder with another source is rejected. ``max_broken`` is the share of this
    process's clips that may be unreadable. ``batch_size`` None means ``automatic_size``. The rest as in ``embed``.

    Returns:
        The index, as saved in embedding.json, and "device_waits", the fraction of the time in which the model's device
        had nothing to compute, in [0, 1].

    Raises:
        ConfigError: the folder holds other embeddings.
        UserError: too many clips are unreadable; finished shards are kept.
    """
    shards = -(-len(rows) // shard_size)
    index = source | {"clips": len(rows), "shard_size": shard_size, "shards": shards}
    if (out / INDEX).is_file():
        if read_index(out) != index:
            raise ConfigError(f"{out.name} holds embeddings of another model, list or kind; choose another folder.")
    elif rank == 0:
        remove_partial(out, INDEX)
        write_json(out / INDEX, index)
    size = batch_size or automatic_size(predictor)
    encoder, broken = Encoder(predictor, size), list[str]()
    batch_size = batch_size or max(BATCH, size // (views.temporal * views.spatial))
    numbers = range(rank, shards, processes)
    count = sum(min(shard_size, len(rows) - number * shard_size) for number in numbers)
    for number in numbers:
        waits = f", the device waits {encoder.idle:.0%} of the time" if encoder.seconds else ""
        yield Progress(number / shards, f"shard {number + 1} of {shards}{waits}")
        tensors, table = _paths(out, number)
        if tensors.is_file():
            broken += parquet.read_table(table, columns=["skipped"])["skipped"].drop_null().to_pylist()
            check_broken(broken, count, max_broken)
            continue
        remove_partial(out, tensors.name, table.name)
        shard = list(rows[number * shard_size : (number + 1) * shard_size])
        parts: list[Embedded] = []
        for part in embed(predictor, shard, batch_size=batch_size, views=views, workers=workers, encoder=encoder):
            parts.append(part)
            broken += [reason for _, reason in part.skipped]
            check_broken(broken, count, max_broken)
        skipped = {id(row): reason for part in parts for row, reason in part.skipped}
        columns = {
            "path": [str(row.path) for row in shard],
            **{name: [getattr(row, name) for row in shard] for name in ("label", "partner", "family")},
            "skipped": [skipped.get(id(row)) for row in shard],
        }
        clips = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
        write_atomically(table, partial(parquet.write_table, clips))
        frames = torch.cat([part.frames for part in parts if part.rows] or [torch.empty(0, 1, 1, 1)])
        embeddings = {"frames": frames, "videos": frames.mean(2)}
        if contexts := [part.context for part in parts if len(part.context)]:
            embeddings["context"] = torch.cat(contexts)
        write_atomically(tensors, partial(save_file, embeddings))  # last, so that its existence means a complete shard
    return index | {"device_waits": round(encoder.idle, 3)}


def read_index(folder: Path) -> Document:
    """The index that ``write_shards`` saved in ``folder``.

    Raises:
        ConfigError: there is no index.
    """
    if not (folder / INDEX).is_file():
        raise ConfigError(f"{folder.name} has no {INDEX}; make it with python -m ezclip embed MANIFEST --out DIR.")
    return json.loads((folder / INDEX).read_text("utf-8"))


def read_shards(folder: Path, identity: Identity) -> list[Embedded]:
    """The embeddings of ``folder``, shard by shard.

    Raises:
        ConfigError: they belong to another model, or a shard is missing.
    """
    index, shards = read_index(folder), []
    if index["weights"] != identity.weights:
        raise ConfigError(f"{folder.name} holds embeddings of {index['model']}, not of {identity.name}; give --model.")
    for number in range(index["shards"]):
        tensors, table = _paths(folder, number)
        if not tensors.is_file():
            raise ConfigError(f"{folder.name} lacks {tensors.name}; run the same ezclip embed again to complete it.")
        rows = [
            (Row(Path(row["path"]), row["label"], row["partner"], row["family"]), row["skipped"])
            for row in parquet.read_table(table).to_pylist()
        ]
        skipped = [(row, reason) for row, reason in rows if reason is not None]
        stored = load_file(tensors)
        parts = {key: stored[key] for key in ("frames", "context") if key in stored}
        shards.append(Embedded([row for row, reason in rows if reason is None], **parts, skipped=skipped))
    return shards


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    stem = f"shard-{number:05d}"
    return folder / f"{stem}.safetensors", folder / f"{stem}.parquet"
