"""Indexes without videos, from unit embeddings chosen by the test."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from ezclip.collection.layout import METADATA, PLAN, SCHEMA
from ezclip.collection.plan import Stat, plan
from ezclip.files import write_json

ABOUT_IT = {
    "schema": 1,
    "model": "tabletop/base",
    "weights": "w",
    "source": "..",
    "list": "",
    "seconds": 2.0,
    "step": 1.0,
}


def write_index(folder: Path, clips: dict[str, torch.Tensor], *, shard_size: int = 256, **header: Any) -> Path:
    """An index of clips with these window embeddings, (n, E): one window per second, each 2 s long.

    Clip i has i + 1 bytes and was modified i hours after 1970-01-01.
    """
    folder.mkdir()
    write_json(folder / METADATA, ABOUT_IT | header)
    files = {path: Stat(i + 1, i * 3600 * 10**9) for i, path in enumerate(clips)}
    table = plan(folder, files, shard_size)
    shards = table["shard"].to_numpy()
    for number in np.unique(shards):
        rows = table.filter(pa.array(shards == number))
        counts = [len(clips[path]) for path in rows["path"].to_pylist()]
        columns: dict[str, Any] = {
            n: rows[n].take(pa.array(np.repeat(np.arange(len(rows)), counts))) for n in rows.column_names
        }
        start = np.concatenate([np.arange(n, dtype=np.float32) for n in counts])
        columns |= {"start": start, "end": start + 2, "length": np.repeat(np.float32(counts) + 1, counts)}
        columns |= {name: pa.nulls(len(start), SCHEMA.field(name).type) for name in ("frames", "skipped")}
        stem = f"shard-{number:05d}"
        parquet.write_table(pa.table(columns).select(SCHEMA.names).cast(SCHEMA), folder / f"{stem}.parquet")
        videos = torch.cat([clips[path] for path in rows["path"].to_pylist()]).half()
        save_file({"videos": videos}, folder / f"{stem}.safetensors")
    assert (folder / PLAN).is_file()
    return folder
