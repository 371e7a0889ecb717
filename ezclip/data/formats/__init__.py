"""Detects the format of a data set and reads it as names with labels.

Formats: a folder for each class (videos or folders of frames), the EZ-CLIP release's lists, UCF-101 and HMDB-51
splits, Kinetics CSV, Something-Something v2 and Something-Else JSON, Chirality in Action and UCF101-DS CSV, RTime JSON,
WebDataset shards, and this project's JSONL, CSV and Parquet.
"""

import csv
import json
import tarfile
from pathlib import Path

from ezclip.data.formats import lines, shards, tables
from ezclip.data.formats.listing import Listing, Options, Reader
from ezclip.data.manifest import MANIFEST, class_folders
from ezclip.errors import ConfigError
from ezclip.text.labels import readable

READERS: dict[str, Reader] = {
    ".jsonl": tables.manifest,
    ".json": tables.something,
    ".csv": tables.rows,
    ".txt": lines.text,
    ".parquet": tables.manifest,
    ".tar": shards.shard,
}


def read_listing(path: str | Path, options: Options | None = None) -> Listing:
    """Recognise and read a list of labelled videos, a file or a folder.

    Raises ConfigError where nothing is found, for an unknown format, or with the number of the first bad line.
    """
    path, options = Path(path), options or Options()
    if path.is_dir():
        return _folder(path, options)
    if not path.is_file():
        raise ConfigError(f"There is no file or folder {path.name}; check the path.")
    if path.suffix.lower() not in READERS:
        raise ConfigError(f"{path.name} has an unsupported format; give a folder or one of {', '.join(READERS)}.")
    return _read([path], options)


def _folder(path: Path, options: Options) -> Listing:
    if (path / MANIFEST).is_file():
        return _read([path / MANIFEST], options)
    if any(path.glob("*_test_split[123].txt")):
        return _read(sorted(path.glob(f"*_test_split{options.split}.txt")), options)
    kinds = ("train", "test") if options.subset == "all" else (options.subset,)
    lists = [file for kind in kinds if (file := path / f"{kind}list{options.split:02}.txt").is_file()]
    if files := lists or sorted(path.glob("*.tar")):
        return _read(files, options)
    if not (found := class_folders(path)):
        raise ConfigError(f"{path.name} has no class folders with videos or frames, no split files and no {MANIFEST}.")
    frames = ", with frames" if any(one.is_dir() for one in found) else ""
    names, labels = [f"{one.parent.name}/{one.name}" for one in found], [readable(one.parent.name) for one in found]
    return Listing(f"folder for each class{frames}", names, labels, path)


def _read(files: list[Path], options: Options) -> Listing:
    form, found = "", []
    for file in files:
        try:
            form, videos = READERS[file.suffix.lower()](file, options)
            found += videos
        except (UnicodeDecodeError, json.JSONDecodeError, tarfile.TarError, csv.Error) as error:
            raise ConfigError(f"{file.name} cannot be read as {file.suffix[1:].upper()} ({error}).") from error
    if not found and all(lines.HMDB.match(file.name) for file in files):
        raise ConfigError(f"The split files list no videos for split {options.split}, {options.subset}.")
    names, labels, *extra = map(list, zip(*found)) if found else ([], [])
    return Listing(form, names, labels, files[0].parent, dict(zip(("partner", "family"), extra)))
