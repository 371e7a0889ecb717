"""Exact search in an index: half precision, memory-mapped, block by block."""

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

from ezclip.collection.layout import PLAN, finished, number_of, read_about, read_plan, read_windows
from ezclip.errors import ConfigError
from ezclip.types import Document

BLOCK = 512_000  # numbers converted to float32 at once; smaller blocks are many calls, larger ones leave the cache


@dataclass(frozen=True)
class Moment:
    """The best window of a clip and those of its neighbours that score at least half as high."""

    path: str  # of the clip, relative to the source
    start: float  # seconds
    end: float
    score: float  # of the best window: standard deviations above the mean of all windows
    cosine: float  # of the best window with the query, a sum of texts and clips
    length: float  # seconds of the clip
    row: int  # number of the best window


@dataclass(frozen=True, eq=False)
class Collection:
    """An opened index of W windows of G clips; windows of clips that changed or vanished are in no clip's range.

    Attributes:
        about: index.json.
        source: the folder that paths are relative to.
        blocks: the shards' embeddings, (n, E) float16 each, W rows together.
        starts, ends: seconds of each window, (W,) float32.
        first, last: each clip's windows are rows first to last - 1, (G,) int64.
        paths: of the clips, G.
        modified: nanoseconds since 1970 of each clip, (G,) int64.
        lengths: seconds of each clip, (G,) float32.
        waiting: number of clips that are not in a finished shard yet.
    """

    about: Document
    source: Path
    blocks: list[Tensor]
    starts: np.ndarray
    ends: np.ndarray
    first: np.ndarray
    last: np.ndarray
    paths: pa.Array
    modified: np.ndarray
    lengths: np.ndarray
    waiting: int = 0

    @property
    def windows(self) -> int:
        """Number of windows that count."""
        return int((self.last - self.first).sum())

    @property
    def counted(self) -> np.ndarray:
        """Which windows count, (W,) bool."""
        change = np.zeros(len(self.starts) + 1, np.int8)
        np.add.at(change, self.first, 1)
        np.add.at(change, self.last, -1)
        return change[:-1].cumsum() > 0

    def number(self, path: str) -> int | None:
        """The number of the clip of that path; None where it is not in the index."""
        found = call_function("index", [self.paths], IndexOptions(pa.scalar(path))).as_py()
        return found if found >= 0 else None

    def embedding(self, row: int) -> Tensor:
        """The embedding of a window, (E,) float32."""
        for block in self.blocks:
            if row < len(block):
                return block[row].float()
            row -= len(block)
        raise IndexError(row)

    def clip(self, number: int) -> Tensor:
        """A clip's unit embedding, the mean of its windows', (E,) float32."""
        rows = range(int(self.first[number]), int(self.last[number]))
        return F.normalize(torch.stack([self.embedding(row) for row in rows]).mean(dim=0), dim=0)

    def cosines(self, query: Tensor) -> np.ndarray:
        """The product of each window's embedding with a query (E,), float32, (W,)."""
        found = torch.empty(len(self.starts))
        buffer = torch.empty(max(1, BLOCK // len(query)), len(query))
        for at, part in self._parts():
            torch.mv(buffer[: len(part)].copy_(part), query.float(), out=found[at : at + len(part)])
        return found.numpy()

    def _parts(self) -> Iterator[tuple[int, Tensor]]:
        at = 0
        for block in self.blocks:
            for part in block.split(max(1, BLOCK // block.shape[1])):
                yield at, part
                at += len(part)

    def search(self, query: Tensor, wanted: np.ndarray, top: int) -> list[Moment]:
        """The clips with the best windows, best first.

        score = (cosine - mean) / standard deviation over all windows of the index, whatever is ``wanted``, so that it
        tells how far a window stands out under this query; it is no probability.

        Args:
            query: (E,), the sum of unit embeddings of what is looked for, minus those of what is not.
            wanted: (G,) bool, the clips to choose among.
            top: most clips.
        """
        cosines = self.cosines(query)
        if not wanted.any():
            return []
        counted = cosines[self.counted]
        mean, deviation = float(counted.mean(dtype=np.float64)), max(float(counted.std(dtype=np.float64)), 1e-12)
        # reduceat over [first, last) of every clip; the odd results are those between clips
        edges = np.stack([self.first, self.last], axis=1).ravel()
        best = np.maximum.reduceat(np.append(cosines, -np.inf), edges)[::2]
        candidates = np.flatnonzero(wanted)
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
        """A unit embedding of each clip, the mean of its windows', (G, E) float32."""
        of_clip = np.full(len(self.starts), -1)
        of_clip[self.counted] = np.repeat(np.arange(len(self.first)), self.last - self.first)
        clip = torch.from_numpy(of_clip)
        found = torch.zeros(len(self.first), self.blocks[0].shape[1])
        for at, part in self._parts():
            own = clip[at : at + len(part)]
            found.index_add_(0, own[own >= 0], part[own >= 0].float())
        return F.normalize(found, dim=-1)


def open_collection(folder: Path) -> Collection:
    """An index, also an unfinished one; the one opened last is kept in memory.

    Raises:
        ConfigError: no index, or no clip in it yet.
    """
    read_about(folder)
    files = finished(folder)
    if not files or not (folder / PLAN).is_file():
        raise ConfigError(f"{folder.name} has no finished shard yet; run ezclip index until it is done.")
    return _open(folder.absolute(), (folder / PLAN).stat().st_mtime_ns, len(files))


@lru_cache(maxsize=1)
def _open(folder: Path, _changed: int, _shards: int) -> Collection:
    about, plan = read_about(folder), read_plan(folder)
    read = field("skipped").is_null()
    table = read_windows(folder, ["path", "shard", "start", "end", "length"], read).combine_chunks()
    found = call_function("index_in", [table["path"]], SetLookupOptions(plan["path"].combine_chunks()))
    clip = found.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
    shard = table["shard"].to_numpy()
    blocks = [held for path in finished(folder) if len(held := _mapped(path))]
    if sum(map(len, blocks)) != len(clip):
        raise ConfigError(f"{folder.name} changed while it was read, or is damaged; try again, or make it anew.")
    if not len(clip):
        raise ConfigError(f"No clip of {folder.name} could be read; ezclip index lists the reasons.")
    change = (np.diff(clip) != 0) | (np.diff(shard) != 0)
    first = np.concatenate([[0], np.flatnonzero(change) + 1])
    last = np.append(first[1:], len(clip))
    live = (clip[first] >= 0) & (plan["shard"].to_numpy()[clip[first]] == shard[first])
    first, last = first[live], last[live]
    paths = plan["path"].combine_chunks().take(pa.array(clip[first]))
    modified = plan["mtime"].cast(pa.int64()).to_numpy()[clip[first]]
    waiting = int((~np.isin(plan["shard"].to_numpy(), list(map(number_of, finished(folder))))).sum())
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    lengths = table["length"].to_numpy()[first]
    source = folder / about["source"]
    return Collection(about, source, blocks, starts, ends, first, last, paths, modified, lengths, waiting)


def _mapped(path: Path) -> Tensor:
    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor("videos")
    except SafetensorError as error:
        raise ConfigError(f"{path.name} is damaged; delete it and run the same ezclip index again.") from error
