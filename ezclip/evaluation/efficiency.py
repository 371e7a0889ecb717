"""Cost of a model (Table 7): parameters, operations, speed and memory, compared with open_clip on the same frames."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple, cast

import open_clip
import psutil
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from ezclip.checkpoints.load import load_model
from ezclip.errors import UserError
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import compute_trace, hooked
from ezclip.model.backbone import build_backbone
from ezclip.model.block import Block, ScaledLinear
from ezclip.model.builders import build_ezclip, cast_frozen_to_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival, unfreeze
from ezclip.model.text import trim_padding
from ezclip.predictor import choose_device, native_dtype
from ezclip.text.tokens import tokenize
from ezclip.types import RIVALS, Document, NativeMethod

TEXTS = 10  # class texts in a training step
_COUNTED = (nn.Linear, ScaledLinear, nn.Conv2d)  # exactly the types that thop counts, without subclasses


class Subject(NamedTuple):
    """A model to measure: a loadable model by name, or a method on an open_clip architecture with random weights."""

    name: str
    method: NativeMethod | None = None
    arch: str | None = None

    def build(self, T: int) -> EZCLIP:
        """The model in float32 with its method's trainable parameters; T only applies to random weights.

        Raises:
            UserError: unknown model or architecture, or a model without EZ-CLIP's blocks.
        """
        if self.arch is None or self.method is None:
            model = load_model(self.name, dtype=torch.float32)
            if not isinstance(model, EZCLIP):
                raise UserError(f"{self.name} has none of EZ-CLIP's blocks, whose training step is measured here.")
            return unfreeze(model)
        config = open_clip.get_model_config(self.arch)
        if config is None:
            raise UserError(f"open_clip has no architecture {self.arch!r}.")
        torch.manual_seed(0)
        backbone = build_backbone(self.arch, config)
        match self.method:
            case "vificlip" | "actionclip" | "a5" | "xclip" | "mote":
                return unfreeze(build_rival(self.method, backbone, T, {})).eval()
            case variant:
                return build_ezclip(backbone, variant, num_frames=T).eval()


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters: total, trainable, and in Linear and Conv layers as counted by thop."""
    layers = [m for m in model.modules() if type(m) in _COUNTED]
    return {
        "total": sum(p.numel() for p in model.parameters()),
        "tunable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "linear_and_conv": sum(p.numel() for m in layers for p in m.parameters()),
    }


