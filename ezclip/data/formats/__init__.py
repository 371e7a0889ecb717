"""Detects the format of a data set and reads its video names and labels.

Formats: a folder per class (videos or folders of frames), the EZ-CLIP release's lists, UCF-101 and HMDB-51 splits,
Kinetics CSV, Something-Something v2 and Something-Else JSON, Chirality in Action and UCF101-DS CSV, RTime JSON,
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
    """Detect the format of a file or folder of labelled videos and read it.

    Raises ConfigError if there are no videos, for an unknown format, or with the number of the first invalid line.
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
    subsets = ("train", "test") if options.subset == "all" else (options.subset,)
    lists = [file for subset in subsets if (file := path / f"{subset}list{options.split:02}.txt").is_file()]
    if files := lists or sorted(path.glob("*.tar")):
        return _read(files, options)
    if not (videos := class_folders(path)):
        raise ConfigError(f"{path.name} has no class folders with videos or frames, no split files and no {MANIFEST}.")
    form = "folder for each class" + (", with frames" if any(video.is_dir() for video in videos) else "")
    return Listing(form, [f"{v.parent.name}/{v.name}" for v in videos], [readable(v.parent.name) for v in videos], path)


def _read(files: list[Path], options: Options) -> Listing:
    form, rows = "", []
    for file in files:
        try:
            form, videos = READERS[file.suffix.lower()](file, options)
            rows += videos
        except (UnicodeDecodeError, json.JSONDecodeError, tarfile.TarError, csv.Error) as error:
            raise ConfigError(f"{file.name} cannot be read as {file.suffix[1:].upper()} ({error}).") from error
    if not rows and all(lines.HMDB.match(file.name) for file in files):
        raise ConfigError(f"The split files list no videos for split {options.split}, {options.subset}.")
    names, labels, *extra = map(list, zip(*rows)) if rows else ([], [])
    return Listing(form, names, labels, files[0].parent, dict(zip(("partner", "family"), extra)))
