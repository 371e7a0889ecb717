"""Exact search in an index of memory-mapped half-precision embeddings, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pyarrow.compute import IndexOptions, SetLookupOptions, call_function, field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ezclip.collection.layout import PLAN, finished_shards, read_metadata, read_plan, read_windows, shard_number
from ezclip.errors import ConfigError
from ezclip.types import Document

BLOCK = 512_000  # values converted to float32 at once: few calls, but small enough for the CPU cache


@dataclass(frozen=True)
class Moment:
    """The best window of a clip and the adjacent windows that score at least half as high."""

    path: str  # of the clip, relative to the source
    start: float  # seconds
    end: float
    score: float  # of the best window: standard deviations above the mean of all windows
    cosine: float  # of the best window with the query (a sum of texts and clips)
    length: float  # seconds of the clip
    row: int  # index of the best window


@dataclass(frozen=True, eq=False)
class Collection:
    """An opened index of W windows and G clips; stale windows (of changed or deleted clips) belong to no clip.

    Attributes:
        metadata: content of index.json.
        source: folder to which paths are relative.
        blocks: embeddings of the shards, (n, E) float16 each, W rows in total.
        starts, ends: seconds of each window, (W,) float32.
        first, last: rows first to last - 1 are the windows of a clip, (G,) int64.
        paths: of the G clips.
        modified: nanoseconds since 1970 of each clip, (G,) int64.
        lengths: seconds of each clip, (G,) float32.
        pending: number of clips that are in no finished shard yet.
    """

    metadata: Document
    source: Path
    blocks: list[Tensor]
    starts: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    last: np.ndarray
    paths: pa.Array
    modified: np.ndarray
    lengths: np.ndarray
    pending: int = 0

    @property
    def windows(self) -> int:
        """Number of current windows."""
        return int((self.last - self.first).sum())

    @property
    def current(self) -> np.ndarray:
        """(W,) bool, the windows that belong to a clip."""
        change = np.zeros(len(self.starts) + 1, np.int8)
        np.add.at(change, self.first, 1)
        np.add.at(change, self.last, -1)
        return change[:-1].cumsum() > 0

    def clip_number(self, path: str) -> int | None:
        """The number of the clip with a path; None for a path that is not in the index."""
        number = call_function("index", [self.paths], IndexOptions(pa.scalar(path))).as_py()
        return number if number >= 0 else None

    def embedding(self, row: int) -> Tensor:
        """The embedding of a window, (E,) float32."""
        for block in self.blocks:
            if row < len(block):
                return block[row].float()
            row -= len(block)
        raise IndexError(row)

    def clip(self, number: int) -> Tensor:
        """The unit embedding of a clip, the normalised mean over its windows, (E,) float32."""
        rows = range(int(self.first[number]), int(self.last[number]))
        return F.normalize(torch.stack([self.embedding(row) for row in rows]).mean(dim=0), dim=0)

    def cosines(self, query: Tensor) -> np.ndarray:
        """The dot product of every window with a query (E,), (W,) float32."""
        cosines = torch.empty(len(self.starts))
        buffer = torch.empty(max(1, BLOCK // len(query)), len(query))
        for i, part in self._parts():
            torch.mv(buffer[: len(part)].copy_(part), query.float(), out=cosines[i : i + len(part)])
        return cosines.numpy()

    def _parts(self) -> Iterator[tuple[int, Tensor]]:
        """Yield (first row, embeddings) of parts with at most ``BLOCK`` values."""
        row = 0
        for block in self.blocks:
            for part in block.split(max(1, BLOCK // block.shape[1])):
                yield row, part
                row += len(part)

    def search(self, query: Tensor, mask: np.ndarray, top: int) -> list[Moment]:
        """The clips with the best windows, best first.

        score = (cosine - mean) / standard deviation over all current windows of the index, whatever the ``mask``. It
        says how far a window stands out under this query; it is not a probability.

        Args:
            query: (E,), the sum of the unit embeddings to match, minus those to exclude.
            mask: (G,) bool, the candidate clips.
            top: maximum number of clips.
        """
        cosines = self.cosines(query)
        if not mask.any():
            return []
        current = cosines[self.current]
        mean, deviation = float(current.mean(dtype=np.float64)), max(float(current.std(dtype=np.float64)), 1e-12)
        # reduceat over [first, last) of every clip; odd results are of the gaps between clips
        edges = np.stack([self.first, self.last], axis=1).ravel()
        best = np.maximum.reduceat(np.append(cosines, -np.inf), edges)[::2]
        candidates = np.flatnonzero(mask)
        if len(candidates) > top:
            candidates = candidates[np.argpartition(-best[candidates], top - 1)[:top]]
        ranked = candidates[np.argsort(-best[candidates], kind="stable")]
        return [self._moment(int(clip), cosines, mean, deviation) for clip in ranked]

    def _moment(self, clip: int, cosines: np.ndarray, mean: float, deviation: float) -> Moment:
        first, last = int(self.first[clip]), int(self.last[clip])
        scores = (cosines[first:last] - mean) / deviation
        row = int(scores.argmax())
        high = scores >= max(scores[row] / 2, 0)
        start, end = row, row
        while start > 0 and high[start - 1]:
            start -= 1
        while end + 1 < len(high) and high[end + 1]:
            end += 1
        times = float(self.starts[first + start]), float(self.ends[first + end])
        path, length = self.paths[clip].as_py(), float(self.lengths[clip])
        return Moment(path, *times, float(scores[row]), float(cosines[first + row]), length, first + row)

    def clips(self) -> Tensor:
        """The unit embeddings of all clips, see ``clip``, (G, E) float32."""
        clip_numbers = np.full(len(self.starts), -1)
        clip_numbers[self.current] = np.repeat(np.arange(len(self.first)), self.last - self.first)
        clip = torch.from_numpy(clip_numbers)
        sums = torch.zeros(len(self.first), self.blocks[0].shape[1])
        for i, part in self._parts():
            numbers = clip[i : i + len(part)]
            sums.index_add_(0, numbers[numbers >= 0], part[numbers >= 0].float())
        return F.normalize(sums, dim=-1)


def open_collection(folder: Path) -> Collection:
    """Open a finished or unfinished index; the last one stays in memory.

    Raises:
        ConfigError: no index, or an index without clips.
    """
    read_metadata(folder)
    files = finished_shards(folder)
    if not files or not (folder / PLAN).is_file():
        raise ConfigError(f"{folder.name} has no finished shard yet; run ezclip index until it is done.")
    return _open(folder.absolute(), (folder / PLAN).stat().st_mtime_ns, len(files))


@lru_cache(maxsize=1)
def _open(folder: Path, _changed: int, _shards: int) -> Collection:
    metadata, plan = read_metadata(folder), read_plan(folder)
    readable = field("skipped").is_null()
    table = read_windows(folder, ["path", "shard", "start", "end", "length"], readable).combine_chunks()
    numbers = call_function("index_in", [table["path"]], SetLookupOptions(plan["path"].combine_chunks()))
    clip = numbers.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
    shard = table["shard"].to_numpy()
    blocks = [block for path in finished_shards(folder) if len(block := _map_embeddings(path))]
    if sum(map(len, blocks)) != len(clip):
        raise ConfigError(f"{folder.name} changed while it was read, or is damaged; try again, or make it anew.")
    if not len(clip):
        raise ConfigError(f"No clip of {folder.name} could be read; ezclip index lists the reasons.")
    change = (np.diff(clip) != 0) | (np.diff(shard) != 0)
    first = np.concatenate([[0], np.flatnonzero(change) + 1])
    last = np.append(first[1:], len(clip))
    current = (clip[first] >= 0) & (plan["shard"].to_numpy()[clip[first]] == shard[first])
    first, last = first[current], last[current]
    paths = plan["path"].combine_chunks().take(pa.array(clip[first]))
    modified = plan["mtime"].cast(pa.int64()).to_numpy()[clip[first]]
    pending = int((~np.isin(plan["shard"].to_numpy(), list(map(shard_number, finished_shards(folder))))).sum())
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    lengths = table["length"].to_numpy()[first]
    source = folder / metadata["source"]
    return Collection(metadata, source, blocks, starts, ends, first, last, paths, modified, lengths, pending)


def _map_embeddings(path: Path) -> Tensor:
    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor("videos")
    except SafetensorError as error:
        raise ConfigError(f"{path.name} is damaged; delete it and run the same ezclip index again.") from error
