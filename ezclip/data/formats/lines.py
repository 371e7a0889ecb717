"""Text files with one video per line: the EZ-CLIP release's lists, and the splits of UCF-101 and HMDB-51."""

import re
from collections.abc import Iterator
from pathlib import Path

from ezclip.data.formats.listing import Options, Videos, bad_row
from ezclip.errors import ConfigError
from ezclip.text.labels import readable

UNNAMED = "{} numbers its classes; give their names with --classes FILE.csv."
HMDB = re.compile(r"(.+)_test_split[123]\.txt$")
_RELEASE = r"(.+) (\d+) (\d+)$"
_HMDB_MARKS = {"train": "1", "test": "2", "all": "12"}


def text(path: Path, options: Options) -> tuple[str, Videos]:
    """Read a list, its format detected from the file name or first line."""
    if HMDB.match(path.name):
        return "HMDB-51 split", _hmdb(path, options)
    number, first = next(_lines(path), (0, ""))
    if not first:
        raise ConfigError(f"{path.name} lists no videos.")
    if re.match(_RELEASE, first):
        return "list of the EZ-CLIP release", _release(path, options)
    if "/" in first:
        rows = _matches(path, r"(([^/]*)/.*?)( \d+)?$", '"Class/video.avi", with or without a number')
        return "UCF-101 split", [(row[1], readable(row[2])) for _, row in rows]
    raise bad_row(path, number, first, 'a row of the release ("path frames id"), of UCF-101 or of HMDB-51')


def read_classes(path: Path) -> dict[int, str]:
    """Class names by number, from "id,name" rows or "1 Name" lines; raises ConfigError at the first other line."""
    if not path.is_file():
        raise ConfigError(f"There is no class file {path.name}; check --classes.")
    rows = _matches(path, r"(?i)(id|\d+)[, ](.+)", '"id,name" or "id name"')
    return {int(row[1]): readable(row[2].strip().strip('"')) for _, row in rows if row[1].isdigit()}


def _release(path: Path, options: Options) -> Videos:
    if options.classes is None:
        raise ConfigError(UNNAMED.format(path.name))
    classes = read_classes(options.classes)
    for number, row in _matches(path, _RELEASE, '"path frames id"'):
        if int(row[3]) not in classes:
            raise ConfigError(f"{path.name}, line {number}: there is no class {row[3]} in {options.classes.name}.")
        yield row[1], classes[int(row[3])]


def _hmdb(path: Path, options: Options) -> Videos:
    label = HMDB.sub(r"\1", path.name)
    for _, row in _matches(path, r"(.+) ([012])$", '"video.avi 0", 1 for training or 2 for testing'):
        if row[2] in _HMDB_MARKS[options.subset]:
            yield f"{label}/{row[1].strip()}", readable(label)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig") as file:
        yield from ((number, line.strip()) for number, line in enumerate(file, 1) if line.strip())


def _matches(path: Path, pattern: str, expected: str) -> Iterator[tuple[int, re.Match[str]]]:
    for number, line in _lines(path):
        if not (match := re.match(pattern, line)):
            raise bad_row(path, number, line, expected)
        yield number, match
