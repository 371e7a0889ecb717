"""The latest window of a camera or a stream: older frames are dropped, to bound the latency."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Annotated, ClassVar

import numpy as np

from ezclip.checkpoints.catalog import BASELINE, DEFAULT
from ezclip.data.tabletop.truth import find_masks
from ezclip.errors import VideoError
from ezclip.figures.report import Report
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.corruption import frames_for_comparison
from ezclip.studies.declaration import Baseline, Labels, Model, ModelsResult, Sentences, Study, Texts
from ezclip.studies.host import Host
from ezclip.studies.predict import rankings_table
from ezclip.studies.stage.document import caveat
from ezclip.types import Clip, Document, Prediction
from ezclip.video.pictures import PICTURE_SUFFIXES, thumbnail
from ezclip.video.read import read_picture
from ezclip.video.stream import stream

MAX_FRAMES = 64  # per window
MAX_SIDE = 1024  # of a buffered frame
_Frames = Parameter(
    "camera:NUMBER (on Windows camera:NAME), the address of a stream, or a video file; at the endpoint, pictures in "
    "time order.",
    kind="stream",
)


@dataclass(frozen=True)
class ScoreLive(Study):
    """Score the latest window of a camera or a stream continuously, under two models; Ctrl+C stops it.

    Example: python -m ezclip live camera:0 --labels "waving, clapping"
    """

    verb: ClassVar[str] = "live"
    printed: ClassVar[int] = 3
    frames: Annotated[tuple[str, ...], _Frames] = ()
    labels: Labels = ""
    model: Model = DEFAULT
    baseline: Baseline = BASELINE
    texts: Texts = "trained"
    sentences: Sentences = field(default_factory=dict)
    seconds: Annotated[float, Parameter("Length of the window in seconds.", low=0.1, high=60)] = 2.0

    def run(self, host: Host) -> Steps[LiveScores]:
        """Score windows until the source ends; the partial result of each step is that of the newest window."""
        yield from host.predictors(self.models())
        start = monotonic()
        scores = None
        for window in self._windows():
            scores = replace(self.score(host, window), seconds=round(monotonic() - start, 3))
            yield Progress(0.0, f"{scores.seconds:.1f} s", scores)
        assert scores is not None  # there is always a window
        return scores

    def _windows(self) -> Iterator[FrameBuffer]:
        """The newest windows of a source, or the single window of a list of pictures."""
        if len(self.frames) == 1 and Path(self.frames[0]).suffix.lower() not in PICTURE_SUFFIXES:
            yield from watch(self.frames[0], self.seconds)
        else:
            pictures = FrameBuffer()
            for number, path in enumerate(self.frames[-MAX_FRAMES:]):
                pictures.add(read_picture(path, Path(path).name), MAX_FRAMES, now=number)
            yield pictures

    def score(self, host: Host, window: FrameBuffer) -> LiveScores:
        """Rankings of a window under baseline and model; raises UserError for invalid names or an empty window."""
        if not window.frames:
            raise VideoError("No frame has arrived yet.")
        predictors = {name: host.predictor(name) for name in self.models()}
        model = predictors[self.model]
        names, _ = self.class_names(model.identity)
        ranked: dict[str, list[Prediction]] = {}
        for name, predictor in predictors.items():
            encoded = predictor.encode(window.clip(frames_for_comparison(predictor, model)))
            ranked[name] = predictor.rank(encoded.video, names, self.prompt_texts(predictor, names))
        identities = [p.identity for p in predictors.values()]
        return LiveScores(self, identities, ranked, caveat=caveat(self._drawn, names, identities, model.identity))

    @cached_property
    def _drawn(self) -> str:
        """The source if it is a rendered clip like the training data of the shipped models, else empty."""
        return next((path for path in self.frames if len(self.frames) == 1 and find_masks(path) is not None), "")


@dataclass(frozen=True, eq=False)
class LiveScores(ModelsResult[ScoreLive]):
    """Each model's ranking of one window."""

    predictions: dict[str, list[Prediction]]  # model -> ranking
    seconds: float = 0.0  # from the start of the study to the scoring of the window
    caveat: str = ""  # why the predictions are guesses, see ``stage.document.caveat``

    def best(self, count: int) -> LiveScores:
        """The result with the best ``count`` predictions of each model."""
        return replace(self, predictions={name: ranked[:count] for name, ranked in self.predictions.items()})

    def as_json(self) -> Document:
        """Seconds since the start, and each model's ranking."""
        models = {name: [asdict(p) for p in ranked] for name, ranked in self.predictions.items()}
        return {"seconds": self.seconds, "models": models}

    def text(self) -> str:
        """A line per model; without scores if they are guesses."""
        lines = []
        for name, ranked in self.predictions.items():
            labels = ", ".join(p.label if self.caveat else f"{p.label} {p.score:.0%}" for p in ranked)
            lines.append(f"{self.seconds:8.1f} s  {name}  {'guess: ' if self.caveat else ''}{labels}")
        return "\n".join(lines)

    def report(self) -> Report:
        """The last window's rankings."""
        lead = f"{self.caveat}After {self.seconds:.1f} s."
        return self._report("The newest window", lead, [rankings_table(self.predictions, self.caveat)])


