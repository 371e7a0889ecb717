"""Embed many clips in batches."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ezclip.data.dataset import Views
from ezclip.data.manifest import Row
from ezclip.errors import ConfigError, UserError
from ezclip.model.interface import Video
from ezclip.predictor import Predictor
from ezclip.video.transforms import static_copy, to_device

log = logging.getLogger(__name__)


class ViewCount(NamedTuple):
    """Number of views per clip, in time and in space."""

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
BATCH = 16  # default number of clips in a forward pass


@dataclass
class Embedded:
    """Frame embeddings of clips.

    Attributes:
        rows: the clips that could be read.
        frames: (B, V, T, E) float32, not normalised, of V views.
        context: (B, V, N, E) float32, see ``model.interface.Video``; empty for models without context.
        static: (B, T, E) of the middle view's middle frame repeated T times; empty unless requested.
        skipped: clips that could not be read, with the reason.
    """

    rows: list[Row] = field(default_factory=list)
    frames: Tensor = field(default_factory=lambda: torch.empty(0))
    context: Tensor = field(default_factory=lambda: torch.empty(0))
    static: Tensor = field(default_factory=lambda: torch.empty(0))
    skipped: list[tuple[Row, str]] = field(default_factory=list)

    def video(self, view: int | None = None) -> Video:
        """All views of the clips as B*V videos, or one view of each clip."""
        parts = [t.flatten(0, 1) if view is None else t[:, view] for t in (self.frames, self.context) if len(t)]
        return Video(*parts)

    def select(self, labels: Sequence[str]) -> Embedded:
        """The clips of the given classes."""
        classes = set(labels)
        chosen = [i for i, row in enumerate(self.rows) if row.label in classes]
        frames, context, static = (t[chosen] if len(t) else t for t in (self.frames, self.context, self.static))
        skipped = [(row, reason) for row, reason in self.skipped if row.label in classes]
        return Embedded([self.rows[i] for i in chosen], frames, context, static, skipped)


class Encoder:
    """Embeds the views of clips; a GPU computes one batch while the next is decoded and copied.

    A batch that does not fit into GPU memory is halved until it does; later batches start with the reduced size.

    Args:
        predictor: the model.
        size: initial number of views in a forward pass.
    """

    def __init__(self, predictor: Predictor, size: int):
        self.model, self.device, self.size = predictor.model, predictor.device, size
        self.on_gpu = self.device.type == "cuda"
        self.start_time, self.busy, self.seconds = time.perf_counter(), 0.0, 0.0
        self._copy_stream = torch.cuda.Stream(self.device) if self.on_gpu else None
        self._spans: list[tuple[Any, Any]] = []  # start and end of the device's computations for the latest batch

    @property
    def idle(self) -> float:
        """Fraction of the elapsed time, in [0, 1], in which the device had nothing to compute."""
        return max(0.0, 1 - self.busy / self.seconds) if self.seconds else 0.0

    @torch.inference_mode()
    def start(self, clips: list[Tensor], static: bool) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
        """Start to embed clips, uint8 (V, T, 3, S, S); the returned function waits for ``Embedded``'s three tensors."""
        empty = torch.empty(0)
        if not clips:
            return lambda: (empty, empty, empty)
        spans = self._spans = []
        pixels = torch.stack(clips)  # (B, V, T, 3, S, S)
        video = self._encode(pixels.flatten(0, 1))
        frames, context = (
            empty if t is None else t.unflatten(0, pixels.shape[:2]) for t in (video.frames, video.context)
        )
        middle = pixels[:, pixels.shape[1] // 2]
        copies = self._encode(middle, static=True).frames if static else empty

        def finish() -> tuple[Tensor, Tensor, Tensor]:
            if self.on_gpu:
                spans[-1][1].synchronize()
                self.busy += sum(begin.elapsed_time(end) / 1000 for begin, end in spans)
                results = (frames.clone(), context.clone(), copies.clone())  # out of pinned memory
            else:
                self.busy += sum(end - begin for begin, end in spans)
                results = (frames, context, copies)
            self.seconds = time.perf_counter() - self.start_time
            return results

        return finish

    @contextmanager
    def _count_as_busy(self) -> Iterator[None]:
        """Count the time spent in this context as computation of the device."""
        begin = self._now()
        yield
        self._spans.append((begin, self._now()))

    def _now(self) -> Any:
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.Event(self.device, enable_timing=True)
        event.record()
        return event

    def _encode(self, views: Tensor, *, static: bool = False) -> Video:
        """uint8 (n, T, 3, S, S) -> n videos, float32 in main memory, which a GPU fills asynchronously."""
        while True:
            try:
                parts = [self._forward(part, static) for part in views.split(self.size)]
                with self._count_as_busy():
                    return Video.cat(parts).to("cpu", non_blocking=self.on_gpu)
            except torch.cuda.OutOfMemoryError as error:
                if self.size == 1:
                    raise UserError("Not even one view fits into the GPU's memory; use --device cpu.") from error
            self.size = max(1, min(self.size, len(views)) // 2)
            log.warning("the GPU's memory is too small for this batch; from here on %d views at once", self.size)
            torch.cuda.empty_cache()

    def _forward(self, views: Tensor, static: bool) -> Video:
        pixels = self._copy(views)
        with self._count_as_busy():
            pixels = self.model.normalise(pixels)
            return self.model.encode(static_copy(pixels) if static else pixels).float()

    def _copy(self, views: Tensor) -> Tensor:
        """Copy views to the device; a GPU copies them on a separate stream while it computes."""
        if self._copy_stream is None:
            return to_device(views, self.device)
        compute = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copy_stream):
            pixels = to_device(views, self.device)
        compute.wait_stream(self._copy_stream)
        pixels.record_stream(compute)  # keeps later copies from reusing its memory before it is read
        return pixels


@torch.inference_mode()
def automatic_size(predictor: Predictor) -> int:
    """Number of views in a forward pass: a power of two, at most 256, that takes up to half of a GPU's free memory.

    The memory per view is estimated as the peak of a forward pass of one view. On other devices it is ``BATCH``.
    """
    model, device = predictor.model, predictor.device
    if device.type != "cuda":
        return BATCH
    view, peak = torch.zeros(1, model.num_frames, 3, model.image_size, model.image_size, dtype=torch.uint8), 1
    try:
        for _ in range(2):  # the first pass also allocates workspaces of the libraries
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            model.encode(model.normalise(to_device(view, device)))
            peak = max(1, torch.cuda.max_memory_allocated(device) - before)
    except torch.cuda.OutOfMemoryError:
        return 1
    torch.cuda.empty_cache()
    fits = torch.cuda.mem_get_info(device)[0] // 2 // peak
    return 1 << min(8, max(1, fits).bit_length() - 1)


def embed(
    predictor: Predictor,
    rows: Sequence[Row],
    *,
    batch_size: int = BATCH,
    views: ViewCount = ONE_VIEW,
    static: bool = False,
    workers: int = 0,
    encoder: Encoder | None = None,
) -> Iterator[Embedded]:
    """Embed clips in their order, ``batch_size`` at a time, while the following ones are decoded.

    Args:
        predictor: the model.
        rows: clips.
        batch_size: clips per returned batch, and views per forward pass.
        views: views per clip.
        static: also embed each clip's static copy.
        workers: clips decoded in parallel, each in a separate process; 0 uses all cores but one.
        encoder: measures the device's idle time and adapts the batch size; None creates a new one.
    """
    model, encoder = predictor.model, encoder or Encoder(predictor, batch_size)
    dataset = Views(rows, T=model.num_frames, preprocessing=model.preprocessing, **views._asdict())
    decoded = _decode(dataset, workers or _cores(), ahead=2 * batch_size)
    pending: deque[Callable[[], Embedded]] = deque()
    with closing(decoded):
        for start in range(0, len(rows), batch_size):
            batch = list(zip(rows[start : start + batch_size], decoded))
            readable = [(row, pixels) for row, pixels in batch if not isinstance(pixels, str)]
            skipped = [(row, reason) for row, reason in batch if isinstance(reason, str)]
            finish = encoder.start([pixels for _, pixels in readable], static)
            pending.append(partial(_embedded, [row for row, _ in readable], finish, skipped))
            if len(pending) > encoder.on_gpu:
                yield pending.popleft()()
        while pending:
            yield pending.popleft()()


def check_broken(reasons: Sequence[str], count: int, max_broken: float) -> None:
    """Stop a run in which too many clips could not be read.

    Args:
        reasons: the reason for each unreadable clip.
        count: number of all clips.
        max_broken: share of unreadable clips that is allowed, in [0, 1].

    Raises:
        UserError: more clips are unreadable.
    """
    if len(reasons) > max_broken * count:
        raise UserError(
            f"{len(reasons)} of {count} clips cannot be read, more than the share {max_broken:g} (max_broken); repair "
            f"the data or allow more. The first reason: {reasons[0]}"
        )


def _embedded(
    rows: list[Row], finish: Callable[[], tuple[Tensor, Tensor, Tensor]], skipped: list[tuple[Row, str]]
) -> Embedded:
    return Embedded(rows, *finish(), skipped)


def _decode(dataset: Views, workers: int, ahead: int) -> Generator[Tensor | str, None, None]:
    """The items of a data set in order; each thread waits for a decoder, which is a separate process."""
    pool, pending = ThreadPoolExecutor(workers, "decode"), deque[Future[Tensor | str]]()
    try:
        for index in range(len(dataset)):
            pending.append(pool.submit(dataset.__getitem__, index))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    """Decoders per process: the machine's cores, shared by its processes, less one that feeds the model."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1)
