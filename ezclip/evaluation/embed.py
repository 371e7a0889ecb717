"""Embeddings of many clips, batch by batch."""

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
BATCH = 16  # clips in one forward pass where nothing else is asked for


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
    """Views of clips to frame embeddings; a GPU computes one batch while the next is decoded and copied.

    A batch that does not fit into the GPU's memory is halved until it does, and later ones begin with that size.

    Args:
        predictor: the model.
        size: views in one forward pass at first.
    """

    def __init__(self, predictor: Predictor, size: int):
        self.model, self.device, self.size = predictor.model, predictor.device, size
        self.on_gpu = self.device.type == "cuda"
        self.began, self.busy, self.seconds = time.perf_counter(), 0.0, 0.0
        self._copies = torch.cuda.Stream(self.device) if self.on_gpu else None
        self._spans: list[tuple[Any, Any]] = []  # in which the device computes, of the batch that was begun last

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
        spans = self._spans = []
        pixels = torch.stack(clips)  # (B, V, T, 3, S, S)
        video = self._encode(pixels.flatten(0, 1))
        frames, context = (
            nothing if t is None else t.unflatten(0, pixels.shape[:2]) for t in (video.frames, video.context)
        )
        middle = pixels[:, pixels.shape[1] // 2]
        frozen = self._encode(middle, static=True).frames if static else nothing

        def finish() -> tuple[Tensor, Tensor, Tensor]:
            if self.on_gpu:
                spans[-1][1].synchronize()
                self.busy += sum(begin.elapsed_time(end) / 1000 for begin, end in spans)
            else:
                self.busy += sum(end - begin for begin, end in spans)
            self.seconds = time.perf_counter() - self.began
            return frames, context, frozen

        return finish

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """What is done in it counts as the device's own work."""
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
        """uint8 (n, T, 3, S, S) -> n videos, float32 in main memory, which a GPU fills later."""
        while True:
            try:
                parts = [self._forward(part, static) for part in views.split(self.size)]
                with self._busy():
                    return Video.cat(parts).to("cpu", non_blocking=self.on_gpu)
            except torch.cuda.OutOfMemoryError as error:
                if self.size == 1:
                    raise UserError("Not even one view fits into the GPU's memory; use --device cpu.") from error
            self.size = max(1, min(self.size, len(views)) // 2)
            log.warning("the GPU's memory is too small for this batch; from here on %d views at once", self.size)
            torch.cuda.empty_cache()

    def _forward(self, views: Tensor, static: bool) -> Video:
        pixels = self._copied(views)
        with self._busy():
            pixels = self.model.normalise(pixels)
            return self.model.encode(static_copy(pixels) if static else pixels).float()

    def _copied(self, views: Tensor) -> Tensor:
        """Views on the device; a GPU copies them on a stream of their own, beside what it computes."""
        if self._copies is None:
            return to_device(views, self.device)
        compute = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copies):
            pixels = to_device(views, self.device)
        compute.wait_stream(self._copies)
        pixels.record_stream(compute)  # its memory is not given to a later copy before it is used
        return pixels


@torch.inference_mode()
def automatic_size(predictor: Predictor) -> int:
    """Views in one forward pass: a power of two, at most 256, that takes up to half of a GPU's free memory.

    A view is taken to need the peak of a forward pass of one. Elsewhere than on a GPU it is ``BATCH``.
    """
    model, device = predictor.model, predictor.device
    if device.type != "cuda":
        return BATCH
    view, peak = torch.zeros(1, model.num_frames, 3, model.image_size, model.image_size, dtype=torch.uint8), 1
    try:
        for _ in range(2):  # the first pass also allocates what the libraries keep
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


def check_broken(reasons: Sequence[str], count: int, most: float) -> None:
    """Stop a run in which too many clips could not be read.

    Args:
        reasons: why, of each clip that could not.
        count: of all clips.
        most: share in [0, 1] that is allowed.

    Raises:
        UserError: more could not.
    """
    if len(reasons) > most * count:
        raise UserError(
            f"{len(reasons)} of {count} clips cannot be read, more than the share {most:g} (max_broken); repair the "
            f"data or allow more. The first reason: {reasons[0]}"
        )


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
