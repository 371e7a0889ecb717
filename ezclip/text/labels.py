"""Class names: parsing, validation, and the shipped label sets."""

from __future__ import annotations

import csv
import re
import string
from pathlib import Path

from ezclip.errors import LabelError

MAX_LABELS = 2000
MAX_LENGTH = 1000
_SETS = Path(__file__).with_name("labels")


def parse_labels(text: str) -> tuple[list[str], list[str]]:
    """Class names from user input: one per line if there is a line break, otherwise one CSV row.

    Names are trimmed, empty ones dropped, and those that differ only in case are merged.

    Args:
        text: for example 'pushing, pulling, "lifting, then dropping"'.

    Returns:
        1 to 2,000 labels in input order, and warnings.

    Raises:
        LabelError: there are no labels, too many, or one is too long.
    """
    lines = text.strip().splitlines()
    try:
        names = lines if len(lines) > 1 else next(csv.reader(lines, skipinitialspace=True), [])
    except csv.Error as error:
        raise LabelError("The class names are not a valid comma-separated row; enter one per line.") from error
    return check_labels(names)


def check_labels(names: list[str]) -> tuple[list[str], list[str]]:
    """Trim, drop names that are empty or only punctuation, and merge duplicates; see ``parse_labels``."""
    labels: dict[str, str] = {}
    duplicates = []
    for name in (" ".join(n.split()).strip(" ,;") for n in names):
        if all(character in string.punctuation for character in name):
            continue
        if name.casefold() in labels:
            duplicates.append(name)
        labels.setdefault(name.casefold(), name)
    if not labels:
        raise LabelError("No class names given; enter one or more, separated by commas or one per line.")
    if len(labels) > MAX_LABELS:
        raise LabelError(f"{len(labels):,} class names were given; at most {MAX_LABELS:,} are allowed. Remove some.")
    longest = max(labels.values(), key=len)
    if len(longest) > MAX_LENGTH:
        raise LabelError(f"A class name has {len(longest):,} characters; at most {MAX_LENGTH:,} are allowed.")
    warnings = [f"{len(duplicates)} duplicate class names were merged, first {duplicates[0]!r}."] if duplicates else []
    return list(labels.values()), warnings


def read_labels_file(path: str | Path) -> tuple[list[str], list[str]]:
    """Class names from a text file (one per line) or a CSV with a "name" column, as in the release's lists.

    Raises LabelError if the file is missing, empty or not a text file.
    """
    path = Path(path)
    if not path.is_file():
        raise LabelError(f"There is no labels file {path.name}; check the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        header = [cell.strip().lower() for cell in next(csv.reader(lines[:1]), [])]
        if "name" in header:
            column = header.index("name")
            return check_labels([row[column] for row in csv.reader(lines[1:]) if len(row) > column])
    except UnicodeDecodeError as error:
        raise LabelError(f"{path.name} is not a text file in UTF-8.") from error
    except csv.Error as error:
        raise LabelError(f"{path.name} cannot be read as a CSV: {error}.") from error
    return check_labels(lines)


def readable(name: str) -> str:
    """A class name in readable form: underscores become spaces, and a single CamelCase word is split."""
    name = name.replace("_", " ").strip()
    return name if " " in name else re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)


def same_name(name: str) -> str:
    """A key for comparing names without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def label_sets() -> list[str]:
    """Names of the shipped label sets."""
    return sorted(path.stem for path in _SETS.glob("*.txt"))


def label_set(name: str) -> list[str]:
    """The class names of a shipped set; raises LabelError for an unknown one."""
    if name not in label_sets():
        raise LabelError(f"There is no label set {name!r}; choose one of {', '.join(label_sets())}.")
    return (_SETS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
