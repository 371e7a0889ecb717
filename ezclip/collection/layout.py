"""The files of an index and how finished shards are read.

The folder of an index contains
- index.json: the model, the source (relative to the index) and the windows;
- clips.parquet: the plan, one row per clip with path, size, mtime and the number of its shard;
- shard-N.safetensors: "videos" (n, E) float16, L2-normalised, and on request "frames" (n, T, E) float16;
- shard-N.parquet, see ``SCHEMA``: one row per embedding, in the same order, and one with the reason for each clip that
  could not be read completely.

A clip keeps its shard while its size and mtime stay the same, so finished shards never change. A changed clip moves to
a new shard, and its rows in the old one become stale.

For an index with several models, index.json lists the sub-folder of each, which has the same structure.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
from pyarrow import dataset, parquet
from pyarrow.compute import field

from ezclip.errors import ConfigError
from ezclip.files import write_json
from ezclip.types import Document

METADATA, PLAN = "index.json", "clips.parquet"
_TIME = pa.timestamp("ns", "UTC")
PLAN_SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64()), ("mtime", _TIME), ("shard", pa.int32())])
SCHEMA = pa.schema([
    *PLAN_SCHEMA,
    ("start", pa.float32()),  # seconds of the first and last sampled frame; 0 and the length if the window is the clip
    ("end", pa.float32()),
    ("length", pa.float32()),  # seconds of the clip
    ("frames", pa.list_(pa.int32())),  # indices of the T frames
    ("skipped", pa.string()),  # why the clip could not be read; such a row has no embedding
])  # fmt: skip


def tensors_path(folder: Path, number: int) -> Path:
    """The file with the embeddings of a shard."""
    return folder / f"shard-{number:05d}.safetensors"


def read_metadata(folder: Path) -> Document:
    """The content of index.json; raises ConfigError for a folder without it."""
    if not (folder / METADATA).is_file():
        raise ConfigError(f"{folder.name} is no index; make one with python -m ezclip index FOLDER --out INDEX.")
    return json.loads((folder / METADATA).read_text("utf-8"))


def model_indexes(folder: Path) -> dict[str, Path]:
    """Model -> its index: the folder itself or a sub-folder; empty for a folder that is no index."""
    if not (folder / METADATA).is_file():
        return {}
    metadata = read_metadata(folder)
    return {model: folder / name for model, name in metadata.get("models", {metadata.get("model"): "."}).items()}


def index_folders(folder: Path, models: list[str]) -> dict[str, Path]:
    """Model -> the folder for its index: ``folder``, or a sub-folder if there are several old or new models.

    Raises:
        ConfigError: ``folder`` is the index of one model.
    """
    indexes = model_indexes(folder)
    if len(models) == 1 and (not indexes or folder in indexes.values()):
        return {models[0]: folder}
    if folder in indexes.values():
        raise ConfigError(f"{folder.name} is the index of one model; choose another folder for several.")
    names = {model: path.name for model, path in indexes.items()}
    all_names = names | {model: names.get(model, re.sub(r"[^\w.-]+", "-", model)) for model in models}
    if all_names != names:
        write_json(folder / METADATA, {"schema": 1, "models": all_names})
    return {model: folder / all_names[model] for model in models}


def model_index(folder: Path, model: str) -> Path:
    """The index of ``model`` in a folder; an index of a single model is returned whatever ``model`` is.

    Raises:
        ConfigError: the folder is an index of several other models.
    """
    indexes = model_indexes(folder)
    if not indexes or folder in indexes.values():
        return folder
    if model not in indexes:
        raise ConfigError(f"{folder.name} is an index of several models; choose one of {', '.join(indexes)}.")
    return indexes[model]


def read_plan(folder: Path) -> pa.Table:
    """The plan of an index: path, size, mtime, shard."""
    return parquet.read_table(folder / PLAN)


def finished_shards(folder: Path) -> list[Path]:
    """The embedding files of the finished shards, in order."""
    return sorted(folder.glob("shard-*.safetensors"))


def shard_number(tensors: Path) -> int:
    """The number of a shard, from its embedding file."""
    return int(tensors.stem.partition("-")[2])


def read_windows(folder: Path, columns: list[str], condition: dataset.Expression | None = None) -> pa.Table:
    """Columns of the rows of all finished shards, in order, including stale rows of changed and deleted clips."""
    files = [str(path.with_suffix(".parquet")) for path in finished_shards(folder)]
    try:
        return dataset.dataset(files, SCHEMA, format="parquet").to_table(columns=columns, filter=condition)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{folder.name} has a damaged or missing shard-N.parquet; make the index anew.") from error


def summary(folder: Path) -> Document:
    """The content of an index, see ``build``."""
    table = read_plan(folder)
    shards = dict(zip(table["path"].to_pylist(), table["shard"].to_pylist(), strict=True))
    unreadable = read_windows(folder, ["path", "shard", "skipped"], field("skipped").is_valid())
    rows = read_windows(folder, ["path", "shard"], field("skipped").is_null())
    current = [shards.get(path) == shard for path, shard in zip(*(c.to_pylist() for c in rows.columns), strict=True)]
    skipped = {r["path"]: r["skipped"] for r in unreadable.to_pylist() if shards.get(r["path"]) == r["shard"]}
    model = read_metadata(folder)["model"]
    return {"index": folder.name, "model": model, "clips": len(shards), "windows": sum(current), "skipped": skipped}
