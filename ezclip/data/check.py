"""Checks a listed data set: finds its files, decodes them with all cores, and writes the manifest that remains."""

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

T = 8  # frames decoded of each video


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    form: str  # how the data set lists its videos
    rows: list[Document]  # path, label, partner and family of each video that was found and can be decoded
    missing: list[str]  # names of the rest that were not found
    broken: dict[str, str]  # name -> why it cannot be decoded
    damaged: dict[str, int]  # name -> frames lost, of partly decodable videos; they stay in ``rows``

    @property
    def counts(self) -> dict[str, int]:
        """Label -> number of valid videos, alphabetically."""
        return dict(sorted(Counter(row["label"] for row in self.rows).items()))

    def as_json(self) -> Document:
        """Plain values."""
        counted = {"form": self.form, "videos": len(self.rows), "classes": self.counts}
        return counted | {"missing": self.missing, "broken": self.broken, "damaged": self.damaged}

    def write(self, out: Path) -> None:
        """Write the manifest; paths inside its folder become relative.

        Raises:
            ConfigError: no valid video to write.
        """
        if not self.rows:
            raise ConfigError("None of the listed videos could be found and decoded; check --root.")
        out.parent.mkdir(parents=True, exist_ok=True)
        base = out.parent.resolve()
        paths = [Path(row["path"]).resolve() for row in self.rows]
        shown = [str(path.relative_to(base) if path.is_relative_to(base) else path) for path in paths]
        write_manifest(out, [row | {"path": path} for row, path in zip(self.rows, shown, strict=True)])


class Finder:
    """Finds listed names below a folder, whatever their prefix on another machine.

    Names are tried unchanged, then by their path suffixes, longest first; one without an extension may be a folder
    of frames or any video of that name. A file in the folder of another class is never used.
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
        found = self._by_name.get(Path(parts[-1]).stem, []) or self._by_name.get(parts[-1], [])
        beside = [path for path in found if len(parts) > 1 and path.parent.name == parts[-2]]
        own = [path for path in found if same_name(path.parent.name) not in self.classes - {same_name(label)}]
        return next(iter(beside or own), None)


def unpack(listing: Listing, folder: Path) -> Listing:
    """Extract the videos of WebDataset shards into files.

    Raises:
        ConfigError: a shard that cannot be read, or that would write outside ``folder``.
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
    """Find every listed video below ``root``, by default the list's folder, and decode T frames of each.

    Without ``decode``, files only need to exist. ``jobs`` is the number of decoders, by default one for each core.

    Raises:
        ConfigError: root is not a folder.
    """
    root = root or listing.root
    if not root.is_dir():
        raise ConfigError(f"There is no folder {root.name}; --root must contain the videos.")
    finder = Finder(root, set(listing.labels))
    paths = [finder.find(name, label) for name, label in zip(listing.names, listing.labels, strict=True)]
    there = [i for i, path in enumerate(paths) if path is not None]
    decoded: dict[int, tuple[str, int]] = dict.fromkeys(there, ("", 0))
    if decode and there:
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:  # their decoders are processes of their own
            results = pool.map(_decode, [str(paths[i]) for i in there])
            for number, (i, result) in enumerate(zip(there, results, strict=True), 1):
                decoded[i] = result
                yield Progress(number / len(there), f"checking, video {number} of {len(there)}")
    names, columns = listing.names, {"label": listing.labels} | listing.extra
    good = [i for i in there if not decoded[i][0]]
    return Check(
        listing.form,
        [{"path": str(paths[i])} | {key: values[i] for key, values in columns.items()} for i in good],
        [names[i] for i, path in enumerate(paths) if path is None],
        {names[i]: why for i, (why, _) in decoded.items() if why},
        {names[i]: decoded[i][1] for i in good if decoded[i][1]},
    )


def _decode(path: str) -> tuple[str, int]:
    """Why a video cannot be decoded, or "" and the number of lost frames."""
    try:
        return "", read_clip(path, partial(segment_centres, T=T)).lost
    except UserError as error:
        return str(error), 0


def overlap(labels: Iterable[str], others: Iterable[str]) -> list[str]:
    """The labels also in ``others``, ignoring case and punctuation."""
    known = {same_name(other) for other in others}
    return [label for label in labels if same_name(label) in known]
