"""WebDataset shards: tar files with the label of each video in a .txt, .cls or .json file of the same name."""

import json
import tarfile
from pathlib import Path, PurePosixPath

from ezclip.data.formats.lines import UNNAMED, read_classes
from ezclip.data.formats.listing import Options, Videos
from ezclip.data.manifest import SUFFIXES
from ezclip.errors import ConfigError
from ezclip.text.labels import readable


def shard(path: Path, options: Options) -> tuple[str, Videos]:
    """Read one shard; numeric labels are looked up in ``options.classes``."""
    names, annotations = [], {}
    with tarfile.open(path) as archive:
        for member in archive:
            member_path = PurePosixPath(member.name)
            stem, _, extension = member_path.name.partition(".")  # at the first dot, as in WebDataset
            key = member_path.parent / stem
            if member.isfile() and f".{extension.lower()}" in SUFFIXES:
                names.append((member.name, key))
            elif extension in ("txt", "cls", "json") and member.isfile() and (file := archive.extractfile(member)):
                annotations[key] = extension, file.read().decode("utf-8").strip()
    if not names:
        raise ConfigError(f"{path.name} has no videos.")
    classes = read_classes(options.classes) if options.classes else {}
    videos = []
    for name, key in names:
        extension, text = annotations.get(key, ("", ""))
        label = json.loads(text).get("label", "") if extension == "json" else text
        if isinstance(label, int) or str(label).isdigit():
            if int(label) not in classes:
                raise ConfigError(UNNAMED.format(path.name))
            label = classes[int(label)]
        if not label:
            raise ConfigError(f"{path.name}: {name} has no label in a .txt, .cls or .json beside it.")
        videos.append((f"{path.name}/{name}", readable(label)))
    return "WebDataset shards", videos
