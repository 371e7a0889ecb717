"""Embeddings of many clips: batch by batch, or in shards on disk that several processes write and a rerun completes."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file
from torch import Tensor

from ezclip.checkpoints.identity import Identity
from ezclip.data.dataset import Views
from ezclip.data.manifest import Row
from ezclip.errors import ConfigError, UserError
from ezclip.files import remove_partial, write_atomically, write_json
from ezclip.model.interface import Video
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.types import Document
from ezclip.video.transforms import static_copy, to_device

log = logging.getLogger(__name__)
INDEX = "embedding.json"


class ViewCount(NamedTuple):
    """How many views of a clip are embedded, in time and in space."""

    temporal: int = 1
    spatial: int = 1

    @classmethod
    def parse(cls, text: str) -> ViewCount:
        """Read "4x3": 4 views in time, each with 3 crops.

        Raises:
            ConfigError: another format.
        """
        temporal, cross, spatial = text.partition("x")
        if not cross or not all(part.isdigit() and 1 <= int(part) <= 16 for part in (temporal, spatial)):
            raise ConfigError(f'Views are {text!r}; give times x crops, each 1 to 16, such as "1x1" or "4x3".')
        return cls(int(temporal), int(spatial))

    def __str__(self) -> str:
        return f"{self.temporal}x{self.spatial}"


ONE_VIEW = ViewCount()


@dataclass
class Embedded:
    """Frame embeddings of clips.

    Attributes:
        rows: the clips that could be read.
        frames: (B, V, T, E) float32, not normalised, of V views.
        context: (B, V, N, E) float32, see ``model.interface.Video``; empty for models without.
        static: (B, T, E) of the middle view's middle frame repeated T times; empty unless requested.
        skipped: clips that could not be read, with the reason.
    """

    rows: list[Row] = field(default_factory=list)
    frames: Tensor = field(default_factory=lambda: torch.empty(0))
    context: Tensor = field(default_factory=lambda: torch.empty(0))
    static: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[Row, str]] = field(default_factory=list)

    def video(self, view: int | None = None) -> Video:
        """The clips' views as B*V videos, or one view of each."""
        parts = [t.flatten(0, 1) if view is None else t[:, view] for t in (self.frames, self.context) if len(t)]
        return Video(*parts)

    def among(self, labels: Sequence[str]) -> Embedded:
        """Only the clips of these classes."""
        classes = set(labels)
        chosen = [i for i, row in enumerate(self.rows) if row.label in classes]
        frames, context, static = (t[chosen] if len(t) else t for t in (self.frames, self.context, self.static))
        skipped = [(row, why) for row, why in self.skipped if row.label in classes]
        return Embedded([self.rows[i] for i in chosen], frames, context, static, skipped)


