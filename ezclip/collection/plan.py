"""The plan of an index: which videos there are, and in which shard each is embedded."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from ezclip.collection.layout import PLAN, PLAN_SCHEMA, number_of
from ezclip.data.manifest import SUFFIXES, read_rows
from ezclip.errors import ConfigError
from ezclip.files import PARTIAL, write_atomically

SHARD_BYTES = 4 << 30  # of video files in one shard, so that long videos are shared out, too
_LEFT = 3600.0  # seconds after which an unfinished file was left by a writer that was killed


class Stat(NamedTuple):
    """What tells whether a file has changed; both 0 for a file that is missing."""

    size: int  # bytes
    mtime: int  # nanoseconds since 1970


def scan(source: Path) -> tuple[Path, dict[str, Stat]]:
    """The folder that paths are relative to, and every video in it or in a manifest, in the order of their paths.

    A manifest also lists folders of frames, and files that are missing.

    Raises:
        ConfigError: neither a folder with videos nor a manifest.
    """
    if source.is_dir():
        names = (Path(folder, name) for folder, _, files in os.walk(source) for name in files)
        root, paths = source, [path for path in names if path.suffix.lower() in SUFFIXES]
    else:
        root, paths = source.parent, [row.path for row in read_rows(source)]
    found = {path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path): path for path in paths}
    if not found:
        raise ConfigError(f"{source.name} has no videos; give a folder of videos or a manifest.")
    return root, {name: stat_of(found[name]) for name in sorted(found)}


def stat_of(path: Path) -> Stat:
    """Size and time of change of a file."""
    try:
        known = path.stat()
        return Stat(known.st_size, known.st_mtime_ns)
    except OSError:
        return Stat(0, 0)


def plan(out: Path, files: dict[str, Stat], shard_size: int) -> pa.Table:
    """Write which shard each clip is in: clips that have not changed keep theirs, the others get new ones, in order.

    Clips that vanished are dropped, and so are shards of which no clip is left.
    """
    old = parquet.read_table(out / PLAN) if (out / PLAN).is_file() else PLAN_SCHEMA.empty_table()
    columns = [old["path"], old["size"], old["mtime"].cast(pa.int64()), old["shard"]]
    known = {p: (Stat(s, m), n) for p, s, m, n in zip(*(column.to_pylist() for column in columns), strict=True)}
    number = int((old.schema.metadata or {}).get(b"next", 0))  # numbers are never used again
    shards: dict[str, int] = {}
    clips = size = 0
    for path, stat in files.items():
        if path in known and known[path][0] == stat:
            shards[path] = known[path][1]
            continue
        if clips == shard_size or clips and size + stat.size > SHARD_BYTES:
            number, clips, size = number + 1, 0, 0
        shards[path], clips, size = number, clips + 1, size + stat.size
    rows = [[*files], [s.size for s in files.values()], [s.mtime for s in files.values()], [*shards.values()]]
    arrays = [pa.array(values, kind) for values, kind in zip(rows, PLAN_SCHEMA.types, strict=True)]
    table = pa.table(arrays, schema=PLAN_SCHEMA.with_metadata({"next": str(number + (clips > 0))}))
    if not table.equals(old):
        write_atomically(out / PLAN, partial(parquet.write_table, table))
    _tidy(out, set(shards.values()))
    return table


def _tidy(out: Path, used: set[int]) -> None:
    """Remove shards without clips, and what killed writers have left."""
    for tensors in out.glob("shard-*.safetensors"):
        tensors.with_suffix(".claim").unlink(missing_ok=True)  # of a process killed when it had just finished
        if number_of(tensors) not in used:
            tensors.unlink()
            tensors.with_suffix(".parquet").unlink(missing_ok=True)
    for left in out.glob(f".*{PARTIAL}"):
        if time.time() - left.stat().st_mtime > _LEFT:
            left.unlink(missing_ok=True)
