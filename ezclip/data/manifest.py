"""Lists of labelled videos: a JSONL or Parquet manifest, or a folder with one sub-folder per class."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import pyarrow as pa
from pyarrow import json as arrow_json
from pyarrow import parquet
from pyarrow.compute import call_function

from ezclip.errors import ConfigError
from ezclip.text.labels import readable
from ezclip.types import Document

MANIFEST = "manifest.jsonl"
SUFFIXES = frozenset(".mp4 .mov .mkv .webm .avi .gif .m4v .3gp .ts".split())
_SCHEMA = pa.schema([(name, pa.string()) for name in ("path", "label", "partner", "family")])


@dataclass(frozen=True)
class Row:
    """One labelled video."""

    path: Path  # the video file or folder of frames
    label: str  # class name
    partner: str | None = None  # the label that differs only in temporal order or direction, if any
    family: str | None = None  # out-of-distribution family, if any

    @property
    def short_name(self) -> str:
        """The names of the file and its folder, without the machine's full path."""
        return f"{self.path.parent.name}/{self.path.name}"


class Rows(Sequence[Row]):
    """Rows that are stored as columns and created on access, to save memory."""

    def __init__(self, table: pa.Table, folder: Path):
        self.table, self.folder = table, folder

    def __len__(self) -> int:
        return self.table.num_rows

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Row | Rows:
        """A row, or the ``Rows`` of a slice."""
        if isinstance(index, slice):
            indices = pa.array(range(*index.indices(len(self))), pa.int64())
            return Rows(self.table.take(indices), self.folder)
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self._row(self.table.slice(index % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Row]:
        for batch in self.table.to_batches(max_chunksize=4096):
            yield from map(self._row, batch.to_pylist())

    def _row(self, values: Document) -> Row:
        return Row(self.folder / values.pop("path"), **values)


def read_rows(path: str | Path) -> Rows:
    """Read a manifest, the manifest inside a folder, or a folder per class, whose name becomes a readable label.

    Raises ConfigError if there is nothing to read, or with the number of the first invalid line.
    """
    path = Path(path)
    if path.is_dir() and (path / MANIFEST).is_file():
        path = path / MANIFEST
    if path.is_dir():
        videos = class_folders(path)
        rows = [{"path": f"{v.parent.name}/{v.name}", "label": readable(v.parent.name)} for v in videos]
        if not rows:
            raise ConfigError(f"{path.name} has no class folders with videos and no {MANIFEST}.")
        return Rows(pa.Table.from_pylist(rows, schema=_SCHEMA), path)
    if not path.is_file():
        raise ConfigError(f"There is no manifest or folder {path.name}; check the path.")
    table = _columns(path)
    if not table.num_rows:
        raise ConfigError(f"{path.name} lists no videos.")
    return Rows(table, path.parent)


def class_folders(path: Path) -> list[Path]:
    """Videos and folders of frames inside class folders."""
    paths = [p for folder in sorted(p for p in path.iterdir() if p.is_dir()) for p in sorted(folder.iterdir())]
    return [p for p in paths if p.suffix.lower() in SUFFIXES or (p.is_dir() and any(map(_is_frame, p.iterdir())))]


def _is_frame(path: Path) -> bool:
    return re.search(r"\d\.(jpe?g|png)$", path.name, re.IGNORECASE) is not None


def write_manifest(path: Path, rows: list[Document]) -> None:
    """Write rows of path, label and optional partner and family; the suffix .parquet selects Parquet, others JSONL."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)
    else:
        lines = [json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _columns(path: Path) -> pa.Table:
    """The four columns of a file; every row has a path and a label."""
    is_text = path.suffix != ".parquet"
    options = arrow_json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
    try:
        if is_text and not path.read_bytes().strip():
            raise ConfigError(f"{path.name} lists no videos.")
        table = arrow_json.read_json(path, parse_options=options) if is_text else parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _first_bad_line(path) if is_text else ConfigError(f"{path.name} is not a Parquet file.") from error
    for name in _SCHEMA.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    table = table.select(_SCHEMA.names).cast(_SCHEMA)
    for name in ("path", "label"):
        trimmed = call_function("utf8_trim_whitespace", [table[name]])
        shortest = call_function("min_max", [call_function("utf8_length", [trimmed])])["min"].as_py()
        if table[name].null_count or shortest == 0:
            raise _first_bad_line(path) if is_text else ConfigError(f"Rows of {path.name} have no {name}.")
    return table


def _first_bad_line(path: Path) -> ConfigError:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not _is_valid(line):
                    sample = '{"path": "a.mp4", "label": "waving"}'
                    return ConfigError(f"{path.name}, line {number} is not a row such as {sample}: {line.strip()[:80]}")
    except UnicodeDecodeError:
        pass
    return ConfigError(f"{path.name} is not a JSONL manifest in UTF-8; give a manifest or a folder.")


def _is_valid(line: str) -> bool:
    try:
        path, label, *optional = (json.loads(line).get(name) for name in _SCHEMA.names)
    except (ValueError, AttributeError):  # not JSON, or not an object
        return False
    required = isinstance(path, str) and isinstance(label, str) and bool(path.strip() and label.strip())
    return required and all(isinstance(value, str | None) for value in optional)


def digest_of(rows: Iterable[Row]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a list's paths and labels, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.path}\t{row.label}\n".encode())
    return digest.hexdigest()[:12]


def labels_of(rows: Sequence[Row]) -> list[str]:
    """The distinct labels in alphabetical order."""
    return sorted(rows.table["label"].unique().to_pylist() if isinstance(rows, Rows) else {r.label for r in rows})


def partners_of(rows: Sequence[Row]) -> dict[str, str]:
    """Label -> partner, for labels whose partner is also among the labels."""
    labels = set(labels_of(rows))
    if isinstance(rows, Rows):
        pairs = rows.table.group_by(["label", "partner"]).aggregate([]).to_pylist()
        return {pair["label"]: pair["partner"] for pair in pairs if pair["partner"] in labels}
    return {row.label: row.partner for row in rows if row.partner in labels}
