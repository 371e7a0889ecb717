"""Data sets of training and evaluation clips, decoded on access or once into a memory-mapped cache."""

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

FRAMES_PER_SEGMENT = 5  # at most this many frames of each of the T segments are cached

Sampling = Literal["random", "centres"]


class DecodedFrames:
    """Frames of videos at training size, decoded on access: ``frames(index, pick) -> uint8 (T, 3, H, W)``."""

    def __init__(self, rows: Sequence[Row], size: int):
        self.rows, self.size = rows, size

    def __call__(self, index: int, pick: Callable[[int], list[int]]) -> Tensor:
        """The picked frames of one video, with short side ``size``; raises VideoError."""
        return resize_short_side(read_clip(self.rows[index].path, pick).images, self.size)


class CachedFrames:
    """Like ``DecodedFrames``, from a disk cache of at most ``per_video`` evenly spaced square frames of each video."""

    def __init__(self, folder: Path, videos: int, per_video: int, size: int):
        self.frames = np.memmap(folder / "frames.u8", np.uint8, "r", shape=(videos, per_video, 3, size, size))
        self.counts = np.load(folder / "counts.npy")

    def __call__(self, index: int, pick: Callable[[int], list[int]]) -> Tensor:
        """The picked frames of one video; raises VideoError if it could not be read when the cache was made."""
        total = int(self.counts[index])
        if total == 0:
            raise VideoError("unreadable when the cache was made")
        return torch.from_numpy(self.frames[index, pick(total)])


def open_cache(rows: Sequence[Row], folder: str | Path, *, T: int, size: int) -> Steps[CachedFrames]:
    """Open the cache of ``rows`` under ``folder``; if it does not exist yet, decode every video once to create it.

    Raises:
        ConfigError: the disk is too small for the cache.
    """
    per_video = T * FRAMES_PER_SEGMENT
    stamps = [(str(r.path), r.path.stat().st_mtime_ns if r.path.exists() else 0) for r in rows]
    key = hashlib.sha256(json.dumps([stamps, per_video, size]).encode()).hexdigest()[:16]
    cache = Path(folder) / key
    if not cache.exists():
        nbytes = len(rows) * per_video * 3 * size * size
        Path(folder).mkdir(parents=True, exist_ok=True)
        if nbytes > shutil.disk_usage(folder).free:
            raise ConfigError(f"The cache needs {nbytes / 1e9:.0f} GB in {folder}; free space or set cache to null.")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as temporary:
            yield from _fill(Path(temporary) / "cache", rows, per_video, size)
            try:
                (Path(temporary) / "cache").replace(cache)
            except OSError:
                if not cache.exists():  # else another process has made the same cache meanwhile
                    raise
    return CachedFrames(cache, len(rows), per_video, size)


def _fill(folder: Path, rows: Sequence[Row], per_video: int, size: int) -> Steps[None]:
    """Decode every video into ``folder`` on all cores."""
    folder.mkdir()
    with (folder / "frames.u8").open("wb") as file:
        file.truncate(len(rows) * per_video * 3 * size * size)
    decode = partial(_decode_into, str(folder / "frames.u8"), len(rows), per_video, size)
    jobs = [(i, str(row.path)) for i, row in enumerate(rows)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each thread waits for a decoding process
        counts: list[int] = []
        for count in pool.map(decode, jobs):
            counts.append(count)
            yield Progress(len(counts) / len(jobs), f"decoding, clip {len(counts)} of {len(jobs)}")
    np.save(folder / "counts.npy", np.array(counts, np.int64))


def _decode_into(file: str, videos: int, per_video: int, size: int, job: tuple[int, str]) -> int:
    """Decode one video into the cache; returns the number of cached frames, 0 if it cannot be read."""
    index, path = job
    try:
        images = read_clip(path, lambda n: segment_centres(n, per_video) if n > per_video else list(range(n))).images
    except VideoError:
        return 0
    planes = v2.functional.center_crop(resize_short_side(images, size), [size, size])
    frames = np.memmap(file, np.uint8, "r+", shape=(videos, per_video, 3, size, size))
    frames[index, : len(planes)] = planes.numpy()
    return len(planes)


class Views(Dataset):
    """All views of each video for evaluation: item i -> uint8 (V, T, 3, S, S), or why the video cannot be read.

    Args:
        rows: the videos.
        T: frames per view.
        preprocessing: of the model.
        temporal: number of temporal views, each at a different position in the T segments.
        spatial: number of spatial views, see ``video.transforms.crops``; V = temporal * spatial, temporal-major.
    """

    def __init__(
        self, rows: Sequence[Row], *, T: int, preprocessing: Preprocessing, temporal: int = 1, spatial: int = 1
    ):
        self.rows, self.T, self.preprocessing = rows, T, preprocessing
        self.temporal, self.spatial = temporal, spatial

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor | str:
        """Decode the video once and crop all views."""
        try:
            images = read_clip(self.rows[index].path, self._pick).images
        except VideoError as error:
            return str(error)
        squares = crops(images, self.preprocessing, self.spatial)  # (spatial, temporal * T, 3, S, S)
        return squares.unflatten(1, (self.temporal, self.T)).transpose(0, 1).flatten(0, 1)

    def _pick(self, total: int) -> list[int]:
        positions = [(view + 0.5) / self.temporal for view in range(self.temporal)]
        return [index for position in positions for index in segment_points(total, self.T, position)]


class Item(NamedTuple):
    """One decoded clip."""

    frames: Tensor  # uint8 (T, 3, h, w), cropped
    colours: Tensor | None  # see ``Augmentation``
    seed: int  # of the augmentation
    target: int  # class number
    unreadable: list[tuple[str, str]]  # path and reason of each unreadable video that this clip replaces


class Clips(Dataset):
    """Clips for training: item (epoch, index) -> ``Item``.

    All randomness of an item derives from (seed, epoch, index), whatever the number of workers. An unreadable video is
    replaced by the next readable one, and its path is returned with the item.

    Args:
        rows: the videos.
        labels: class names; a row's target is the index of its label.
        frames: source of the frames.
        augment: crops the clips and samples their colours.
        T: frames per clip.
        sampling: see ``TrainConfig``.
        seed: of all random numbers.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        labels: list[str],
        frames: DecodedFrames | CachedFrames,
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
        """Decode the sampled frames and crop them, in a worker of the data loader."""
        epoch, index = item
        rng = np.random.default_rng([self.seed, epoch, index])
        centres = partial(segment_centres, T=self.T)
        pick = partial(random_in_segments, T=self.T, rng=rng) if self.sampling == "random" else centres
        unreadable: list[tuple[str, str]] = []
        for step in range(len(self.rows)):
            i = (index + step) % len(self.rows)
            try:
                frames = self.frames(i, pick)
            except VideoError as error:
                unreadable.append((str(self.rows[i].path), str(error)))
                continue
            seed = int(rng.integers(2**31))
            return Item(*self.augment(frames, seed), seed, self.targets[i], unreadable)
        raise ConfigError("None of the videos can be read; check them in a player first.")