@dataclass
class FrameBuffer:
    """The newest frames, evenly subsampled to about 64 per window, whatever the frame rate of the source."""

    # (time in seconds, uint8 RGB picture with sides of at most 1024 pixels), newest last
    frames: deque[tuple[float, np.ndarray]] = field(default_factory=deque)

    def add(self, image: np.ndarray, seconds: float, now: float | None = None) -> None:
        """Add a frame, taken at ``now`` or the current time, and drop those older than ``seconds``."""
        now = monotonic() if now is None else now
        if self.frames and now < self.frames[-1][0]:  # the source restarted
            self.frames.clear()
        if len(self.frames) > 1 and self.frames[-1][0] - self.frames[-2][0] < seconds / MAX_FRAMES:
            self.frames.pop()
        self.frames.append((now, thumbnail(image, MAX_SIDE)))
        while now - self.frames[0][0] > seconds:
            self.frames.popleft()

    def clip(self, T: int) -> Clip:
        """T evenly spaced frames among those that have the size of the newest."""
        shape = self.frames[-1][1].shape
        frames = [frame for frame in self.frames if frame[1].shape == shape]
        sampled = [frames[i] for i in np.linspace(0, len(frames) - 1, T).round().astype(int)]
        times = np.array([t - sampled[0][0] for t, _ in sampled])
        return Clip("camera", np.stack([image for _, image in sampled]), np.arange(T), times, total=len(frames))


def watch(source: str, seconds: float) -> Iterator[FrameBuffer]:
    """Yield the newest ``seconds`` of a source, see ``video.stream.stream``, until it ends.

    A thread reads the frames with the timestamps of the source; a file is read as fast as it decodes. Raises
    VideoError for an unreadable source and for one without frames.
    """
    newest, lock, fresh, stop = FrameBuffer(), threading.Lock(), threading.Event(), threading.Event()
    ended: Future[None] = Future()

    def read() -> None:
        try:
            for image, time in stream(source):
                with lock:
                    newest.add(image, seconds, now=time)
                fresh.set()
                if stop.is_set():
                    break
            ended.set_result(None)
        except BaseException as error:  # re-raised in the caller
            ended.set_exception(error)
        fresh.set()

    threading.Thread(target=read, name="camera", daemon=True).start()
    try:
        while fresh.wait():
            fresh.clear()
            if last := ended.done():
                ended.result()
            with lock:
                window = FrameBuffer(newest.frames.copy())
            if window.frames:
                yield window
            elif last:
                raise VideoError(f"{source} ended without a frame; choose another source.")
            if last:
                return
    finally:
        stop.set()
