"""Files with named fields: CSV of Kinetics and others, JSON of Something-Something v2, and manifests."""

import csv
import json
import re
from pathlib import Path

from ezclip.data.formats import order
from ezclip.data.formats.listing import Options, Videos, bad_row
from ezclip.data.manifest import read_rows
from ezclip.errors import ConfigError
from ezclip.text.labels import readable


def manifest(path: Path, _: Options) -> tuple[str, Videos]:
    """Read a JSONL or Parquet manifest of this project."""
    return "manifest of this project", zip(*read_rows(path).table.to_pydict().values())


def rows(path: Path, options: Options) -> tuple[str, Videos]:
    """Read a CSV file, its format detected from the columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns, numbered = set(reader.fieldnames or ()), list(enumerate(reader, 2))
    if {"label", "youtube_id"} <= columns:
        return "Kinetics CSV", _kinetics(path, numbered, options)
    if order.CHIRAL <= columns:
        return "Chirality in Action CSV", order.chiral(path, numbered, options)
    if order.SHIFTED <= columns:
        return "UCF101-DS CSV", order.shifted(path, numbered)
    if not {"path", "label"} <= columns:
        raise ConfigError(f"{path.name} has the columns {', '.join(sorted(columns))}; path and label are needed.")
    for number, row in numbered:
        if not row["path"] or not row["label"]:
            raise bad_row(path, number, row, "a row with a path and a label")
    return "CSV of path and label", [(row["path"], row["label"]) for _, row in numbered]


def something(path: Path, _: Options) -> tuple[str, Videos]:
    """Read Something-Something v2 or Something-Else, with templates as labels; or RTime."""
    entries = json.loads(path.read_text("utf-8"))
    if isinstance(entries, dict) and any("forward_captions" in e for e in entries.values() if isinstance(e, dict)):
        return "RTime JSON", order.rtime(path, entries)
    if not isinstance(entries, list):
        raise ConfigError(f"{path.name} is not a JSON list of videos as in Something-Something v2.")
    videos = []
    for number, row in enumerate(entries, 1):
        try:
            videos.append((f"{row['id']}.webm", re.sub(r"[\[\]]", "", row["template"])))
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f'{path.name}, entry {number} has no "id" and "template"; the test part has no labels: {str(row)[:80]}'
            ) from error
    return "Something-Something v2 JSON", videos


def _kinetics(path: Path, rows: list[tuple[int, dict[str, str]]], options: Options) -> Videos:
    for number, row in rows:
        part = (row.get("split") or "").replace("validate", "test").replace("val", "test")
        if options.subset != "all" and part and part != options.subset:
            continue
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
        except (KeyError, TypeError, ValueError) as error:
            raise bad_row(path, number, row, "a row of Kinetics: label, youtube_id, time_start, time_end") from error
        yield f"{row['label']}/{row['youtube_id']}_{start:06d}_{end:06d}.mp4", readable(row["label"])
