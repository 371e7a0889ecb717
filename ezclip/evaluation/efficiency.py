"""What a model costs (Table 7): parameters, operations, speed and memory, beside open_clip on the same frames."""

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
from ezclip.explanation.trace import hooked, traced
from ezclip.model.backbone import build_backbone
from ezclip.model.block import Block, ScaledLinear
from ezclip.model.builders import build_ezclip, frozen_in_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival, unfreeze
from ezclip.model.text import trimmed
from ezclip.predictor import choose_device, native_dtype
from ezclip.text.tokens import tokenize
from ezclip.types import RIVALS, Built, Document

TEXTS = 10  # class texts of a training step
_COUNTED = (nn.Linear, ScaledLinear, nn.Conv2d)  # as thop counts them, exactly these types


class Subject(NamedTuple):
    """A model to measure: a loadable one by name, or a method on an architecture of open_clip with random weights."""

    name: str
    method: Built | None = None
    arch: str | None = None

    def build(self, T: int) -> EZCLIP:
        """The model, float32, trainable as its method trains it; T counts for random weights alone.

        Raises:
            UserError: no such model or architecture, or one without EZ-CLIP's blocks.
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


def parameters(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters: all, those that are trained, and those in Linear and Conv layers, as thop counts."""
    simple = [m for m in model.modules() if type(m) in _COUNTED]
    return {
        "total": sum(p.numel() for p in model.parameters()),
        "tunable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "linear_and_conv": sum(p.numel() for m in simple for p in m.parameters()),
    }


