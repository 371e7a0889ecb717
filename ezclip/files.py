"""Writes files atomically, hashes them, and finds those shipped with the package; needs no torch."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
PARTIAL = ".partial"  # suffix of files that are being written
_REPOSITORY, SHIPPED = Path(__file__).parents[1], Path(__file__).parent / "shipped"


def shipped(name: str) -> Path:
    """The shipped folder ``name``: in the repository, or inside an installed package."""
    return SHIPPED / name if (SHIPPED / name).is_dir() else _REPOSITORY / name


def remove_partial(folder: Path, *names: str) -> None:
    """Remove what writers that were killed have left of a folder, or of the files ``names`` in it; nobody else may
    write these now.
    """
    for pattern in [f".{name}.*{PARTIAL}" for name in names] or [f"**/.*{PARTIAL}"]:
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a new file beside ``path``, then move it there in one step; a failure leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    temporary.touch()
    mode = temporary.stat().st_mode
    try:
        write(temporary)
        sync(temporary)
        temporary.chmod(mode)  # safetensors makes its files private
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomically(path, lambda p: p.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def spreadsheet_cell(value: Any) -> Any:
    """A cell for CSV files: text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def spreadsheet_text(cell: str) -> str:
    """The text of a cell that ``spreadsheet_cell`` made."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's content; of a folder, of its files' names and contents."""
    path = Path(path)
    if path.is_dir():
        listed = "\n".join(f"{file.name} {sha256_of(file)}" for file in sorted(path.iterdir()) if file.is_file())
        return hashlib.sha256(listed.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
