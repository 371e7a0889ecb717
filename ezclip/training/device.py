"""Processes, precision and compilation of a run, and deferred reading of its metrics."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ezclip.config import Compile
from ezclip.errors import ConfigError
from ezclip.model.ezclip import EZCLIP

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def start_accelerator(precision: str, trackers: Sequence[str] = ()) -> Accelerator:
    """Set up processes, precision ("bf16" or "fp32") and trackers; on NVIDIA GPUs, fp32 matrix products use TF32.

    Raises:
        ConfigError: a tracker is not installed.
    """
    for name in trackers:
        if find_spec(name) is None:
            raise ConfigError(f"The tracker {name} is not installed; run pip install {name}, or leave it out.")
    mixed = "no" if precision == "fp32" else precision
    on_cpu = not torch.accelerator.is_available()  # by default, Accelerate ignores multiple CPU processes
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=mixed, log_with=list(trackers) or None)
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    elif accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def keep_freed_memory() -> None:
    """Have glibc reuse freed memory of any size in this process; elsewhere, do nothing.

    By default it returns the memory of large tensors to the system, and every step waits for new pages.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(parameter, 2**31 - 1)


def compile_vision(model: EZCLIP, mode: Compile) -> None:
    """Compile the vision tower as configured."""
    if mode:
        model.vision.compile(mode="reduce-overhead" if mode == "graphs" else None)


class MetricBuffer:
    """Keeps metrics of several steps on the device and reads them together, because each read synchronises with it.

    Args:
        device: device of the run; on a CPU every step is read, since nothing waits.
        every: steps between reads.
    """

    def __init__(self, device: torch.device, every: int):
        self.every = 1 if device.type == "cpu" else every
        self._pending: list[tuple[int, dict[str, Any]]] = []

    def add(self, step: int, values: dict[str, Tensor | float]) -> None:
        """Add the scalar metrics of a step."""
        self._pending.append((step, {name: v.detach() if isinstance(v, Tensor) else v for name, v in values.items()}))

    def due(self, step: int) -> bool:
        """Whether metrics should be read after ``step`` steps."""
        return step % self.every == 0

    def read(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield and drop all steps since the last read, with their metrics."""
        tensors = [v.float() for _, values in self._pending for v in values.values() if isinstance(v, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else [])
        pending, self._pending = self._pending, []
        for step, values in pending:
            yield step, {name: next(numbers) if isinstance(v, Tensor) else v for name, v in values.items()}


def check_finite(step: int, values: Mapping[str, float]) -> None:
    """Stop a run with a non-finite loss or gradient, before its state is saved.

    Args:
        step: number of the step.
        values: its metrics, with "loss" and "gradient_norm".

    Raises:
        ConfigError: the loss or the gradient norm is not finite.
    """
    for name, value in (("loss", values["loss"]), ("gradient", values["gradient_norm"])):
        if not math.isfinite(value):
            raise ConfigError(
                f"The {name} is not finite at step {step}; lower lr, or resume from the last saved state."
            )
