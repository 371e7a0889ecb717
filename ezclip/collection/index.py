"""An index: one unit embedding for each clip or window of a folder of videos, in shards that any number of processes
write, a rerun completes, and a later run extends by what is new or changed.

A folder of
- index.json: the model, the source (relative to the index) and the windows;
- clips.parquet: the plan, one row a clip with path, size, mtime and the number of its shard;
- shard-N.safetensors: "videos" (n, E) float16, L2-normalised;
- shard-N.parquet: one row for each of them, in the same order, and one with the reason for each clip that could not be
  read (to its end); ``SCHEMA`` has the columns.

A clip keeps its shard while its size and mtime stay the same, so that finished shards never change; a changed clip gets
a new one, and rows of the old one no longer count.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch
from pyarrow import dataset, parquet
from pyarrow.compute import field
from safetensors.torch import save_file
from torch import Tensor

from ezclip.collection.claims import STALE, claimed
from ezclip.data.manifest import SUFFIXES, read_rows
from ezclip.errors import ConfigError, VideoError
from ezclip.files import PARTIAL, write_atomically, write_json
from ezclip.model.interface import video_embeddings
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Clip, Document
from ezclip.video.read import Windows, describe, read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import to_device

ABOUT, PLAN = "index.json", "clips.parquet"
SHARD_BYTES = 4 << 30  # of video files in one shard, so that long videos are shared out, too
POLL = 0.5  # seconds between looks at what other processes do
_LEFT = 3600.0  # seconds after which an unfinished file was left by a writer that was killed
_TIME = pa.timestamp("ns", "UTC")
_PLAN = pa.schema([("path", pa.string()), ("size", pa.int64()), ("mtime", _TIME), ("shard", pa.int32())])
SCHEMA = pa.schema([
    *_PLAN,
    ("start", pa.float32()),  # seconds of the window's first and last chosen frame; of the whole clip 0 and its length
    ("end", pa.float32()),
    ("length", pa.float32()),  # seconds of the clip
    ("frames", pa.list_(pa.int32())),  # indices of the T frames
    ("skipped", pa.string()),  # why the clip could not be read; such a row has no embedding
])  # fmt: skip


class Stat(NamedTuple):
    """What tells whether a file has changed; both 0 for a file that is missing."""

    size: int  # bytes
    mtime: int  # nanoseconds since 1970


def scan(source: Path) -> tuple[Path, dict[str, Stat]]:
    """The folder that paths are relative to, and every video in it or in a manifest, in the order of their paths.

    A manifest also lists folders of frames, and files that are missing.

    Raises:
        ConfigError: neither a folder with videos nor a manifest.
    """
    if source.is_dir():
        names = (Path(folder, name) for folder, _, files in os.walk(source) for name in files)
        root, paths = source, [path for path in names if path.suffix.lower() in SUFFIXES]
    else:
        root, paths = source.parent, [row.path for row in read_rows(source)]
    found = {path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path): path for path in paths}
    if not found:
        raise ConfigError(f"{source.name} has no videos; give a folder of videos or a manifest.")
    return root, {name: _stat(found[name]) for name in sorted(found)}


def _stat(path: Path) -> Stat:
    try:
        known = path.stat()
        return Stat(known.st_size, known.st_mtime_ns)
    except OSError:
        return Stat(0, 0)


def plan(out: Path, files: dict[str, Stat], shard_size: int) -> pa.Table:
    """Write which shard each clip is in: clips that have not changed keep theirs, the others get new ones, in order.

    Clips that vanished are dropped, and so are shards of which no clip is left.
    """
    old = parquet.read_table(out / PLAN) if (out / PLAN).is_file() else _PLAN.empty_table()
    columns = [old["path"], old["size"], old["mtime"].cast(pa.int64()), old["shard"]]
    known = {p: (Stat(s, m), n) for p, s, m, n in zip(*(column.to_pylist() for column in columns), strict=True)}
    number = int((old.schema.metadata or {}).get(b"next", 0))  # numbers are never used again
    shards: dict[str, int] = {}
    clips = size = 0
    for path, stat in files.items():
        if path in known and known[path][0] == stat:
            shards[path] = known[path][1]
            continue
        if clips == shard_size or clips and size + stat.size > SHARD_BYTES:
            number, clips, size = number + 1, 0, 0
        shards[path], clips, size = number, clips + 1, size + stat.size
    rows = [[*files], [s.size for s in files.values()], [s.mtime for s in files.values()], [*shards.values()]]
    arrays = [pa.array(values, kind) for values, kind in zip(rows, _PLAN.types, strict=True)]
    table = pa.table(arrays, schema=_PLAN.with_metadata({"next": str(number + (clips > 0))}))
    if not table.equals(old):
        write_atomically(out / PLAN, partial(parquet.write_table, table))
    _tidy(out, set(shards.values()))
    return table


def _tidy(out: Path, used: set[int]) -> None:
    """Remove shards without clips, and what killed writers have left."""
    for tensors in out.glob("shard-*.safetensors"):
        tensors.with_suffix(".claim").unlink(missing_ok=True)  # of a process killed when it had just finished
        if number_of(tensors) not in used:
            tensors.unlink()
            tensors.with_suffix(".parquet").unlink(missing_ok=True)
    for left in out.glob(f".*{PARTIAL}"):
        if time.time() - left.stat().st_mtime > _LEFT:
            left.unlink(missing_ok=True)


@dataclass(frozen=True)
class Task:
    """What is done with a shard, the same in every process: paths go in, and the frames are decoded where it runs."""

    root: Path  # of the clips
    out: Path
    seconds: float
    step: float
    batch_size: int
    stale: float

    def is_done(self, number: int) -> bool:
        """Whether a shard is finished."""
        return _tensors(self.out, number).is_file()

    def shard(self, predictor: Predictor, number: int, clips: list[Document]) -> Iterator[float]:
        """Embed the clips of a shard, unless another process has it; yields the fraction done."""
        if not self.is_done(number):
            with claimed(_tensors(self.out, number).with_suffix(".claim"), self.stale) as mine:
                if mine and not self.is_done(number):  # as it may have been finished just before
                    yield from self._write(predictor, number, clips)

    def _write(self, predictor: Predictor, number: int, clips: list[Document]) -> Iterator[float]:
        T = predictor.model.num_frames
        weights = predictor.identity.weights
        rows: list[Document] = []
        waiting: list[Tensor] = []  # views of the next batch, (T, 3, S, S) each
        videos: list[Tensor] = []
        for i, clip in enumerate(clips):
            own: list[Document] = []
            length = reason = None
            try:
                for window in _windows(self.root / clip["path"], T, self.seconds, self.step):
                    times = {"start": float(window.seconds[0]), "end": float(window.seconds[-1])}
                    own.append(clip | times | {"frames": window.indices.tolist()})
                    waiting.append(predictor.model.view(window.images))
                    if len(waiting) == self.batch_size:
                        videos.append(_embed(predictor, waiting))
                        waiting.clear()
                    yield i / len(clips)
                length = own[-1]["end"] if self.seconds else _length(self.root / clip["path"], own[-1]["end"])
            except VideoError as error:
                reason = str(error)
            for row in own:
                row["length"] = length if length is not None else own[-1]["end"]
                if not self.seconds:
                    row |= {"start": 0.0, "end": row["length"]}
            rows += own if reason is None else [*own, clip | {"skipped": reason}]
        if waiting:
            videos.append(_embed(predictor, waiting))
        table = pa.Table.from_pylist(rows, SCHEMA.with_metadata({"model": predictor.name, "weights": weights}))
        write_atomically(_tensors(self.out, number).with_suffix(".parquet"), partial(parquet.write_table, table))
        held = torch.cat(videos or [torch.empty(0, 0, dtype=torch.half)])
        # written last: if it exists, the shard is complete
        write_atomically(_tensors(self.out, number), partial(save_file, {"videos": held}))


# Runs the shards that are not done, by number; yields how many it has done of them, and what it does.
Engine = Callable[[Task, dict[int, list[Document]]], Iterator[tuple[float, str]]]


def _here(predictor: Predictor, task: Task, todo: dict[int, list[Document]]) -> Iterator[tuple[float, str]]:
    for i, (number, clips) in enumerate(todo.items()):
        for share in task.shard(predictor, number, clips):
            yield i + share, f"shard {number}"


def build(
    predictor: Predictor,
    source: Path,
    out: Path,
    *,
    seconds: float = 2.0,
    step: float = 1.0,
    shard_size: int = 256,
    batch_size: int = 16,
    stale: float = STALE,
    engine: Engine | None = None,
) -> Steps[Document]:
    """Make or extend the index ``out``; other processes may do the same now, each takes the shards that are free.

    What a shard holds depends on its clips alone, not on the process, so that an interrupted or shared run ends with
    the same files as an unbroken one (with the same sizes, on the same kind of machine).

    Args:
        predictor: the model.
        source: a folder of videos, searched with its sub-folders, or a manifest.
        out: the index.
        seconds: length of a window; 0 embeds each video as one clip, by its T segment centres.
        step: from the start of one window to the next.
        shard_size: most clips in a shard.
        batch_size: windows in one forward pass.
        stale: seconds after which the claim of a process that gives no sign is retaken.
        engine: runs the shards; by default this process does, one after the other.

    Returns:
        "index", "model", "clips", "windows", and "skipped": the reason by path.

    Raises:
        ConfigError: no videos, the folder holds an index of another model, source or length, or a model whose texts
            depend on the video, so that no index can be searched by text.
    """
    if not predictor.model.common_space:
        raise ConfigError(
            f"{predictor.name} reads the text of a class on each video, so videos and texts have no common space to "
            "search; choose another model."
        )
    about: Document = {"schema": 1, "model": predictor.name, "weights": predictor.identity.weights}
    root = source if source.is_dir() else source.parent
    about |= {"source": Path(os.path.relpath(root, out)).as_posix(), "list": "" if source.is_dir() else source.name}
    about |= {"seconds": seconds, "step": step if seconds else 0.0}
    if not (out / ABOUT).is_file():
        write_json(out / ABOUT, about)
    elif read_about(out) != about:
        raise ConfigError(
            f"{out.name} is an index of another model, source or window; give the same, or choose another folder."
        )
    table = yield from _planned(source, out, shard_size, stale)
    shards: dict[int, list[Document]] = defaultdict(list)
    for row in table.set_column(2, "mtime", table["mtime"].cast(pa.int64())).to_pylist():
        shards[row["shard"]].append(row)
    task = Task(root.absolute(), out.absolute(), seconds, step, batch_size, stale)
    while todo := {number: clips for number, clips in sorted(shards.items()) if not task.is_done(number)}:
        before = len(shards) - len(todo)
        for done, doing in (engine or partial(_here, predictor))(task, todo):
            yield Progress((before + done) / len(shards), f"{doing}, {len(todo)} of {len(shards)} left")
        if left := sum(not task.is_done(number) for number in todo):
            yield Progress(1 - left / len(shards), f"waiting for {left} shards of other processes")
            time.sleep(POLL)
    return summary(out)


def _planned(source: Path, out: Path, shard_size: int, stale: float) -> Steps[pa.Table]:
    """The plan, made by this process, or by another one while this one waited."""
    before = _stat(out / PLAN)
    while True:
        with claimed(out / "plan.claim", stale) as mine:
            if mine:
                yield Progress(0.0, "listing the videos")
                return read_plan(out) if _stat(out / PLAN) != before else plan(out, scan(source)[1], shard_size)
        yield Progress(0.0, "waiting for the list of another process")
        time.sleep(POLL)


def _windows(path: Path, T: int, seconds: float, step: float) -> Iterator[Clip]:
    if not seconds:
        yield read_clip(path, partial(segment_centres, T=T))
        return
    sliding = Windows(path, T=T, seconds=seconds, step=step)
    try:
        while (window := sliding.next()) is not None:
            yield window
    finally:
        sliding.close()


def _length(path: Path, least: float) -> float:
    """Seconds of a clip as its file says, or those of its last chosen frame."""
    try:
        return describe(path)["seconds"] or least
    except VideoError:  # a folder of frames
        return least


@torch.inference_mode()
def _embed(predictor: Predictor, views: list[Tensor]) -> Tensor:
    pixels = predictor.model.normalise(to_device(torch.stack(views), predictor.device))
    return video_embeddings(predictor.model.encode_video(pixels)).half().cpu()


def read_about(folder: Path) -> Document:
    """index.json of an index.

    Raises:
        ConfigError: there is none.
    """
    if not (folder / ABOUT).is_file():
        raise ConfigError(f"{folder.name} is no index; make one with python -m ezclip index FOLDER --out INDEX.")
    return json.loads((folder / ABOUT).read_text("utf-8"))


def read_plan(folder: Path) -> pa.Table:
    """clips.parquet of an index: path, size, mtime, shard."""
    return parquet.read_table(folder / PLAN)


def finished(folder: Path) -> list[Path]:
    """The tensors of the finished shards, in order; the rows are beside them."""
    return sorted(folder.glob("shard-*.safetensors"))


def number_of(tensors: Path) -> int:
    """The number of a shard."""
    return int(tensors.stem.partition("-")[2])


def read_windows(folder: Path, columns: list[str], wanted: dataset.Expression | None = None) -> pa.Table:
    """Columns of the rows of all finished shards, in order; also of clips that have changed or vanished since."""
    files = [str(path.with_suffix(".parquet")) for path in finished(folder)]
    try:
        return dataset.dataset(files, SCHEMA, format="parquet").to_table(columns=columns, filter=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{folder.name} has a damaged or missing shard-N.parquet; make the index anew.") from error


def summary(folder: Path) -> Document:
    """What an index holds, see ``build``."""
    paths = read_plan(folder)
    live = dict(zip(paths["path"].to_pylist(), paths["shard"].to_pylist(), strict=True))
    bad = read_windows(folder, ["path", "shard", "skipped"], field("skipped").is_valid())
    rows = read_windows(folder, ["path", "shard"], field("skipped").is_null())
    current = [live.get(path) == shard for path, shard in zip(*(c.to_pylist() for c in rows.columns), strict=True)]
    skipped = {r["path"]: r["skipped"] for r in bad.to_pylist() if live.get(r["path"]) == r["shard"]}
    model = read_about(folder)["model"]
    return {"index": folder.name, "model": model, "clips": len(live), "windows": sum(current), "skipped": skipped}


def _tensors(out: Path, number: int) -> Path:
    return out / f"shard-{number:05d}.safetensors"
