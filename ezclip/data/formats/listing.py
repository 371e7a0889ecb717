"""The common representation of data sets in all formats."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any, Literal

from ezclip.errors import ConfigError
from ezclip.text.labels import same_name


@dataclass(frozen=True)
class Options:
    """Options for reading some of the formats."""

    # Class names by number ("id,name" rows, or "1 Name" lines), for lists that number their classes.
    classes: Path | None = None
    split: int = 1  # 1, 2 or 3, of UCF-101 and HMDB-51
    subset: Literal["train", "test", "all"] = "all"  # part of the split


@dataclass(frozen=True)
class Listing:
    """The videos of a data set."""

    form: str  # display name of the format
    names: list[str]  # file or folder names as listed; relative ones are below the data set's root
    labels: list[str]  # one per name, with CamelCase and underscores split
    root: Path  # default folder of the videos
    extra: dict[str, list[Any]] = field(default_factory=dict)  # optional columns, partner and family

    def only(self, labels: Iterable[str]) -> "Listing":
        """The videos with one of ``labels``, compared without case and punctuation."""
        keys = set(map(same_name, labels))
        selected = [same_name(label) in keys for label in self.labels]
        names, labels = (list(compress(column, selected)) for column in (self.names, self.labels))
        extra = {key: list(compress(column, selected)) for key, column in self.extra.items()}
        return replace(self, names=names, labels=labels, extra=extra)


Videos = Iterable[tuple[str | None, ...]]  # name, label and optional partner and family
Reader = Callable[[Path, Options], tuple[str, Videos]]  # also returns the format's display name


def bad_row(path: Path, number: int, row: Any, expected: str) -> ConfigError:
    """The error for a line that does not match its format."""
    return ConfigError(f"{path.name}, line {number} is not {expected}: {str(row)[:80]}")
