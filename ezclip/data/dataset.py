"""Training clips: chosen frames of each video, decoded every time or once into a memory-mapped cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ezclip.data.augmentation import Augmentation
from ezclip.data.manifest import Row
from ezclip.errors import ConfigError, VideoError
from ezclip.progress import Progress, Steps
from ezclip.types import Preprocessing
from ezclip.video.read import read_clip
from ezclip.video.sampling import random_in_segments, segment_centres, segment_points
from ezclip.video.transforms import crops, resize_short_side

FRAMES_PER_SEGMENT = 5  # a cached video keeps at most this many frames for each of the T segments

Sampling = Literal["random", "centres"]


class Frames8Bit:
    """Frames of videos at training size: ``frames(row, pick) -> uint8 (T, 3, H, W)``, read from the video."""

    def __init__(self, rows: Sequence[Row], size: int):
        self.rows, self.size = rows, size

    def __call__(self, index: int, pick: Callable[[int], list[int]]) -> Tensor:
        """The picked frames of one video, short side ``size``, or VideoError."""
        return resize_short_side(read_clip(self.rows[index].path, pick).images, self.size)


class CachedFrames:
    """The same from a cache on disk, in which each video has at most ``keep`` evenly spaced frames, cropped square."""

    def __init__(self, folder: Path, count: int, keep: int, size: int):
        self.frames = np.memmap(folder / "frames.u8", np.uint8, "r", shape=(count, keep, 3, size, size))
        self.counts = np.load(folder / "counts.npy")

    def __call__(self, index: int, pick: Callable[[int], list[int]]) -> Tensor:
        """The picked frames of one video, or VideoError if it could not be read when the cache was made."""
        total = int(self.counts[index])
        if total == 0:
            raise VideoError("unreadable when the cache was made")
        return torch.from_numpy(self.frames[index, pick(total)])


def cached(rows: Sequence[Row], folder: str | Path, *, T: int, size: int) -> Steps[CachedFrames]:
    """Open the cache of ``rows`` under ``folder``, decoding every video once if it is not there yet.

    Raises:
        ConfigError: the disk is too small for the cache.
    """
    keep = T * FRAMES_PER_SEGMENT
    stamp = [(str(r.path), r.path.stat().st_mtime_ns if r.path.exists() else 0) for r in rows]
    key = hashlib.sha256(json.dumps([stamp, keep, size]).encode()).hexdigest()[:16]
    place = Path(folder) / key
    if not place.exists():
        need = len(rows) * keep * 3 * size * size
        Path(folder).mkdir(parents=True, exist_ok=True)
        if need > shutil.disk_usage(folder).free:
            raise ConfigError(f"The cache needs {need / 1e9:.0f} GB in {folder}; free space or set cache to null.")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as making:
            yield from _fill(Path(making) / "cache", rows, keep, size)
            (Path(making) / "cache").replace(place)
    return CachedFrames(place, len(rows), keep, size)


def _fill(folder: Path, rows: Sequence[Row], keep: int, size: int) -> Steps[None]:
    """Decode every video into ``folder`` with all cores."""
    folder.mkdir()
    with (folder / "frames.u8").open("wb") as file:
        file.truncate(len(rows) * keep * 3 * size * size)
    decode = partial(_decode_into, str(folder / "frames.u8"), len(rows), keep, size)
    jobs = [(i, str(row.path)) for i, row in enumerate(rows)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # their decoders are processes of their own
        counts: list[int] = []
        for count in pool.map(decode, jobs):
            counts.append(count)
            yield Progress(len(counts) / len(jobs), f"decoding, clip {len(counts)} of {len(jobs)}")
    np.save(folder / "counts.npy", np.array(counts, np.int64))


def _decode_into(file: str, count: int, keep: int, size: int, job: tuple[int, str]) -> int:
    """Decode one video into its place in the cache; the number of frames kept, 0 if it cannot be read."""
    index, path = job
    try:
        images = read_clip(path, lambda n: segment_centres(n, keep) if n > keep else list(range(n))).images
    except VideoError:
        return 0
    planes = v2.functional.center_crop(resize_short_side(images, size), [size, size])
    frames = np.memmap(file, np.uint8, "r+", shape=(count, keep, 3, size, size))
    frames[index, : len(planes)] = planes.numpy()
    return len(planes)


class Views(Dataset):
    """All views of each video for evaluation: item i -> uint8 (V, T, 3, S, S), or why the video cannot be read.

    Args:
        rows: the videos.
        T: frames per view.
        seen: the model's preprocessing.
        temporal: views in time, each at its own position in the T segments.
        spatial: views in space, see ``video.transforms.crops``; V = temporal * spatial, one in time after the other.
    """

    def __init__(self, rows: Sequence[Row], *, T: int, seen: Preprocessing, temporal: int = 1, spatial: int = 1):
        self.rows, self.T, self.seen = rows, T, seen
        self.temporal, self.spatial = temporal, spatial

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor | str:
        """Decode once, crop all views."""
        try:
            images = read_clip(self.rows[index].path, self._pick).images
        except VideoError as error:
            return str(error)
        squares = crops(images, self.seen, self.spatial)  # (spatial, temporal * T, 3, S, S)
        return squares.unflatten(1, (self.temporal, self.T)).transpose(0, 1).flatten(0, 1)

    def _pick(self, total: int) -> list[int]:
        places = [(view + 0.5) / self.temporal for view in range(self.temporal)]
        return [index for place in places for index in segment_points(total, self.T, place)]


class Item(NamedTuple):
    """One decoded clip."""

    frames: Tensor  # uint8 (T, 3, h, w), cropped
    colours: Tensor | None  # see ``Augmentation``
    seed: int  # of its augmentation
    target: int  # its class number
    unreadable: list[tuple[str, str]]  # unreadable videos that this clip replaces, and why


class Clips(Dataset):
    """Clips for training: item (epoch, index) -> ``Item``.

    All randomness of an item comes from (seed, epoch, index), whatever the number of workers. A video that cannot be
    read is replaced by the next that can, and its name is returned with the item.

    Args:
        rows: the videos.
        labels: class names; a row's label is its place in this list.
        frames: source of the frames.
        augment: crops the clips and draws their colours.
        T: frames per clip.
        sampling: see ``TrainConfig``.
        seed: of all draws.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        labels: list[str],
        frames: Frames8Bit | CachedFrames,
        augment: Augmentation,
        *,
        T: int,
        sampling: Sampling = "centres",
        seed: int = 0,
    ):
        self.targets = [labels.index(row.label) for row in rows]
        self.rows, self.frames, self.T, self.seed, self.sampling = rows, frames, T, seed, sampling
        self.augment = augment

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.rows)

    def __getitem__(self, item: tuple[int, int]) -> Item:
        """Decode the chosen frames and crop them, in a loader's worker."""
        epoch, index = item
        rng = np.random.default_rng([self.seed, epoch, index])
        centres = partial(segment_centres, T=self.T)
        pick = partial(random_in_segments, T=self.T, rng=rng) if self.sampling == "random" else centres
        broken: list[tuple[str, str]] = []
        for step in range(len(self.rows)):
            i = (index + step) % len(self.rows)
            try:
                frames = self.frames(i, pick)
            except VideoError as error:
                broken.append((str(self.rows[i].path), str(error)))
                continue
            seed = int(rng.integers(2**31))
            return Item(*self.augment(frames, seed), seed, self.targets[i], broken)
        raise ConfigError("None of the videos can be read; check them in a player first.")
