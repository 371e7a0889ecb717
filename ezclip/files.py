"""Atomic writes, hashes, and paths of files shipped with the package; needs no torch."""

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
    """Remove partial files of killed writers from a folder, of all files or only of ``names``; no writer may run."""
    for pattern in [f".{name}.*{PARTIAL}" for name in names] or [f"**/.*{PARTIAL}"]:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's content to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, then rename it to ``path``; a failure leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    temporary.touch()
    mode = temporary.stat().st_mode
    try:
        write(temporary)
        sync(temporary)
        temporary.chmod(mode)  # safetensors restricts the permissions of its files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomically(path, lambda p: p.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def spreadsheet_cell(value: Any) -> Any:
    """A cell of a CSV file; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def spreadsheet_text(cell: str) -> str:
    """Inverse of ``spreadsheet_cell`` for text."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's content; of a folder, of its files' names and contents."""
    path = Path(path)
    if path.is_dir():
        listing = "\n".join(f"{file.name} {sha256_of(file)}" for file in sorted(path.iterdir()) if file.is_file())
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
