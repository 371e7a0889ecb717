"""Results of a collection that can be written as one table: CSV, JSONL or Parquet."""

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

FORMS = (".csv", ".jsonl", ".parquet")


class Rows(Result):
    """A result of which each row is a video or a moment; subclasses make the table."""

    kind: ClassVar[str]  # what a row is, in the plural

    @abstractmethod
    def rows(self, beside: Path) -> pa.Table:
        """The table, its paths relative to the folder ``beside``; it has a column "embedding"."""

    def write(self, out: str | Path) -> dict[str, Path]:
        """The report into a folder; or, for FILE.csv, .jsonl or .parquet, the rows into that file."""
        path = Path(out)
        if path.suffix not in FORMS:
            return super().write(out)
        write_atomically(path, partial(write_rows, self.rows(path.parent), kind=path.suffix))
        return {self.kind: path}


def relative(path: Path, folder: Path) -> str:
    """A path as a manifest in ``folder`` names it."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return str(path.absolute())


def write_rows(table: pa.Table, path: Path, kind: str) -> None:
    """A table as CSV or JSONL, both without embeddings, or as Parquet."""
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