def gmac(forward: Callable[[], Any], model: nn.Module) -> dict[str, float]:
    """Multiply-adds of one pass in 10^9, counted in two ways; a GFLOP figure is twice as large.

    all: every matrix product and convolution, attention included (torch's flop counter). linear_and_conv: layers of
    exactly these types, as thop counts, which misses attention because CLIP's projections are bare parameters.
    """
    counted = [0]

    def count(layer: nn.Linear | nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        per_value = layer.weight[0].numel()  # of a Linear: inputs; of a Conv2d: inputs times the kernel
        counted[0] += output.numel() * per_value

    hooks = [(m, count) for m in model.modules() if type(m) in _COUNTED]
    with hooked(hooks), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward()
    return {"all": counter.get_total_flops() / 2e9, "linear_and_conv": counted[0] / 1e9}


def measure(
    subjects: list[Subject], *, T: int, batch_size: int, repeats: int, device: str, dtype: torch.dtype
) -> list[Document]:
    """One row a model; all models and plain open_clip are timed alternately.

    Args:
        subjects: with distinct names.
        T: frames of a view, for models with random weights.
        batch_size: views in a forward pass and clips in a training step.
        repeats: of each timing; the median is used.
        device: torch device.
        dtype: of the forward passes; training runs under autocast where this is bfloat16.

    Returns:
        "name", "variant", "frames", "parameters", "stored_bytes" of the adapter file, "gmac" of one view and
        "gmac_text" of one class text, "latency_seconds" (one view), "views_per_second", "training_step_seconds",
        "peak_bytes" of a forward pass, None where it is unknown, and under "open_clip" the same frames through
        plain open_clip with "time_ratio".
    """
    rows: list[Document] = []
    trained: dict[str, Callable[[], Any]] = {}
    views: dict[str, tuple[EZCLIP, Tensor, Tensor]] = {}
    for subject in subjects:
        name, model = subject.name, subject.build(T)
        S, frames = model.image_size, model.num_frames
        one, many = (torch.randn(n, frames, 3, S, S, device=device) for n in (1, batch_size))
        tokens = trimmed(tokenize(["a person walks a dog"], model.context_length)[0]).to(device) % model.vocab_size
        model = model.to(device)
        count = parameters(model)
        row: Document = {
            "name": name,
            "variant": model.variant,
            "frames": frames,
            "parameters": count,
            "stored_bytes": (2 if model.variant in RIVALS else 4) * count["tunable"],
            "gmac": gmac(partial(model.encode_video, one), model),
            "gmac_text": gmac(partial(model.encode_text, tokens), model),
            "batch_size": batch_size,
            "peak_bytes": peak_memory(subject, T, batch_size, device, dtype),
        }
        if count["tunable"]:
            trained[name] = partial(_train, model, many, tokens.expand(TEXTS, -1), dtype)
        views[name] = model, one, many
        rows.append(row)
    steps = interleaved(trained, max(1, repeats // 3), device)
    timed: dict[str, Callable[[], Any]] = {}
    for name, (model, one, many) in views.items():
        model, one, many = model.to(dtype), one.to(dtype), many.to(dtype)
        timed |= {f"{name} one": partial(model.encode_video, one), f"{name} many": partial(model.encode_video, many)}
        timed[f"{name} plain"] = partial(plain_tower(model, one).encode_image, one[0])
    with torch.no_grad():
        seconds = interleaved(timed, repeats, device)
    for row in rows:
        name = row["name"]
        own, plain = seconds[f"{name} one"], seconds[f"{name} plain"]
        row |= {"latency_seconds": own, "views_per_second": batch_size / seconds[f"{name} many"]}
        row["training_step_seconds"] = steps.get(name)
        row["open_clip"] = {"seconds": plain, "time_ratio": own / plain}
    return rows


def measure_here(
    subjects: list[Subject], *, batch_size: int, T: int = 8, repeats: int = 10, device: str = "auto"
) -> Document:
    """``measure`` on the device at hand, in its native dtype: "device", "dtype" and "rows"."""
    place = choose_device(device)
    dtype = native_dtype(place)
    rows = measure(subjects, T=T, batch_size=batch_size, repeats=repeats, device=str(place), dtype=dtype)
    return {"device": str(place), "dtype": str(dtype).removeprefix("torch."), "rows": rows}


def peak_memory(subject: Subject, T: int, batch_size: int, device: str, dtype: torch.dtype) -> int | None:
    """Peak memory of a forward pass above the baseline, in bytes.

    On a GPU from its allocator; on a CPU the growth of a new process, sampled every millisecond; None
    elsewhere.
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
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        model.encode_video(pixels)
        return torch.cuda.max_memory_allocated() - before
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def highest() -> int:
        seen = before
        while not done.wait(0.001):
            seen = max(seen, process.memory_info().rss)
        return seen

    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(highest)
        try:
            model.encode_video(pixels)
        finally:
            done.set()
    return watched.result() - before


def _train(model: EZCLIP, pixels: Tensor, tokens: Tensor, dtype: torch.dtype) -> None:
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        frames, texts = model(pixels, tokens)
    labels = torch.arange(len(frames), device=frames.device) % len(tokens)
    nn.functional.cross_entropy(model.logits(frames, texts), labels).backward()
    model.zero_grad()


def plain_tower(model: EZCLIP, pixels: Tensor) -> open_clip.CLIP:
    """open_clip's own CLIP with a vision tower of the sizes of ``model``, random weights, where ``pixels`` are."""
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


def interleaved(sides: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each side, in turns, by ``torch.utils.benchmark``, which warms up before each time."""
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
        Median "seconds" of each side over ``repeats``, and "ratios": ours to open_clip in one dtype, our float32 to our
        bfloat16, and in bfloat16 our operations a second to those of the blocks' matrix products alone, a forward pass
        with its rollout, and a training step of one clip, both to the forward pass.
    """
    sides: dict[str, Callable[[], Any]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        ours = Subject("", "ezclip", arch).build(T).to(device, dtype)
        pixels = torch.randn(1, T, 3, ours.image_size, ours.image_size, device=device).to(dtype)
        name = str(dtype).removeprefix("torch.")
        sides[f"ezclip_{name}"] = torch.no_grad()(partial(ours.encode_video, pixels))
        sides[f"open_clip_{name}"] = torch.no_grad()(partial(plain_tower(ours, pixels).encode_image, pixels[0]))
    sides["rollout"] = lambda: roll_out(traced(ours, pixels))
    trained = Subject("", "ezclip", arch).build(T).to(device)
    frozen_in_bf16(trained)
    tokens = tokenize(["a person walks a dog"], ours.context_length)[0].to(device) % ours.vocab_size
    sides["training_step"] = partial(_train, trained, pixels.float(), trimmed(tokens), torch.bfloat16)
    seconds = interleaved(sides, repeats, device)
    forward = seconds["ezclip_bfloat16"]
    rate = 2 * gmac(sides["ezclip_bfloat16"], ours)["all"] / forward / 1e3
    ratios = {
        "ezclip/open_clip, bfloat16": forward / seconds["open_clip_bfloat16"],
        "ezclip/open_clip, float32": seconds["ezclip_float32"] / seconds["open_clip_float32"],
        "float32/bfloat16, ezclip": seconds["ezclip_float32"] / forward,
        "forward/matrix products alone, operations a second": rate / matmul_rate(ours, 1, repeats),
        "forward with rollout/forward": seconds["rollout"] / forward,
        "training step/forward": seconds["training_step"] / forward,
    }
    return {
        "arch": arch,
        "T": T,
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }


def matmul_rate(model: EZCLIP, batch: int, repeats: int) -> float:
    """10^12 operations a second in the four products of one block, one after the other, for ``batch`` views."""
    D, weight = model.vision.conv1.out_channels, model.vision.class_embedding
    rows = batch * model.num_frames * (model.vision.grid**2 + 1)
    shapes = [(D, 3 * D), (D, D), (D, 4 * D), (4 * D, D)]
    pairs = [[weight.new_empty(size).normal_() for size in ((rows, a), (a, b))] for a, b in shapes]

    def multiply() -> None:
        for a, b in pairs:
            torch.matmul(a, b)

    with torch.no_grad():
        seconds = interleaved({"matmul": multiply}, repeats, str(weight.device))["matmul"]
    return sum(2 * rows * inner * outer for inner, outer in shapes) / seconds / 1e12
