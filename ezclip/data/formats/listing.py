"""What a list of labelled videos is read into."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any, Literal

from ezclip.errors import ConfigError
from ezclip.text.labels import same_name


@dataclass(frozen=True)
class Options:
    """Options that some formats need."""

    # file with the class names by number ("id,name" rows, or "1 Name" lines); the release's lists need it.
    classes: Path | None = None
    split: int = 1  # 1, 2 or 3, of UCF-101 and HMDB-51.
    subset: Literal["train", "test", "all"] = "all"  # which part of a split.


@dataclass(frozen=True)
class Listing:
    """Videos as a data set lists them."""

    form: str  # display name of the format
    names: list[str]  # of files or folders, as listed; relative ones lie below the data set's root
    labels: list[str]  # one per name, with CamelCase and underscores split
    root: Path  # default folder of the videos
    extra: dict[str, list[Any]] = field(default_factory=dict)  # the columns partner and family, where they are known

    def only(self, labels: Iterable[str]) -> "Listing":
        """The videos of some classes; names are compared without case and punctuation."""
        wanted = set(map(same_name, labels))
        kept = [same_name(label) in wanted for label in self.labels]
        extra = {key: list(compress(values, kept)) for key, values in self.extra.items()}
        return replace(
            self, names=list(compress(self.names, kept)), labels=list(compress(self.labels, kept)), extra=extra
        )


Videos = Iterable[tuple[str | None, ...]]  # name, label and, where they are known, partner and family
Reader = Callable[[Path, Options], tuple[str, Videos]]  # returns the format's display name, too


def bad_row(path: Path, number: int, row: Any, wanted: str) -> ConfigError:
    """The error at a line that does not fit its format."""
    return ConfigError(f"{path.name}, line {number} is not {wanted}: {str(row)[:80]}")
