"""The work on one shard in any process and engine: decode windows, embed them, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file
from torch import Tensor

from ezclip.collection.claims import claim
from ezclip.collection.layout import SCHEMA, tensors_path
from ezclip.errors import VideoError
from ezclip.files import remove_partial, write_atomically
from ezclip.model.interface import video_embeddings
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Clip, Document
from ezclip.video.read import Windows, describe, read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import to_device

POLL = 0.5  # seconds between checks on other processes


@dataclass(frozen=True)
class Task:
    """The settings of the work on shards; only paths are passed, and the process that runs it decodes the frames."""

    root: Path  # of the clips
    out: Path
    seconds: float
    step: float
    batch_size: int
    stale: float
    frames: bool = False  # whether frame embeddings are stored as well

    def is_done(self, number: int) -> bool:
        """Whether a shard is finished."""
        return tensors_path(self.out, number).is_file()

    def shard(self, predictor: Predictor, number: int, clips: list[Document]) -> Steps[None]:
        """Embed the clips of a shard, unless another process has claimed it."""
        if not self.is_done(number):
            with claim(tensors_path(self.out, number).with_suffix(".claim"), self.stale) as acquired:
                if acquired and not self.is_done(number):  # another process may have just finished it
                    yield from self._write(predictor, number, clips)

    def _write(self, predictor: Predictor, number: int, clips: list[Document]) -> Steps[None]:
        tensors = tensors_path(self.out, number)
        rows_file = tensors.with_suffix(".parquet")
        remove_partial(self.out, tensors.name, rows_file.name)
        T = predictor.model.num_frames
        weights = predictor.identity.weights
        rows: list[Document] = []
        batch: list[Tensor] = []  # views, (T, 3, S, S) each
        embeddings: list[Tensor] = []  # of the frames of each batch, (n, T, E)
        for i, clip in enumerate(clips):
            windows: list[Document] = []
            length = reason = None
            try:
                for window in _windows(self.root / clip["path"], T, self.seconds, self.step):
                    times = {"start": float(window.seconds[0]), "end": float(window.seconds[-1])}
                    windows.append(clip | times | {"frames": window.indices.tolist()})
                    batch.append(predictor.model.preprocess(window.images))
                    if len(batch) == self.batch_size:
                        embeddings.append(_embed(predictor, batch))
                        batch.clear()
                    yield Progress(i / len(clips), f"shard {number}")
                end = windows[-1]["end"]
                length = end if self.seconds else _length(self.root / clip["path"], end)
            except VideoError as error:
                reason = str(error)
            for row in windows:
                row["length"] = length if length is not None else windows[-1]["end"]
                if not self.seconds:
                    row |= {"start": 0.0, "end": row["length"]}
            rows += windows if reason is None else [*windows, clip | {"skipped": reason}]
        if batch:
            embeddings.append(_embed(predictor, batch))
        table = pa.Table.from_pylist(rows, SCHEMA.with_metadata({"model": predictor.name, "weights": weights}))
        write_atomically(rows_file, partial(parquet.write_table, table))
        frames = torch.cat(embeddings or [torch.empty(0, T, 0)])
        stored = {"videos": video_embeddings(frames).half()} | ({"frames": frames.half()} if self.frames else {})
        # written last: a shard with this file is complete
        write_atomically(tensors, partial(save_file, stored))


# Runs unfinished shards (number -> clips).
Engine = Callable[[Task, dict[int, list[Document]]], Steps[None]]


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


def _length(path: Path, default: float) -> float:
    """Seconds of a clip according to its file, or ``default``."""
    try:
        return describe(path)["seconds"] or default
    except VideoError:  # a folder of frames
        return default


@torch.inference_mode()
def _embed(predictor: Predictor, views: list[Tensor]) -> Tensor:
    pixels = predictor.model.normalise(to_device(torch.stack(views), predictor.device))
    return predictor.model.encode_video(pixels).float().cpu()
