"""Make or extend an index: one unit embedding for each clip or window of a folder of videos, in shards that any number
of processes write, a rerun completes, and a later run extends by what is new or changed. ``layout`` says what it holds.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from ezclip.collection.claims import STALE, claimed
from ezclip.collection.layout import ABOUT, PLAN, read_about, read_plan, summary
from ezclip.collection.plan import plan, scan, stat_of
from ezclip.collection.shards import POLL, Engine, Task
from ezclip.errors import ConfigError
from ezclip.files import remove_partial, write_json
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Document


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
    frames: bool = False,
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
        frames: whether frame embeddings are kept, too: T times the size.
        engine: runs the shards; by default this process does, one after the other.

    Returns:
        "index", "model", "clips", "windows", and "skipped": the reason by path.

    Raises:
        ConfigError: no videos, the folder holds an index of another model, source or length, or a model without a
            common space of videos and texts, so that no index can be searched by text.
    """
    if not predictor.model.common_space:
        raise ConfigError(
            f"{predictor.name} has text embeddings that depend on the video or on the other class names, so they "
            "cannot be indexed; choose another model."
        )
    about: Document = {"schema": 1, "model": predictor.name, "weights": predictor.identity.weights}
    root = source if source.is_dir() else source.parent
    about |= {"source": Path(os.path.relpath(root, out)).as_posix(), "list": "" if source.is_dir() else source.name}
    about |= {"seconds": seconds, "step": step if seconds else 0.0}
    about |= {"frames": True} if frames else {}
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
    task = Task(root.absolute(), out.absolute(), seconds, step, batch_size, stale, frames)
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
    before = stat_of(out / PLAN)
    while True:
        with claimed(out / "plan.claim", stale) as mine:
            if mine:
                remove_partial(out, PLAN)
                yield Progress(0.0, "listing the videos")
                return read_plan(out) if stat_of(out / PLAN) != before else plan(out, scan(source)[1], shard_size)
        yield Progress(0.0, "waiting for the list of another process")
        time.sleep(POLL)


def _here(predictor: Predictor, task: Task, todo: dict[int, list[Document]]) -> Iterator[tuple[float, str]]:
    for i, (number, clips) in enumerate(todo.items()):
        for share in task.shard(predictor, number, clips):
            yield i + share, f"shard {number}"
