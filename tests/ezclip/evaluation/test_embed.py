"""Embeddings of clips: views, batch sizes that fit in memory, and a device that does not wait."""

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ezclip.data.dataset import Views
from ezclip.data.manifest import read_rows
from ezclip.errors import ConfigError, UserError
from ezclip.evaluation.embed import Encoder, ViewCount, automatic_size, embed
from ezclip.model.backbone import Backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import Video
from ezclip.predictor import Predictor
from ezclip.types import Clip, Preprocessing
from ezclip.video.sampling import segment_centres, segment_points
from ezclip.video.transforms import crops, to_device, view
from tests.conftest import make_model, write_video
from tests.ezclip.evaluation.conftest import ROWS


def test_places_in_time_and_space() -> None:
    assert segment_points(100, 2, 0.25) == [12, 62]
    assert segment_points(100, 2, 0.75) == [36, 86]
    assert segment_points(100, 2, 0.5) == segment_centres(100, 2) == [24, 74]
    wide = np.zeros((1, 128, 400, 3), np.uint8)
    wide[:, :, :200, 0] = 255
    squares = crops(wide, Preprocessing(112), 3)  # short side 128: the frames are not resized
    assert squares.shape == (3, 1, 3, 112, 112)
    assert [float(s[0, 0].float().mean()) for s in squares] == [255.0, pytest.approx(127.5, abs=2), 0.0]
    tall = wide.transpose(0, 2, 1, 3)
    assert [round(float(s[0, 0].float().mean())) // 100 for s in crops(tall, Preprocessing(112), 3)] == [2, 1, 0]
    assert torch.equal(crops(wide, Preprocessing(112), 3)[1], view(wide, 112))


def test_all_views_come_from_one_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", count=24)
    (tmp_path / "list.jsonl").write_text(json.dumps({"path": path.name, "label": "x"}) + "\n")
    views = Views(read_rows(tmp_path / "list.jsonl"), T=3, preprocessing=Preprocessing(32), temporal=2, spatial=1)[0]
    assert isinstance(views, torch.Tensor) and views.shape == (2, 3, 3, 32, 32)
    grey = views.float().mean(dim=(2, 3, 4))
    # 24 frames in 3 segments of 8: places 1/4 and 3/4 are frames 1, 9, 17 and 5, 13, 21, each 10 grey levels apart
    assert torch.all(grey.diff(dim=1) > 40) and torch.all((grey[1] - grey[0]) > 15)


@pytest.mark.parametrize("text", ["3", "0x1", "ax2", "1x99"])
def test_views_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="times x crops"):
        ViewCount.parse(text)


ENCODE = EZCLIP.encode_video


