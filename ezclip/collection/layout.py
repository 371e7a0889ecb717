"""What lies in the folder of an index: names, columns, and how finished parts are read.

A folder of
- index.json: the model, the source (relative to the index) and the windows;
- clips.parquet: the plan, one row a clip with path, size, mtime and the number of its shard;
- shard-N.safetensors: "videos" (n, E) float16, L2-normalised, and where asked for "frames" (n, T, E) float16;
- shard-N.parquet: one row for each of them, in the same order, and one with the reason for each clip that could not be
  read (to its end); ``SCHEMA`` has the columns.

A clip keeps its shard while its size and mtime stay the same, so that finished shards never change; a changed clip gets
a new one, and rows of the old one no longer count.

Where an index was made with several models, index.json has the sub-folder of each, which is such a folder.
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

ABOUT, PLAN = "index.json", "clips.parquet"
_TIME = pa.timestamp("ns", "UTC")
PLAN_SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64()), ("mtime", _TIME), ("shard", pa.int32())])
SCHEMA = pa.schema([
    *PLAN_SCHEMA,
    ("start", pa.float32()),  # seconds of the window's first and last chosen frame; of the whole clip 0 and its length
    ("end", pa.float32()),
    ("length", pa.float32()),  # seconds of the clip
    ("frames", pa.list_(pa.int32())),  # indices of the T frames
    ("skipped", pa.string()),  # why the clip could not be read; such a row has no embedding
])  # fmt: skip


def tensors_of(folder: Path, number: int) -> Path:
    """The file of a shard's embeddings."""
    return folder / f"shard-{number:05d}.safetensors"


def read_about(folder: Path) -> Document:
    """index.json of an index.

    Raises:
        ConfigError: there is none.
    """
    if not (folder / ABOUT).is_file():
        raise ConfigError(f"{folder.name} is no index; make one with python -m ezclip index FOLDER --out INDEX.")
    return json.loads((folder / ABOUT).read_text("utf-8"))


def by_model(folder: Path) -> dict[str, Path]:
    """The index of each model that a folder holds: the folder itself, or its sub-folders; none where it is no index."""
    if not (folder / ABOUT).is_file():
        return {}
    about = read_about(folder)
    return {model: folder / name for model, name in about.get("models", {about.get("model"): "."}).items()}


def place_for(folder: Path, models: list[str]) -> dict[str, Path]:
    """Where the index of each model goes: in ``folder``, or in its sub-folders if these are, or are to be, several.

    Raises:
        ConfigError: ``folder`` is the index of one model.
    """
    there = by_model(folder)
    if len(models) == 1 and (not there or folder in there.values()):
        return {models[0]: folder}
    if folder in there.values():
        raise ConfigError(f"{folder.name} is the index of one model; choose another folder for several.")
    names = {model: path.name for model, path in there.items()}
    now = names | {model: names.get(model, re.sub(r"[^\w.-]+", "-", model)) for model in models}
    if now != names:
        write_json(folder / ABOUT, {"schema": 1, "models": now})
    return {model: folder / now[model] for model in models}


def index_with(folder: Path, model: str) -> Path:
    """The index of a model in a folder; where that is the index of one model, it is this, whatever its name.

    Raises:
        ConfigError: there are several models, and this is none of them.
    """
    there = by_model(folder)
    if not there or folder in there.values():
        return folder
    if model not in there:
        raise ConfigError(f"{folder.name} is an index of several models; choose one of {', '.join(there)}.")
    return there[model]


def read_plan(folder: Path) -> pa.Table:
    """clips.parquet of an index: path, size, mtime, shard."""
    return parquet.read_table(folder / PLAN)


def finished(folder: Path) -> list[Path]:
    """The tensors of the finished shards, in order; the rows are beside them."""
    return sorted(folder.glob("shard-*.safetensors"))


def number_of(tensors: Path) -> int:
    """The number of a shard."""
    return int(tensors.stem.partition("-")[2])


def read_windows(folder: Path, columns: list[str], wanted: dataset.Expression | None = None) -> pa.Table:
    """Columns of the rows of all finished shards, in order; also of clips that have changed or vanished since."""
    files = [str(path.with_suffix(".parquet")) for path in finished(folder)]
    try:
        return dataset.dataset(files, SCHEMA, format="parquet").to_table(columns=columns, filter=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{folder.name} has a damaged or missing shard-N.parquet; make the index anew.") from error


def summary(folder: Path) -> Document:
    """What an index holds, see ``build``."""
    paths = read_plan(folder)
    live = dict(zip(paths["path"].to_pylist(), paths["shard"].to_pylist(), strict=True))
    bad = read_windows(folder, ["path", "shard", "skipped"], field("skipped").is_valid())
    rows = read_windows(folder, ["path", "shard"], field("skipped").is_null())
    current = [live.get(path) == shard for path, shard in zip(*(c.to_pylist() for c in rows.columns), strict=True)]
    skipped = {r["path"]: r["skipped"] for r in bad.to_pylist() if live.get(r["path"]) == r["shard"]}
    model = read_about(folder)["model"]
    return {"index": folder.name, "model": model, "clips": len(live), "windows": sum(current), "skipped": skipped}