class Encoder:
    """Views of clips to frame embeddings; on a GPU the next batch is decoded while one is computed.

    A batch that does not fit into the GPU's memory is halved until it does, and later ones begin with that size.

    Args:
        predictor: the model.
        size: views in one forward pass at first.
    """

    def __init__(self, predictor: Predictor, size: int):
        self.model, self.device, self.size = predictor.model, predictor.device, size
        self.on_gpu = self.device.type == "cuda"
        self.began, self.busy, self.seconds = time.perf_counter(), 0.0, 0.0

    @property
    def waiting(self) -> float:
        """Share of the time so far, in [0, 1], in which the device had nothing to compute."""
        return max(0.0, 1 - self.busy / self.seconds) if self.seconds else 0.0

    @torch.inference_mode()
    def start(self, clips: list[Tensor], static: bool) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
        """Begin to embed clips, uint8 (V, T, 3, S, S); what is returned waits for ``Embedded``'s three tensors."""
        nothing = torch.empty(0)
        if not clips:
            return lambda: (nothing, nothing, nothing)
        begin = self._now()
        pixels = torch.stack(clips)  # (B, V, T, 3, S, S)
        video = self._encode(pixels.flatten(0, 1))
        frames, context = (
            nothing if t is None else t.unflatten(0, pixels.shape[:2]) for t in (video.frames, video.context)
        )
        middle = pixels[:, pixels.shape[1] // 2]
        frozen = self._encode(middle, static=True).frames if static else nothing
        end = self._now()

        def finish() -> tuple[Tensor, Tensor, Tensor]:
            if isinstance(begin, torch.Event) and isinstance(end, torch.Event):
                end.synchronize()
                self.busy += begin.elapsed_time(end) / 1000
            else:
                self.busy += end - begin
            self.seconds = time.perf_counter() - self.began
            return frames, context, frozen

        return finish

    def _now(self) -> Any:
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.Event(self.device, enable_timing=True)
        event.record()
        return event

    def _encode(self, views: Tensor, *, static: bool = False) -> Video:
        """uint8 (n, T, 3, S, S) -> n videos, float32 in main memory, which a GPU fills later."""
        while True:
            try:
                parts = [self._forward(part, static) for part in views.split(self.size)]
                return Video.cat(parts).to("cpu", non_blocking=self.on_gpu)
            except torch.cuda.OutOfMemoryError as error:
                if self.size == 1:
                    raise UserError("Not even one view fits into the GPU's memory; use --device cpu.") from error
            self.size = max(1, min(self.size, len(views)) // 2)
            log.warning("the GPU's memory is too small for this batch; from here on %d views at once", self.size)
            torch.cuda.empty_cache()

    def _forward(self, views: Tensor, static: bool) -> Video:
        pixels = self.model.normalise(to_device(views, self.device))
        return self.model.encode(static_copy(pixels) if static else pixels).float()


def embed(
    predictor: Predictor,
    rows: Sequence[Row],
    *,
    batch_size: int = 16,
    views: ViewCount = ONE_VIEW,
    static: bool = False,
    workers: int = 0,
    encoder: Encoder | None = None,
) -> Iterator[Embedded]:
    """Embed clips, ``batch_size`` at a time and in their order; later ones are decoded meanwhile.

    Args:
        predictor: the model.
        rows: clips.
        batch_size: clips that are returned together, and views in one forward pass.
        views: of each clip.
        static: also embed each clip's static copy.
        workers: clips decoded at once, each in a process of its own; 0 takes all cores but one.
        encoder: measures the time that the device waits, and keeps the size of batches; None makes a new one.
    """
    model, encoder = predictor.model, encoder or Encoder(predictor, batch_size)
    dataset = Views(rows, T=model.num_frames, seen=model.preprocessing, **views._asdict())
    decoded = _decoded(dataset, workers or _cores(), ahead=2 * batch_size)
    started: deque[Callable[[], Embedded]] = deque()
    with closing(decoded):
        for start in range(0, len(rows), batch_size):
            batch = list(zip(rows[start : start + batch_size], decoded))
            read = [(row, pixels) for row, pixels in batch if not isinstance(pixels, str)]
            skipped = [(row, why) for row, why in batch if isinstance(why, str)]
            finish = encoder.start([pixels for _, pixels in read], static)
            started.append(partial(_embedded, [row for row, _ in read], finish, skipped))
            if len(started) > encoder.on_gpu:
                yield started.popleft()()
        while started:
            yield started.popleft()()


def _embedded(
    rows: list[Row], finish: Callable[[], tuple[Tensor, Tensor, Tensor]], skipped: list[tuple[Row, str]]
) -> Embedded:
    return Embedded(rows, *finish(), skipped)


def _decoded(dataset: Views, workers: int, ahead: int) -> Generator[Tensor | str, None, None]:
    """Its items in their order; the threads wait for decoders, which are processes of their own."""
    pool, waiting = ThreadPoolExecutor(workers, "decode"), deque[Future[Tensor | str]]()
    try:
        for index in range(len(dataset)):
            waiting.append(pool.submit(dataset.__getitem__, index))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    """All of this process's cores but the one that feeds the model; processes of one machine share them."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1)


def write_shards(
    predictor: Predictor,
    rows: Sequence[Row],
    out: Path,
    about: Document,
    *,
    shard_size: int = 1024,
    rank: int = 0,
    processes: int = 1,
    batch_size: int = 16,
    views: ViewCount = ONE_VIEW,
    workers: int = 0,
) -> Steps[Document]:
    """Embed clips into ``out``: shard-N.safetensors with "frames" (n, V, T, E) and "videos" (n, V, E), both float32
    and not normalised, and "context" (n, V, N, E) of models that have one; shard-N.parquet with one row a clip and the
    reason where it was skipped.

    Existing shards are skipped. ``processes`` take shards of ``shard_size`` clips in turn, this one as number ``rank``.
    ``about`` is the source of the embeddings; a folder with another source is rejected. The rest as in ``embed``.

    Returns:
        The index, as saved in embedding.json, and under "device_waits" the share of the time in which the model's
        device had nothing to compute, in [0, 1].

    Raises:
        ConfigError: the folder holds other embeddings.
    """
    shards = -(-len(rows) // shard_size)
    index = about | {"clips": len(rows), "shard_size": shard_size, "shards": shards}
    if (out / INDEX).is_file():
        if read_index(out) != index:
            raise ConfigError(f"{out.name} holds embeddings of another model, list or kind; choose another folder.")
    elif rank == 0:
        remove_partial(out, INDEX)
        write_json(out / INDEX, index)
    encoder = Encoder(predictor, batch_size)
    for number in range(rank, shards, processes):
        waits = f", the device waits {encoder.waiting:.0%} of the time" if encoder.seconds else ""
        yield Progress(number / shards, f"shard {number + 1} of {shards}{waits}")
        tensors, table = _paths(out, number)
        if tensors.is_file():
            continue
        remove_partial(out, tensors.name, table.name)
        own = list(rows[number * shard_size : (number + 1) * shard_size])
        parts = list(embed(predictor, own, batch_size=batch_size, views=views, workers=workers, encoder=encoder))
        skipped = {id(row): why for part in parts for row, why in part.skipped}
        columns = {
            "path": [str(row.path) for row in own],
            **{name: [getattr(row, name) for row in own] for name in ("label", "partner", "family")},
            "skipped": [skipped.get(id(row)) for row in own],
        }
        written = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
        write_atomically(table, partial(parquet.write_table, written))
        frames = torch.cat([part.frames for part in parts if part.rows] or [torch.empty(0, 1, 1, 1)])
        # written last: if it exists, the shard is complete
        held = {"frames": frames, "videos": frames.mean(2)}
        if contexts := [part.context for part in parts if len(part.context)]:
            held["context"] = torch.cat(contexts)
        write_atomically(tensors, partial(save_file, held))
    return index | {"device_waits": round(encoder.waiting, 3)}


def read_index(folder: Path) -> Document:
    """The index that ``write_shards`` saved in ``folder``.

    Raises:
        ConfigError: there is none.
    """
    if not (folder / INDEX).is_file():
        raise ConfigError(f"{folder.name} has no {INDEX}; make it with python -m ezclip embed MANIFEST --out DIR.")
    return json.loads((folder / INDEX).read_text("utf-8"))


def read_shards(folder: Path, identity: Identity) -> list[Embedded]:
    """The embeddings of ``folder``, shard by shard.

    Raises:
        ConfigError: they are another model's, or a shard is missing.
    """
    made_by, found = read_index(folder), []
    if made_by["weights"] != identity.weights:
        raise ConfigError(
            f"{folder.name} holds embeddings of {made_by['model']}, not of {identity.name}; give --model."
        )
    for number in range(made_by["shards"]):
        tensors, table = _paths(folder, number)
        if not tensors.is_file():
            raise ConfigError(f"{folder.name} lacks {tensors.name}; run the same ezclip embed again to complete it.")
        rows = [
            (Row(Path(row["path"]), row["label"], row["partner"], row["family"]), row["skipped"])
            for row in parquet.read_table(table).to_pylist()
        ]
        skipped = [(row, why) for row, why in rows if why is not None]
        held = load_file(tensors)
        parts = {key: held[key] for key in ("frames", "context") if key in held}
        found.append(Embedded([row for row, why in rows if why is None], **parts, skipped=skipped))
    return found


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    stem = f"shard-{number:05d}"
    return folder / f"{stem}.safetensors", folder / f"{stem}.parquet"