def small_gpu(limit: int, sizes: list[int]) -> Callable[[EZCLIP, torch.Tensor], torch.Tensor]:
    """``encode_video`` on a GPU whose memory holds ``limit`` views; appends its batch sizes to ``sizes``."""

    def encode(model: EZCLIP, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return ENCODE(model, pixels)

    return encode


def test_a_batch_is_halved_until_it_fits(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "tiny")
    clips = torch.randint(0, 256, (16, 1, 8, 3, 32, 32), dtype=torch.uint8)
    monkeypatch.setattr(Views, "__getitem__", lambda _, index: clips[index])
    (whole,) = embed(predictor, ROWS[:8], batch_size=8, static=True)
    sizes: list[int] = []
    monkeypatch.setattr(EZCLIP, "encode_video", small_gpu(2, sizes))
    encoder = Encoder(predictor, 8)
    (parts,) = embed(predictor, ROWS[:8], batch_size=8, static=True, encoder=encoder)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2] and encoder.size == 2, "static copies begin with the size that fits"
    torch.testing.assert_close(parts.frames, whole.frames, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(parts.static, whole.static, atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(EZCLIP, "encode_video", small_gpu(0, sizes))
    with pytest.raises(UserError, match="Not even one view"):
        list(embed(predictor, ROWS[:1]))


def test_clips_are_decoded_while_the_model_computes(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "base"), "tiny")
    ahead = threading.Event()

    def decode(views: Views, index: int) -> torch.Tensor | str:
        if index == 6:
            ahead.set()
        return "damaged" if index == 5 else torch.full((1, 8, 3, 32, 32), index, dtype=torch.uint8)

    def compute(model: EZCLIP, pixels: torch.Tensor) -> torch.Tensor:
        assert ahead.wait(20), "the second batch is not decoded before the first one is done"
        time.sleep(0.05)
        return pixels.mean((2, 3, 4)).unsqueeze(-1)

    monkeypatch.setattr(Views, "__getitem__", decode)
    monkeypatch.setattr(EZCLIP, "encode_video", compute)
    encoder = Encoder(predictor, 4)
    parts = list(embed(predictor, ROWS, batch_size=4, workers=2, encoder=encoder))
    assert [len(part.rows) for part in parts] == [4, 3, 4, 4] and parts[1].skipped == [(ROWS[5], "damaged")]
    assert (torch.cat([part.frames[:, 0, 0, 0] for part in parts]).diff() > 0).all(), "clips come in their order"
    assert 4 * 0.05 <= encoder.busy <= encoder.seconds


class Schedule:
    """A clock advanced by decoding, copying and computing, and a pool with one concurrent decoder."""

    def __init__(self, decode: float, copy: float, compute: float):
        self.decode, self.copy, self.compute = decode, copy, compute  # seconds for a clip, a batch and a batch
        self.now = self.decoded = 0.0

    def perf_counter(self) -> float:
        return self.now

    def submit(self, function: Callable[[int], torch.Tensor], index: int) -> SimpleNamespace:
        ready = self.decoded = max(self.now, self.decoded) + self.decode

        def result() -> torch.Tensor:
            self.now = max(self.now, ready)
            return function(index)

        return SimpleNamespace(result=result)

    def shutdown(self, **_: bool) -> None:
        pass

    def to_device(self, views: torch.Tensor, device: torch.device) -> torch.Tensor:
        self.now += self.copy
        return views

    def encode_video(self, pixels: torch.Tensor) -> torch.Tensor:
        self.now += self.compute
        return pixels.mean((2, 3, 4)).unsqueeze(-1)


class GpuSchedule(Schedule):
    """The same for a GPU with two streams that work in order and asynchronously to the program."""

    def __init__(self, decode: float, copy: float, compute: float):
        super().__init__(decode, copy, compute)
        self.done = {"compute": 0.0, "copies": 0.0}  # when each stream has finished its queued work
        self.current = "compute"

    def work(self, seconds: float) -> float:
        self.done[self.current] = max(self.now, self.done[self.current]) + seconds
        return self.done[self.current]

    def to_device(self, views: torch.Tensor, device: torch.device) -> torch.Tensor:
        self.work(self.copy)
        return views

    def encode_video(self, pixels: torch.Tensor) -> torch.Tensor:
        self.work(self.compute)
        return pixels.mean((2, 3, 4)).unsqueeze(-1)

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        before, self.current = self.current, name
        yield
        self.current = before

    def current_stream(self, device: torch.device) -> SimpleNamespace:
        name = self.current

        def wait_stream(other: str) -> None:
            self.done[name] = max(self.done[name], self.done[other])

        return SimpleNamespace(wait_stream=wait_stream)

    def event(self, device: torch.device, *, enable_timing: bool) -> SimpleNamespace:
        event = SimpleNamespace(elapsed_time=lambda other: 1000 * (other.at - event.at))
        event.record = lambda: setattr(event, "at", self.work(0))
        event.synchronize = lambda: setattr(self, "now", max(self.now, event.at))
        return event


def embed_on(schedule: Schedule, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """Embed 16 clips in four batches."""
    monkeypatch.setattr("ezclip.evaluation.embed.time", schedule)
    monkeypatch.setattr("ezclip.evaluation.embed.ThreadPoolExecutor", lambda *_: schedule)
    monkeypatch.setattr("ezclip.evaluation.embed.to_device", schedule.to_device)
    monkeypatch.setattr(EZCLIP, "encode_video", lambda _, pixels: schedule.encode_video(pixels))
    monkeypatch.setattr(Views, "__getitem__", lambda *_: torch.zeros(1, 8, 3, 32, 32, dtype=torch.uint8))
    predictor = Predictor(make_model(backbone, "base"), "tiny")
    encoder = Encoder(predictor, 4)
    assert len(list(embed(predictor, ROWS, batch_size=4, encoder=encoder))) == 4
    return encoder


@pytest.mark.parametrize(
    "decode, copy, compute, seconds, share",
    [(1.0, 0.5, 1.0, 16 * 1.0 + 0.5 + 1.0, 13.5 / 17.5), (0.25, 0.125, 4.0, 4 * 0.25 + 4 * 4.125, 1.5 / 17.5)],
    ids=["slow decoding", "slow computing"],
)
def test_the_share_of_waiting(
    decode: float,
    copy: float,
    compute: float,
    seconds: float,
    share: float,
    backbone: Backbone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copies do not count as work of the model; the slower stage sets the pace, so a slow model hardly waits."""
    encoder = embed_on(Schedule(decode, copy, compute), backbone, monkeypatch)
    assert (encoder.seconds, encoder.idle) == (pytest.approx(seconds), pytest.approx(share))
    assert compute < 4 * decode or encoder.idle <= 0.1


def test_a_gpu_waits_for_the_first_batch_alone(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """It copies a batch while it computes the previous one; waiting for a copy does not count as work."""
    gpu, records = GpuSchedule(decode=0.25, copy=1.0, compute=4.0), []
    monkeypatch.setattr(Predictor, "device", torch.device("cuda"))
    monkeypatch.setattr(torch, "Event", gpu.event)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: "copies")
    monkeypatch.setattr(torch.cuda, "stream", gpu.stream)
    monkeypatch.setattr(torch.cuda, "current_stream", gpu.current_stream)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: records.append(1))
    encoder = embed_on(gpu, backbone, monkeypatch)
    assert encoder.busy == pytest.approx(4 * 4.0)
    assert encoder.seconds == pytest.approx(4 * 0.25 + 1.0 + 4 * 4.0)
    assert len(records) == 4, "a copy's memory could be given away before it is used"


@pytest.mark.parametrize(
    "free, size",
    [(2 * 100 * 65, 64), (2 * 100 * 63, 32), (2 * 100 * 4000, 256), (10, 1)],
    ids=["a power of two", "no more than half", "at most 256", "at least 1"],
)
def test_the_automatic_size_follows_free_memory(
    free: int, size: int, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view needs 100 bytes beyond the model's 50, and 900 at the first pass, which also loads libraries."""
    predictor = Predictor(make_model(backbone, "base"), "tiny")
    assert automatic_size(predictor) == 16, "on a CPU"
    peaks = [50 + 900, 50 + 100]
    monkeypatch.setattr(Predictor, "device", torch.device("cuda"))
    monkeypatch.setattr("ezclip.evaluation.embed.to_device", lambda view, _: view)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 50)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: peaks.pop(0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10 * free))
    assert automatic_size(predictor) == size and not peaks
    monkeypatch.setattr(EZCLIP, "encode_video", small_gpu(0, []))
    assert automatic_size(predictor) == 1, "the first batch then says that nothing fits"


def test_pixels_go_to_the_device_as_bytes(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another device than the CPU (torch's "meta"), uint8 is transferred and normalised there."""
    sent: list[tuple[torch.dtype, str, str]] = []
    encoded: list[tuple[torch.dtype, str]] = []

    def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        sent.append((tensor.dtype, tensor.device.type, device.type))
        return to_device(tensor, device)

    def encode(model: EZCLIP, pixels: torch.Tensor) -> Video:
        encoded.append((pixels.dtype, pixels.device.type))
        return Video(torch.zeros(len(pixels), 8, 32))

    monkeypatch.setattr("ezclip.evaluation.embed.to_device", send)
    monkeypatch.setattr("ezclip.predictor.to_device", send)
    monkeypatch.setattr(EZCLIP, "encode", encode)
    monkeypatch.setattr(Views, "__getitem__", lambda *_: torch.zeros(1, 8, 3, 32, 32, dtype=torch.uint8))
    predictor = Predictor(copy.deepcopy(make_model(backbone, "base")).to("meta"), "tiny")
    list(embed(predictor, ROWS[:2], static=True))
    assert sent == [(torch.uint8, "cpu", "meta")] * 2 and encoded == [(torch.float32, "meta")] * 2
    clip = Clip("a", np.zeros((8, 40, 40, 3), np.uint8), np.arange(8), np.zeros(8), 8)
    pixels = predictor.encode(clip).pixels
    assert (pixels.dtype, pixels.device.type) == (torch.float32, "meta") and sent[2:] == sent[:1]


def test_leaving_early_ends_the_decoding(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def decode(views: Views, index: int) -> str:
        decoded.append(index)
        return "damaged"

    monkeypatch.setattr(Views, "__getitem__", decode)
    parts = embed(Predictor(make_model(backbone, "base"), "tiny"), ROWS * 100, batch_size=4, workers=1)
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    time.sleep(0.1)
    assert len(decoded) <= 3 * 4 + 1
