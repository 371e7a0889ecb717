"""Detects the format of a data set and reads it as names with labels.

Formats: a folder for each class (videos or folders of frames), the EZ-CLIP release's lists, UCF-101 and HMDB-51
splits, Kinetics CSV, Something-Something v2 JSON, WebDataset shards, and this project's JSONL, CSV and Parquet.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ezclip.data.manifest import MANIFEST, SUFFIXES, class_folders, read_rows
from ezclip.errors import ConfigError
from ezclip.text.labels import readable

Subset = Literal["train", "test", "all"]
_HMDB = re.compile(r"(.+)_test_split([123])\.txt$")
_RELEASE = re.compile(r"(.+) (\d+) (\d+)$")
_HMDB_MARK = {"1": "train", "2": "test"}


@dataclass(frozen=True)
class Options:
    """Options that some formats need.

    Attributes:
        classes: file with the class names by number ("id,name" rows, or "1 Name" lines); the release's lists need it.
        split: 1, 2 or 3, of UCF-101 and HMDB-51.
        subset: which part of a split.
    """

    classes: Path | None = None
    split: int = 1
    subset: Subset = "all"


@dataclass(frozen=True)
class Listing:
    """Videos as a data set lists them.

    Attributes:
        form: display name of the format.
        names: of files or folders, as listed; relative ones lie below the data set's root.
        labels: one per name, with CamelCase and underscores split.
        root: default folder of the videos.
        extra: the columns partner and family of a manifest.
    """

    form: str
    names: list[str]
    labels: list[str]
    root: Path
    extra: dict[str, list[Any]] = field(default_factory=dict)


def read_listing(path: str | Path, options: Options | None = None) -> Listing:
    """Recognise and read a list of labelled videos.

    Args:
        path: file or folder.
        options: class file, split and subset.

    Raises:
        ConfigError: not found, an unknown format, or the number of the first bad line.
    """
    path, options = Path(path), options or Options()
    if path.is_dir():
        return _folder(path, options)
    if not path.is_file():
        raise ConfigError(f"There is no file or folder {path.name}; check the path.")
    readers = {
        ".jsonl": _manifest,
        ".json": _something,
        ".csv": _csv,
        ".txt": _text,
        ".parquet": _manifest,
        ".tar": _tar,
    }
    if path.suffix.lower() not in readers:
        known = ", ".join(readers)
        raise ConfigError(f"{path.name} is no list that is known; give a folder or one of {known}.")
    try:
        return readers[path.suffix.lower()](path, options)
    except (UnicodeDecodeError, json.JSONDecodeError, tarfile.TarError, csv.Error) as error:
        raise ConfigError(f"{path.name} cannot be read as {path.suffix[1:].upper()} ({error}).") from error


def _folder(path: Path, options: Options) -> Listing:
    if (path / MANIFEST).is_file():
        return _manifest(path / MANIFEST, options)
    if any(path.glob("*_test_split[123].txt")):
        return _hmdb(sorted(path.glob(f"*_test_split{options.split}.txt")), options)
    kinds = ("train", "test") if options.subset == "all" else (options.subset,)
    if lists := [p for kind in kinds if (p := path / f"{kind}list{options.split:02}.txt").is_file()]:
        parts = [_text(one, options) for one in lists]
        names, labels = ([x for part in parts for x in getattr(part, column)] for column in ("names", "labels"))
        return Listing("UCF-101 split", names, labels, path)
    if shards := sorted(path.glob("*.tar")):
        parts = [_tar(shard, options) for shard in shards]
        names, labels = ([x for part in parts for x in getattr(part, column)] for column in ("names", "labels"))
        return Listing("WebDataset shards", names, labels, path)
    return _class_folders(path)


def _class_folders(path: Path) -> Listing:
    if not (found := class_folders(path)):
        raise ConfigError(f"{path.name} has no class folders with videos or frames, no split files and no {MANIFEST}.")
    frames = ", with frames" if any(one.is_dir() for one in found) else ""
    names, labels = [f"{one.parent.name}/{one.name}" for one in found], [readable(one.parent.name) for one in found]
    return Listing(f"folder for each class{frames}", names, labels, path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig") as file:
        yield from ((number, line.strip()) for number, line in enumerate(file, 1) if line.strip())


def _bad(path: Path, number: int, line: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{path.name}, line {number} is not {wanted}: {str(line)[:80]}")


def _text(path: Path, options: Options) -> Listing:
    if _HMDB.match(path.name):
        return _hmdb([path], options)
    number, first = next(_lines(path), (0, ""))
    if not first:
        raise ConfigError(f"{path.name} lists no videos.")
    if _RELEASE.match(first):
        return _release(path, options)
    if "/" in first:
        return _ucf(path)
    raise _bad(path, number, first, 'a row of the release ("path frames id"), of UCF-101 or of HMDB-51')


def _release(path: Path, options: Options) -> Listing:
    if options.classes is None:
        raise ConfigError(f"{path.name} numbers its classes; give their names with --classes FILE.csv.")
    classes = read_classes(options.classes)
    names, labels = [], []
    for number, line in _lines(path):
        match = _RELEASE.match(line)
        if match is None:
            raise _bad(path, number, line, '"path frames id"')
        if int(match[3]) not in classes:
            raise ConfigError(f"{path.name}, line {number}: there is no class {match[3]} in {options.classes.name}.")
        names.append(match[1])
        labels.append(classes[int(match[3])])
    return Listing("list of the EZ-CLIP release", names, labels, path.parent)


def read_classes(path: Path) -> dict[int, str]:
    """Class names by number, from "id,name" rows or "1 Name" lines.

    Raises:
        ConfigError: no such file, or the first bad line.
    """
    if not path.is_file():
        raise ConfigError(f"There is no class file {path.name}; check --classes.")
    found = {}
    for number, line in _lines(path):
        key, _, name = line.partition("," if "," in line else " ")
        if number == 1 and key.casefold() == "id":
            continue
        if not key.isdigit() or not name.strip():
            raise _bad(path, number, line, '"id,name" or "id name"')
        found[int(key)] = readable(name.strip().strip('"'))
    return found


def _ucf(path: Path) -> Listing:
    names, labels = [], []
    for number, line in _lines(path):
        name = re.sub(r" \d+$", "", line)
        folder, slash, _ = name.partition("/")
        if not slash:
            raise _bad(path, number, line, '"Class/video.avi", with or without a number')
        names.append(name)
        labels.append(readable(folder))
    return Listing("UCF-101 split", names, labels, path.parent)


def _hmdb(paths: list[Path], options: Options) -> Listing:
    names, labels = [], []
    for path in paths:
        match = _HMDB.match(path.name)
        assert match is not None
        for number, line in _lines(path):
            name, _, mark = line.rpartition(" ")
            if mark not in ("0", *_HMDB_MARK) or not name:
                raise _bad(path, number, line, '"video.avi 0", 1 for training or 2 for testing')
            if options.subset in ("all", _HMDB_MARK.get(mark)) and mark != "0":
                names.append(f"{match[1]}/{name.strip()}")
                labels.append(readable(match[1]))
    if not names:
        raise ConfigError(f"The split files list no videos for split {options.split}, {options.subset}.")
    return Listing("HMDB-51 split", names, labels, paths[0].parent)


def _csv(path: Path, options: Options) -> Listing:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = set(rows.fieldnames or ())
        if {"label", "youtube_id"} <= columns:
            return _kinetics(path, rows, options)
        if not {"path", "label"} <= columns:
            raise ConfigError(f"{path.name} has the columns {', '.join(sorted(columns))}; path and label are needed.")
        names, labels = [], []
        for number, row in enumerate(rows, 2):
            if not row["path"] or not row["label"]:
                raise _bad(path, number, row, "a row with a path and a label")
            names.append(row["path"])
            labels.append(row["label"])
        return Listing("CSV of path and label", names, labels, path.parent)


def _kinetics(path: Path, rows: Iterable[dict[str, str]], options: Options) -> Listing:
    names, labels = [], []
    for number, row in enumerate(rows, 2):
        part = (row.get("split") or "").replace("validate", "test").replace("val", "test")
        if options.subset != "all" and part and part != options.subset:
            continue
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
            names.append(f"{row['label']}/{row['youtube_id']}_{start:06d}_{end:06d}.mp4")
        except (KeyError, TypeError, ValueError) as error:
            raise _bad(path, number, row, "a row of Kinetics: label, youtube_id, time_start, time_end") from error
        labels.append(readable(row["label"]))
    return Listing("Kinetics CSV", names, labels, path.parent)


def _something(path: Path, options: Options) -> Listing:
    rows = json.loads(path.read_text("utf-8"))
    if not isinstance(rows, list):
        raise ConfigError(f"{path.name} is not a JSON list of videos as in Something-Something v2.")
    names, labels = [], []
    for number, row in enumerate(rows, 1):
        try:
            names.append(f"{row['id']}.webm")
            labels.append(re.sub(r"[\[\]]", "", row["template"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f'{path.name}, entry {number} has no "id" and "template"; the test part has no labels: {str(row)[:80]}'
            ) from error
    return Listing("Something-Something v2 JSON", names, labels, path.parent)


def _manifest(path: Path, options: Options) -> Listing:
    columns = read_rows(path).table.to_pydict()
    names, labels = columns.pop("path"), columns.pop("label")
    return Listing("manifest of this project", names, labels, path.parent, columns)


def _key(name: str) -> tuple[str, str]:
    """WebDataset's key and extension: the file's name is split at its first dot, its folders are part of the key."""
    folder, slash, base = name.rpartition("/")
    start, _, kind = base.partition(".")
    return f"{folder}{slash}{start}", kind


def _tar(path: Path, options: Options) -> Listing:
    names, labels, told = [], [], {}
    with tarfile.open(path) as shard:
        for member in shard:
            key, kind = _key(member.name)
            if member.isfile() and f".{kind.lower()}" in SUFFIXES:
                names.append(member.name)
            elif member.isfile() and kind in ("txt", "cls", "json"):
                content = shard.extractfile(member)
                told[key] = (kind, content.read().decode("utf-8").strip() if content else "")
    if not names:
        raise ConfigError(f"{path.name} has no videos.")
    classes = read_classes(options.classes) if options.classes else {}
    for name in names:
        kind, text = told.get(_key(name)[0], ("", ""))
        label = json.loads(text).get("label", "") if kind == "json" else text
        if isinstance(label, int) or str(label).isdigit():
            if int(label) not in classes:
                raise ConfigError(f"{path.name} numbers its classes; give their names with --classes FILE.csv.")
            label = classes[int(label)]
        if not label:
            raise ConfigError(f"{path.name}: {name} has no label in a .txt, .cls or .json beside it.")
        labels.append(readable(label))
    return Listing("WebDataset shards", [f"{path.name}/{name}" for name in names], labels, path.parent)
