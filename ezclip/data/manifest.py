"""Lists of labelled videos: a JSONL manifest, or a folder with one sub-folder for each class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ezclip.errors import ConfigError

MANIFEST = "manifest.jsonl"
SUFFIXES = frozenset(".mp4 .mov .mkv .webm .avi .gif .m4v .3gp .ts".split())


@dataclass(frozen=True)
class Row:
    """One labelled video.

    Attributes:
        path: of the video file or folder of frames.
        label: class name.
        partner: the label that differs from it by order or direction alone, if any.
        family: out-of-distribution family, if any.
    """

    path: Path
    label: str
    partner: str | None = None
    family: str | None = None

    @property
    def short_name(self) -> str:
        """The file with its folder: enough to find it, not the machine's whole path."""
        return f"{self.path.parent.name}/{self.path.name}"


def read_rows(path: str | Path) -> list[Row]:
    """Read a manifest, or the manifest inside a folder, or a folder per class (underscores in names become spaces).

    Raises:
        ConfigError: nothing there, or the first bad line by its number.
    """
    path = Path(path)
    if path.is_dir() and (path / MANIFEST).is_file():
        path = path / MANIFEST
    if path.is_dir():
        rows = [
            Row(file, folder.name.replace("_", " "))
            for folder in sorted(p for p in path.iterdir() if p.is_dir())
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SUFFIXES
        ]
        if not rows:
            raise ConfigError(f"{path.name} holds no class folders with videos and no {MANIFEST}.")
        return rows
    if not path.is_file():
        raise ConfigError(f"There is no manifest or folder {path.name}; check the path.")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path.name} is not a JSONL manifest in UTF-8; give a manifest or a folder.") from error
    rows = [_row(path, i, line) for i, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ConfigError(f"{path.name} lists no videos.")
    return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        entry = json.loads(line)
        row = Row(path.parent / entry["path"], entry["label"], entry.get("partner"), entry.get("family"))
        if not isinstance(row.label, str) or not row.label.strip():
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'{path.name}, line {number} is not a row such as {{"path": "a.mp4", "label": "waving"}}: {line[:80]}'
        ) from error
    return row


def labels_of(rows: list[Row]) -> list[str]:
    """The distinct labels in alphabetical order."""
    return sorted({row.label for row in rows})


def partners_of(rows: list[Row]) -> dict[str, str]:
    """Each label's partner, where the rows name one and it occurs itself."""
    labels = {row.label for row in rows}
    return {row.label: row.partner for row in rows if row.partner in labels}
