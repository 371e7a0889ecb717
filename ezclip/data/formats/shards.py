"""WebDataset shards: tar files in which each video has its label in a .txt, .cls or .json beside it."""

import json
import tarfile
from pathlib import Path, PurePosixPath

from ezclip.data.formats.lines import UNNAMED, read_classes
from ezclip.data.formats.listing import Options, Videos
from ezclip.data.manifest import SUFFIXES
from ezclip.errors import ConfigError
from ezclip.text.labels import readable


def shard(path: Path, options: Options) -> tuple[str, Videos]:
    """Read one shard; where its labels are numbers, ``options.classes`` names them."""
    names, told = [], {}
    with tarfile.open(path) as archive:
        for member in archive:
            inside = PurePosixPath(member.name)
            start, _, kind = inside.name.partition(".")  # at its first dot, as WebDataset has it
            key = inside.parent / start
            if member.isfile() and f".{kind.lower()}" in SUFFIXES:
                names.append((member.name, key))
            elif kind in ("txt", "cls", "json") and member.isfile() and (content := archive.extractfile(member)):
                told[key] = kind, content.read().decode("utf-8").strip()
    if not names:
        raise ConfigError(f"{path.name} has no videos.")
    classes = read_classes(options.classes) if options.classes else {}
    videos = []
    for name, key in names:
        kind, text = told.get(key, ("", ""))
        label = json.loads(text).get("label", "") if kind == "json" else text
        if isinstance(label, int) or str(label).isdigit():
            if int(label) not in classes:
                raise ConfigError(UNNAMED.format(path.name))
            label = classes[int(label)]
        if not label:
            raise ConfigError(f"{path.name}: {name} has no label in a .txt, .cls or .json beside it.")
        videos.append((f"{path.name}/{name}", readable(label)))
    return "WebDataset shards", videos
