"""The plan of an index: its videos, and the shard of each."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from ezclip.collection.layout import PLAN, PLAN_SCHEMA, shard_number
from ezclip.data.manifest import SUFFIXES, read_rows
from ezclip.errors import ConfigError
from ezclip.files import PARTIAL, write_atomically

SHARD_BYTES = 4 << 30  # of video files in one shard, which spreads long videos over several shards
_ABANDONED = 3600.0  # seconds after which a partial file is deleted as that of a dead writer


class Stat(NamedTuple):
    """Size and modification time of a file, which reveal changes; both 0 for a missing file."""

    size: int  # bytes
    mtime: int  # nanoseconds since 1970


def scan(source: Path) -> tuple[Path, dict[str, Stat]]:
    """The folder to which paths are relative, and all videos of a folder or manifest, sorted by path.

    A manifest may also list folders of frames and missing files.

    Raises:
        ConfigError: neither a folder with videos nor a manifest.
    """
    if source.is_dir():
        names = (Path(folder, name) for folder, _, files in os.walk(source) for name in files)
        root, paths = source, [path for path in names if path.suffix.lower() in SUFFIXES]
    else:
        root, paths = source.parent, [row.path for row in read_rows(source)]
    videos = {path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path): path for path in paths}
    if not videos:
        raise ConfigError(f"{source.name} has no videos; give a folder of videos or a manifest.")
    return root, {name: stat_of(videos[name]) for name in sorted(videos)}


def stat_of(path: Path) -> Stat:
    """Size and modification time of a file."""
    try:
        stat = path.stat()
        return Stat(stat.st_size, stat.st_mtime_ns)
    except OSError:
        return Stat(0, 0)


def plan(out: Path, files: dict[str, Stat], shard_size: int) -> pa.Table:
    """Assign clips to shards and write the plan: unchanged clips keep their shards, all others get new ones in order.

    Deleted clips are dropped, and so are shards without clips.
    """
    old = parquet.read_table(out / PLAN) if (out / PLAN).is_file() else PLAN_SCHEMA.empty_table()
    columns = [old["path"], old["size"], old["mtime"].cast(pa.int64()), old["shard"]]
    old_shards = {p: (Stat(s, m), n) for p, s, m, n in zip(*(column.to_pylist() for column in columns), strict=True)}
    number = int((old.schema.metadata or {}).get(b"next", 0))  # numbers are never reused
    shards: dict[str, int] = {}
    clips = size = 0
    for path, stat in files.items():
        if path in old_shards and old_shards[path][0] == stat:
            shards[path] = old_shards[path][1]
            continue
        if clips == shard_size or clips and size + stat.size > SHARD_BYTES:
            number, clips, size = number + 1, 0, 0
        shards[path], clips, size = number, clips + 1, size + stat.size
    columns = [[*files], [s.size for s in files.values()], [s.mtime for s in files.values()], [*shards.values()]]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, PLAN_SCHEMA.types, strict=True)]
    table = pa.table(arrays, schema=PLAN_SCHEMA.with_metadata({"next": str(number + (clips > 0))}))
    if not table.equals(old):
        write_atomically(out / PLAN, partial(parquet.write_table, table))
    _tidy(out, set(shards.values()))
    return table


def _tidy(out: Path, used: set[int]) -> None:
    """Remove shards without clips, and leftovers of killed writers."""
    for tensors in out.glob("shard-*.safetensors"):
        tensors.with_suffix(".claim").unlink(missing_ok=True)  # left by a process killed after writing the shard
        if shard_number(tensors) not in used:
            tensors.unlink()
            tensors.with_suffix(".parquet").unlink(missing_ok=True)
    for partial_file in out.glob(f".*{PARTIAL}"):
        if time.time() - partial_file.stat().st_mtime > _ABANDONED:
            partial_file.unlink(missing_ok=True)
