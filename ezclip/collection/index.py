"""Build or extend an index: a unit embedding of every clip or window of a folder of videos, see ``layout``.

Any number of processes write its shards; a rerun completes it, and a later run adds new and changed clips.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import pyarrow as pa

from ezclip.collection.claims import STALE, claim
from ezclip.collection.layout import METADATA, PLAN, read_metadata, read_plan, summary
from ezclip.collection.plan import plan, scan, stat_of
from ezclip.collection.shards import POLL, Engine, Task
from ezclip.errors import ConfigError
from ezclip.files import remove_partial, write_json
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps, rescale
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
    """Build or extend the index ``out``; several processes may do so at once, each takes unclaimed shards.

    The content of a shard depends on its clips alone, so an interrupted or shared run produces the same files as an
    uninterrupted one (with the same sizes, on the same kind of machine).

    Args:
        predictor: the model.
        source: a folder of videos, searched recursively, or a manifest.
        out: folder of the index.
        seconds: length of a window; 0 embeds each video as one clip of its T segment centres.
        step: seconds from the start of one window to the next.
        shard_size: maximum number of clips in a shard.
        batch_size: windows per forward pass.
        stale: seconds without a heartbeat after which the claim of a process is abandoned.
        frames: whether to store frame embeddings as well, which take T times the space.
        engine: runs the shards; by default this process, one after the other.

    Returns:
        "index", "model", "clips", "windows", and "skipped" (path -> reason).

    Raises:
        ConfigError: no videos, the folder contains an index of another model, source or window, or the model has no
            common embedding space of videos and texts.
    """
    if not predictor.model.common_space:
        raise ConfigError(
            f"{predictor.name} has text embeddings that depend on the video or on the other class names, so they "
            "cannot be indexed; choose another model."
        )
    metadata: Document = {"schema": 1, "model": predictor.name, "weights": predictor.identity.weights}
    root = source if source.is_dir() else source.parent
    metadata |= {"source": Path(os.path.relpath(root, out)).as_posix(), "list": "" if source.is_dir() else source.name}
    metadata |= {"seconds": seconds, "step": step if seconds else 0.0}
    metadata |= {"frames": True} if frames else {}
    if not (out / METADATA).is_file():
        write_json(out / METADATA, metadata)
    elif read_metadata(out) != metadata:
        raise ConfigError(
            f"{out.name} is an index of another model, source or window; give the same, or choose another folder."
        )
    table = yield from _plan(source, out, shard_size, stale)
    shards: dict[int, list[Document]] = defaultdict(list)
    for row in table.set_column(2, "mtime", table["mtime"].cast(pa.int64())).to_pylist():
        shards[row["shard"]].append(row)
    task = Task(root.absolute(), out.absolute(), seconds, step, batch_size, stale, frames)
    while todo := {number: clips for number, clips in sorted(shards.items()) if not task.is_done(number)}:
        steps = (engine or partial(_run_here, predictor))(task, todo)
        yield from rescale(steps, 1 - len(todo) / len(shards), 1.0, f"{len(todo)} of {len(shards)} shards left: ")
        if missing := sum(not task.is_done(number) for number in todo):
            yield Progress(1 - missing / len(shards), f"waiting for {missing} shards of other processes")
            time.sleep(POLL)
    return summary(out)


def _plan(source: Path, out: Path, shard_size: int, stale: float) -> Steps[pa.Table]:
    """Write the plan, or wait for another process that does."""
    before = stat_of(out / PLAN)
    while True:
        with claim(out / "plan.claim", stale) as acquired:
            if acquired:
                remove_partial(out, PLAN)
                yield Progress(0.0, "listing the videos")
                return read_plan(out) if stat_of(out / PLAN) != before else plan(out, scan(source)[1], shard_size)
        yield Progress(0.0, "waiting for the list of another process")
        time.sleep(POLL)


def _run_here(predictor: Predictor, task: Task, todo: dict[int, list[Document]]) -> Steps[None]:
    for i, (number, clips) in enumerate(todo.items()):
        yield from rescale(task.shard(predictor, number, clips), i / len(todo), (i + 1) / len(todo))
