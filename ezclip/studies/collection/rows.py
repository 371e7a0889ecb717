"""Results that can be written as one table: CSV, JSONL or Parquet."""

from __future__ import annotations

import csv
import json
import os
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ezclip.files import spreadsheet_cell, write_atomically
from ezclip.studies.declaration import Result
from ezclip.types import Document

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")


class TableResult(Result):
    """A result with one row per video or moment."""

    kind: ClassVar[str]  # name of the rows, in the plural

    @abstractmethod
    def rows(self, folder: Path) -> pa.Table:
        """The table, with paths relative to ``folder`` and a column "embedding"."""

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write the report into a folder, or the rows into FILE.csv, .jsonl or .parquet."""
        path = Path(out)
        if path.suffix not in TABLE_SUFFIXES:
            return super().write(out)
        write_atomically(path, partial(write_rows, self.rows(path.parent), kind=path.suffix))
        return {self.kind: path}


def relative(path: Path, folder: Path) -> str:
    """A path relative to ``folder``, as in a manifest there."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return str(path.absolute())


def write_rows(table: pa.Table, path: Path, kind: str) -> None:
    """Write a table as CSV or JSONL (both without embeddings) or Parquet."""
    from pyarrow import parquet

    if kind == ".parquet":
        parquet.write_table(table, path)
        return
    rows: list[Document] = table.drop_columns("embedding").to_pylist()
    with path.open("w", newline="", encoding="utf-8") as file:
        if kind == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            names = [name for name in table.column_names if name != "embedding"]
            csv.writer(file).writerows([names, *([spreadsheet_cell(row[name]) for name in names] for row in rows)])
