"""Checks a data set: locates its files, decodes them on all cores, and writes a manifest of the valid videos."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from ezclip.data.formats import Listing
from ezclip.data.manifest import write_manifest
from ezclip.errors import ConfigError, UserError
from ezclip.progress import Progress, Steps
from ezclip.text.labels import same_name
from ezclip.types import Document
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

T = 8  # frames to decode per video


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    form: str  # display name of the data set's format
    rows: list[Document]  # path, label, partner and family of each video that exists and can be decoded
    missing: list[str]  # names of videos that were not found
    broken: dict[str, str]  # name -> why the video cannot be decoded
    damaged: dict[str, int]  # name -> number of lost frames of partly decodable videos, which are also in ``rows``

    @property
    def counts(self) -> dict[str, int]:
        """Label -> number of valid videos, in alphabetical order."""
        return dict(sorted(Counter(row["label"] for row in self.rows).items()))

    def as_json(self) -> Document:
        """The result as a JSON object."""
        counts = {"form": self.form, "videos": len(self.rows), "classes": self.counts}
        return counts | {"missing": self.missing, "broken": self.broken, "damaged": self.damaged}

    def write(self, out: Path) -> None:
        """Write the manifest, with relative paths for videos inside its folder.

        Raises:
            ConfigError: there are no valid videos.
        """
        if not self.rows:
            raise ConfigError("None of the listed videos could be found and decoded; check --root.")
        out.parent.mkdir(parents=True, exist_ok=True)
        base = out.parent.resolve()
        paths = [Path(row["path"]).resolve() for row in self.rows]
        names = [str(path.relative_to(base) if path.is_relative_to(base) else path) for path in paths]
        write_manifest(out, [row | {"path": name} for row, name in zip(self.rows, names, strict=True)])


class Finder:
    """Locates listed videos below a folder, ignoring path prefixes from another machine.

    A name is tried unchanged, then by its path suffixes, longest first; a name without an extension matches a folder
    of frames or a video with any extension. A file in the folder of another class never matches.
    """

    def __init__(self, root: Path, labels: Iterable[str] = ()):
        self.root, self.classes = root, {same_name(label) for label in labels}
        self._by_name: dict[str, list[Path]] = {}
        for folder, folders, files in os.walk(root):
            for name in (*files, *folders):
                self._by_name.setdefault(Path(name).stem, []).append(Path(folder) / name)

    def find(self, name: str, label: str = "") -> Path | None:
        """The file or folder of a listed name of class ``label``, or None."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for start in range(len(parts)):
            path = self.root.joinpath(*parts[start:]) if parts[start] != "/" else Path(name)
            if path.exists():
                return path
        paths = self._by_name.get(Path(parts[-1]).stem, []) or self._by_name.get(parts[-1], [])
        same_folder = [path for path in paths if len(parts) > 1 and path.parent.name == parts[-2]]
        other_classes = self.classes - {same_name(label)}
        candidates = same_folder or [path for path in paths if same_name(path.parent.name) not in other_classes]
        return next(iter(candidates), None)


def unpack(listing: Listing, folder: Path) -> Listing:
    """Extract the videos of WebDataset shards into files.

    Raises:
        ConfigError: a shard cannot be read or would write outside ``folder``.
    """
    for shard in sorted({name.partition("/")[0] for name in listing.names}):
        target = (folder / Path(shard).stem).resolve()
        try:
            with tarfile.open(listing.root / shard) as archive:
                for name in (n.partition("/")[2] for n in listing.names if n.startswith(f"{shard}/")):
                    path, content = (target / name).resolve(), archive.extractfile(name)
                    if content is None or not path.is_relative_to(target):
                        raise ConfigError(f"{shard} holds {name}, which is no plain file inside it; repair the shard.")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(content, file)
        except (tarfile.TarError, OSError) as error:
            raise ConfigError(f"{shard} cannot be unpacked ({type(error).__name__}).") from error
    names = [f"{Path(name.partition('/')[0]).stem}/{name.partition('/')[2]}" for name in listing.names]
    return Listing(listing.form, names, listing.labels, folder, listing.extra)


def check(listing: Listing, root: Path | None = None, *, decode: bool = True, jobs: int | None = None) -> Steps[Check]:
    """Locate every listed video below ``root``, by default the list's folder, and decode T frames of each.

    Without ``decode``, files only need to exist. ``jobs`` is the number of decoders, by default one per core.

    Raises:
        ConfigError: ``root`` is not a folder.
    """
    root = root or listing.root
    if not root.is_dir():
        raise ConfigError(f"There is no folder {root.name}; --root must contain the videos.")
    finder = Finder(root, set(listing.labels))
    paths = [finder.find(name, label) for name, label in zip(listing.names, listing.labels, strict=True)]
    existing = [i for i, path in enumerate(paths) if path is not None]
    results: dict[int, tuple[str, int]] = dict.fromkeys(existing, ("", 0))
    if decode and existing:
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:  # each thread waits for a decoding process
            outcomes = pool.map(_decode, [str(paths[i]) for i in existing])
            for number, (i, outcome) in enumerate(zip(existing, outcomes, strict=True), 1):
                results[i] = outcome
                yield Progress(number / len(existing), f"checking, video {number} of {len(existing)}")
    names, columns = listing.names, {"label": listing.labels} | listing.extra
    valid = [i for i in existing if not results[i][0]]
    return Check(
        listing.form,
        [{"path": str(paths[i])} | {key: values[i] for key, values in columns.items()} for i in valid],
        [names[i] for i, path in enumerate(paths) if path is None],
        {names[i]: reason for i, (reason, _) in results.items() if reason},
        {names[i]: results[i][1] for i in valid if results[i][1]},
    )


def _decode(path: str) -> tuple[str, int]:
    """Decode one video: why it cannot be decoded, or "", and the number of lost frames."""
    try:
        return "", read_clip(path, partial(segment_centres, T=T)).lost
    except UserError as error:
        return str(error), 0


def overlap(labels: Iterable[str], other_labels: Iterable[str]) -> list[str]:
    """The labels that are also in ``other_labels``, ignoring case and punctuation."""
    keys = set(map(same_name, other_labels))
    return [label for label in labels if same_name(label) in keys]