def gmac(forward: Callable[[], Any], model: nn.Module) -> dict[str, float]:
    """Multiply-adds of one pass in 10^9, counted in two ways; GFLOPs are twice as many.

    all: every matrix product and convolution, including attention (torch's FLOP counter). linear_and_conv: only layers
    of these types, as thop counts, which misses attention because CLIP's projections are bare parameters.
    """
    macs = 0

    def count(layer: nn.Linear | nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * layer.weight[0].numel()  # multiply-adds per output value: inputs, times the kernel

    hooks = [(m, count) for m in model.modules() if type(m) in _COUNTED]
    with hooked(hooks), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward()
    return {"all": counter.get_total_flops() / 2e9, "linear_and_conv": macs / 1e9}


def measure(
    subjects: list[Subject], *, T: int, batch_size: int, repeats: int, device: str, dtype: torch.dtype
) -> list[Document]:
    """One row per model; all models and plain open_clip are timed alternately.

    Args:
        subjects: models with distinct names.
        T: frames per view, for models with random weights.
        batch_size: views per forward pass and clips per training step.
        repeats: number of timings, of which the median is used.
        device: torch device.
        dtype: precision of the forward passes; training runs under autocast if it is bfloat16.

    Returns:
        "name", "variant", "frames", "parameters", "stored_bytes" of the adapter file, "gmac" of one view and
        "gmac_text" of one class text, "latency_seconds" (one view), "views_per_second", "training_step_seconds",
        "peak_bytes" of a forward pass, None if unknown, and "open_clip": "seconds" for the same frames through plain
        open_clip and our "time_ratio" to it.
    """
    rows: list[Document] = []
    training_steps: dict[str, Callable[[], Any]] = {}
    inputs: dict[str, tuple[EZCLIP, Tensor, Tensor]] = {}
    for subject in subjects:
        name, model = subject.name, subject.build(T)
        S, frames = model.image_size, model.num_frames
        view, batch = (torch.randn(n, frames, 3, S, S, device=device) for n in (1, batch_size))
        tokens = trim_padding(tokenize(["a person walks a dog"], model.context_length)[0]).to(device) % model.vocab_size
        model = model.to(device)
        counts = count_parameters(model)
        row: Document = {
            "name": name,
            "variant": model.variant,
            "frames": frames,
            "parameters": counts,
            "stored_bytes": (2 if model.variant in RIVALS else 4) * counts["tunable"],
            "gmac": gmac(partial(model.encode_video, view), model),
            "gmac_text": gmac(partial(model.encode_text, tokens), model),
            "batch_size": batch_size,
            "peak_bytes": peak_memory(subject, T, batch_size, device, dtype),
        }
        if counts["tunable"]:
            training_steps[name] = partial(_train, model, batch, tokens.expand(TEXTS, -1), dtype)
        inputs[name] = model, view, batch
        rows.append(row)
    step_seconds = time_alternately(training_steps, max(1, repeats // 3), device)
    passes: dict[str, Callable[[], Any]] = {}
    for name, (model, view, batch) in inputs.items():
        model, view, batch = model.to(dtype), view.to(dtype), batch.to(dtype)
        passes[f"{name} view"] = partial(model.encode_video, view)
        passes[f"{name} batch"] = partial(model.encode_video, batch)
        passes[f"{name} plain"] = partial(plain_tower(model, view).encode_image, view[0])
    with torch.no_grad():
        seconds = time_alternately(passes, repeats, device)
    for row in rows:
        name = row["name"]
        latency, plain = seconds[f"{name} view"], seconds[f"{name} plain"]
        row |= {"latency_seconds": latency, "views_per_second": batch_size / seconds[f"{name} batch"]}
        row["training_step_seconds"] = step_seconds.get(name)
        row["open_clip"] = {"seconds": plain, "time_ratio": latency / plain}
    return rows


def measure_on_device(
    subjects: list[Subject], *, batch_size: int, T: int = 8, repeats: int = 10, device: str = "auto"
) -> Document:
    """Run ``measure`` on a device in its native dtype; returns "device", "dtype" and "rows"."""
    chosen = choose_device(device)
    if chosen.index is not None:
        torch.accelerator.set_device_index(chosen.index)  # the device that timers wait for
    dtype = native_dtype(chosen)
    rows = measure(subjects, T=T, batch_size=batch_size, repeats=repeats, device=str(chosen), dtype=dtype)
    return {"device": str(chosen), "dtype": str(dtype).removeprefix("torch."), "rows": rows}


def peak_memory(subject: Subject, T: int, batch_size: int, device: str, dtype: torch.dtype) -> int | None:
    """Peak memory of a forward pass above the baseline, in bytes.

    On CUDA as reported by the allocator, on a CPU the growth of a new process, sampled every millisecond; None on other
    devices.
    """
    if device.startswith("cuda"):
        return _peak(subject, T, batch_size, device, dtype)
    if device != "cpu":
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, subject, T, batch_size, device, dtype).result()


@torch.no_grad()
def _peak(subject: Subject, T: int, batch_size: int, device: str, dtype: torch.dtype) -> int:
    model = subject.build(T).to(device, dtype)
    S = model.image_size
    pixels = torch.randn(batch_size, model.num_frames, 3, S, S, device=device, dtype=dtype)
    if device != "cpu":
        return peak_on_gpu(partial(model.encode_video, pixels))
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def sample_peak() -> int:
        peak = before
        while not done.wait(0.001):
            peak = max(peak, process.memory_info().rss)
        return peak

    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(sample_peak)
        try:
            model.encode_video(pixels)
        finally:
            done.set()
    return peak.result() - before


def peak_on_gpu(work: Callable[[], Any]) -> int:
    """Bytes of GPU memory that ``work()`` allocates at most, in addition to what is allocated already."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


def _train(model: EZCLIP, pixels: Tensor, tokens: Tensor, dtype: torch.dtype) -> None:
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        frames, texts = model(pixels, tokens)
    labels = torch.arange(len(frames), device=frames.device) % len(tokens)
    nn.functional.cross_entropy(model.logits(frames, texts), labels).backward()
    model.zero_grad()


def plain_tower(model: EZCLIP, pixels: Tensor) -> open_clip.CLIP:
    """open_clip's CLIP with the vision tower sizes of ``model`` and random weights, on the device of ``pixels``."""
    vision = model.vision
    width, _, patch, _ = vision.conv1.weight.shape
    heads = cast(Block, vision.blocks[0]).attn.num_heads
    sizes = {"image_size": model.image_size, "layers": len(vision.blocks), "width": width, "patch_size": patch}
    plain = open_clip.CLIP(
        embed_dim=vision.proj.shape[1],
        quick_gelu=True,
        vision_cfg=open_clip.CLIPVisionCfg(**sizes, head_width=width // heads),
        text_cfg=open_clip.CLIPTextCfg(context_length=77, vocab_size=512, width=64, heads=1, layers=1),
    )
    return plain.to(pixels.device, pixels.dtype).eval()


def time_alternately(sides: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each side, timed in turns by ``torch.utils.benchmark``, which warms up before each timing."""
    wait = (lambda: None) if device == "cpu" else torch.accelerator.synchronize
    timers = {
        name: Timer("side(); wait()", globals={"side": side, "wait": wait}, num_threads=torch.get_num_threads())
        for name, side in sides.items()
    }
    rounds = [{name: timer.timeit(1).median for name, timer in timers.items()} for _ in range(repeats)]
    return {name: statistics.median(times[name] for times in rounds) for name in sides}


def forward_ratios(arch: str, *, T: int, repeats: int, device: str) -> Document:
    """Time one view (T frames) through EZ-CLIP and through plain open_clip on the same frames, random weights.

    Returns:
        Median "seconds" of each side over ``repeats``, and "ratios": ours to open_clip in float32 and in the device's
        native dtype, and in the latter our operations per second to those of the blocks' bare matrix products, and of a
        forward pass with rollout and of a training step of one clip to the forward pass; where bfloat16 is native, also
        our float32 to our bfloat16.
    """
    native = native_dtype(torch.device(device))
    sides: dict[str, Callable[[], Any]] = {}

    def add(dtype: torch.dtype) -> tuple[str, EZCLIP, Tensor]:
        ours = Subject("", "ezclip", arch).build(T).to(device, dtype)
        pixels = torch.randn(1, T, 3, ours.image_size, ours.image_size, device=device).to(dtype)
        name = str(dtype).removeprefix("torch.")
        sides[f"ezclip_{name}"] = torch.no_grad()(partial(ours.encode_video, pixels))
        sides[f"open_clip_{name}"] = torch.no_grad()(partial(plain_tower(ours, pixels).encode_image, pixels[0]))
        return name, ours, pixels

    name, ours, pixels = add(torch.float32)
    if native != torch.float32:
        name, ours, pixels = add(native)
    sides["rollout"] = lambda: roll_out(compute_trace(ours, pixels))
    trainable = Subject("", "ezclip", arch).build(T).to(device)
    if native == torch.bfloat16:
        cast_frozen_to_bf16(trainable)
    tokens = tokenize(["a person walks a dog"], ours.context_length)[0].to(device) % ours.vocab_size
    sides["training_step"] = partial(_train, trainable, pixels.float(), trim_padding(tokens), native)
    sides["matrix_products"], operations = matrix_products(ours, 1)
    seconds = time_alternately(sides, repeats, device)
    forward = seconds[f"ezclip_{name}"]
    rate = 2e9 * gmac(sides[f"ezclip_{name}"], ours)["all"] / forward
    ratios = {
        f"ezclip/open_clip, {name}": forward / seconds[f"open_clip_{name}"],
        "ezclip/open_clip, float32": seconds["ezclip_float32"] / seconds["open_clip_float32"],
        "forward/matrix products alone, operations a second": rate / (operations / seconds["matrix_products"]),
        "forward with rollout/forward": seconds["rollout"] / forward,
        "training step/forward": seconds["training_step"] / forward,
    }
    if native != torch.float32:
        ratios[f"float32/{name}, ezclip"] = seconds["ezclip_float32"] / forward
    return {
        "arch": arch,
        "T": T,
        "dtype": name,
        "threads": torch.get_num_threads(),
        "seconds": {side: round(value, 4) for side, value in seconds.items()},
        "ratios": {ratio: round(value, 3) for ratio, value in ratios.items()},
    }


def matmul_rate(model: EZCLIP, batch: int, repeats: int) -> float:
    """Speed of the four matrix products of one block for ``batch`` views, in 10^12 operations per second."""
    multiply, operations = matrix_products(model, batch)
    return operations / time_alternately({"": multiply}, repeats, str(model.logit_scale.device))[""] / 1e12


def matrix_products(model: EZCLIP, batch: int) -> tuple[Callable[[], None], int]:
    """The four matrix products of one block for ``batch`` views on random values, and the number of operations."""
    D, weight = model.vision.conv1.out_channels, model.vision.class_embedding
    rows = batch * model.num_frames * (model.vision.grid**2 + 1)
    shapes = [(D, 3 * D), (D, D), (D, 4 * D), (4 * D, D)]
    pairs = [[weight.new_empty(size).normal_() for size in ((rows, a), (a, b))] for a, b in shapes]

    @torch.no_grad()
    def multiply() -> None:
        for a, b in pairs:
            torch.matmul(a, b)

    return multiply, sum(2 * rows * inner * outer for inner, outer in shapes)
