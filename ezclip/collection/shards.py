"""The work on one shard, the same in every process and under every engine: decode windows, embed, write."""

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

from ezclip.collection.claims import claimed
from ezclip.collection.layout import SCHEMA, tensors_of
from ezclip.errors import VideoError
from ezclip.files import remove_partial, write_atomically
from ezclip.model.interface import video_embeddings
from ezclip.predictor import Predictor
from ezclip.types import Clip, Document
from ezclip.video.read import Windows, describe, read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import to_device

POLL = 0.5  # seconds between looks at what other processes do


@dataclass(frozen=True)
class Task:
    """What is done with a shard, the same in every process: paths go in, and the frames are decoded where it runs."""

    root: Path  # of the clips
    out: Path
    seconds: float
    step: float
    batch_size: int
    stale: float
    frames: bool = False  # whether the frames' embeddings are kept, too

    def is_done(self, number: int) -> bool:
        """Whether a shard is finished."""
        return tensors_of(self.out, number).is_file()

    def shard(self, predictor: Predictor, number: int, clips: list[Document]) -> Iterator[float]:
        """Embed the clips of a shard, unless another process has it; yields the fraction done."""
        if not self.is_done(number):
            with claimed(tensors_of(self.out, number).with_suffix(".claim"), self.stale) as mine:
                if mine and not self.is_done(number):  # as it may have been finished just before
                    yield from self._write(predictor, number, clips)

    def _write(self, predictor: Predictor, number: int, clips: list[Document]) -> Iterator[float]:
        tensors = tensors_of(self.out, number)
        listed = tensors.with_suffix(".parquet")
        remove_partial(self.out, tensors.name, listed.name)
        T = predictor.model.num_frames
        weights = predictor.identity.weights
        rows: list[Document] = []
        waiting: list[Tensor] = []  # views of the next batch, (T, 3, S, S) each
        embedded: list[Tensor] = []  # frames of each batch, (n, T, E)
        for i, clip in enumerate(clips):
            own: list[Document] = []
            length = reason = None
            try:
                for window in _windows(self.root / clip["path"], T, self.seconds, self.step):
                    times = {"start": float(window.seconds[0]), "end": float(window.seconds[-1])}
                    own.append(clip | times | {"frames": window.indices.tolist()})
                    waiting.append(predictor.model.view(window.images))
                    if len(waiting) == self.batch_size:
                        embedded.append(_embed(predictor, waiting))
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
            embedded.append(_embed(predictor, waiting))
        table = pa.Table.from_pylist(rows, SCHEMA.with_metadata({"model": predictor.name, "weights": weights}))
        write_atomically(listed, partial(parquet.write_table, table))
        frames = torch.cat(embedded or [torch.empty(0, T, 0)])
        held = {"videos": video_embeddings(frames).half()} | ({"frames": frames.half()} if self.frames else {})
        # written last: if it exists, the shard is complete
        write_atomically(tensors, partial(save_file, held))


# Runs the shards that are not done, by number; yields how many it has done of them, and what it does.
Engine = Callable[[Task, dict[int, list[Document]]], Iterator[tuple[float, str]]]


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
    return predictor.model.encode_video(pixels).float().cpu()
