"""Speed and memory on a GPU, compared with plain open_clip and with the card's matrix multiplication rate."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.evaluation.efficiency import gmac, matmul_rate, peak_on_gpu, plain_tower, time_alternately
from ezclip.model.builders import cast_frozen_to_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import video_embeddings
from ezclip.progress import Progress, Steps
from ezclip.types import Document

BATCHES = (1, 2, 4, 8, 16, 32, 64)
CLASSES = 10  # in a training step
MODES = {"eager": None, "compiled": "default", "graphs": "reduce-overhead"}  # name -> mode of torch.compile


def card(device: torch.device) -> str:
    """The name of a device's hardware."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"


def gpu_table(
    build: Callable[[], EZCLIP],
    *,
    device: torch.device,
    dtype: torch.dtype,
    batches: tuple[int, ...] = BATCHES,
    training_batch: int = 32,
    repeats: int = 10,
) -> Steps[Document]:
    """Measure a model on one device; the variants in a row are timed in turns, and medians are reported.

    Args:
        build: builds the model in float32.
        device: device to measure on.
        dtype: precision of the forward passes; training uses autocast to it unless it is float32.
        batches: views per forward pass, one row each.
        training_batch: clips per training step.
        repeats: number of timings.

    Returns:
        "card", "torch", "dtype", "frames", "gflop" of one view (2 per multiply-add), "matmul_tflops": the rate of one
        block's matrix products in 10^12 operations per second, "inference": for each batch the views per second
        "eager", "compiled", with CUDA "graphs" and through "open_clip" on the same frames, and "share": the first three
        as fractions of "matmul_tflops"; "training": see ``_training``.
    """
    model = build().to(device, dtype).eval()
    T, S = model.num_frames, model.image_size
    view = torch.randn(1, T, 3, S, S, device=device, dtype=dtype)
    gflop = 2 * gmac(partial(model.encode_video, view), model)["all"]
    rate = matmul_rate(model, max(batches), repeats)
    rows = []
    for i, batch in enumerate(batches):
        yield Progress(i / (len(batches) + 1), f"{batch} views at once")
        pixels = view.repeat(batch, 1, 1, 1, 1)
        plain = plain_tower(model, pixels)
        sides: dict[str, Callable[[], Any]] = {"open_clip": partial(plain.encode_image, pixels.flatten(0, 1))}
        for name, mode in MODES.items():
            encode = torch.compile(model.encode_video, mode=mode, dynamic=False) if mode else model.encode_video
            sides[name] = partial(encode, pixels)
        with torch.no_grad():
            seconds = time_alternately(sides, repeats, str(device))
        speeds = {name: batch / seconds[name] for name in (*MODES, "open_clip")}
        shares = {name: speeds[name] * gflop / 1e3 / rate for name in MODES}
        rows.append({"batch": batch, **speeds, "share": shares})
        torch.compiler.reset()
    yield Progress(len(batches) / (len(batches) + 1), "training steps")
    return {
        "card": card(device),
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "frames": T,
        "gflop": gflop,
        "matmul_tflops": rate,
        "inference": rows,
        "training": _training(build().to(device), training_batch, dtype, repeats),
    }


def _training(model: EZCLIP, batch: int, dtype: torch.dtype, repeats: int) -> Document:
    """Forward and backward pass of ``batch`` clips against fixed texts, without the optimiser step.

    Returns:
        "batch", and "seconds" and "peak_bytes" above the model's memory, None off a GPU, for our adapters, "eager" and
        "compiled", and for "open_clip", where the whole vision tower is trained.
    """
    device, T, S = model.logit_scale.device, model.num_frames, model.image_size
    pixels = torch.randn(batch, T, 3, S, S, device=device)
    texts = torch.randn(CLASSES, model.vision.proj.shape[1], device=device)
    plain = plain_tower(model, pixels).train().requires_grad_()
    model.train()
    if dtype == torch.bfloat16:
        cast_frozen_to_bf16(model)

    def step(network: torch.nn.Module, encode: Callable[[Tensor], Tensor]) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            frames = encode(pixels)
        logits = 100 * video_embeddings(frames) @ F.normalize(texts, dim=-1).T
        F.cross_entropy(logits, torch.arange(batch, device=device) % CLASSES).backward()
        network.zero_grad()

    def encode_plain(pixels: Tensor) -> Tensor:
        return plain.encode_image(pixels.flatten(0, 1)).unflatten(0, (batch, T))

    sides = {
        "eager": partial(step, model, model.encode_video),
        "compiled": partial(step, model, torch.compile(model.encode_video, dynamic=False)),
        "open_clip": partial(step, plain, encode_plain),
    }
    seconds = time_alternately(sides, repeats, str(device))
    result: Document = {"batch": batch}
    for name, side in sides.items():
        result[name] = {"seconds": seconds[name], "peak_bytes": peak_on_gpu(side) if device.type == "cuda" else None}
    torch.compiler.reset()
    return result


def format_table(table: Document) -> str:
    """The result of ``gpu_table`` as text."""
    lines = [
        f"{table['card']}, {table['dtype']}, torch {table['torch']}: {table['gflop']:.1f} GFLOP a view, "
        f"matrix products at {table['matmul_tflops']:.1f} TFLOP/s",
        "batch" + "".join(f"{f'{name} views/s':>18}{'share':>7}" for name in MODES) + f"{'open_clip views/s':>20}",
    ]
    for row in table["inference"]:
        cells = "".join(f"{row[name]:>18.1f}{row['share'][name]:>7.0%}" for name in MODES)
        lines.append(f"{row['batch']:>5}{cells}{row['open_clip']:>20.1f}")
    training = table["training"]
    for name in ("eager", "compiled", "open_clip"):
        peak = training[name]["peak_bytes"]
        memory = "" if peak is None else f", {peak / 2**20:.0f} MiB"
        lines.append(f"training step of {training['batch']}, {name}: {training[name]['seconds']:.4f} s{memory}")
    return "\n".join(lines)
