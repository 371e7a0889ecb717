"""Where and how fast a run computes: processes, precision, compilation, and when its metrics are read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ezclip.config import Compile
from ezclip.errors import ConfigError
from ezclip.model.ezclip import EZCLIP


def start_accelerator(precision: str, trackers: Sequence[str] = ()) -> Accelerator:
    """Processes, precision ("bf16" or "fp32") and trackers of a run; on an NVIDIA GPU fp32 products are TF32.

    Raises:
        ConfigError: a tracker that is not installed.
    """
    for name in trackers:
        if find_spec(name) is None:
            raise ConfigError(f"The tracker {name} is not installed; run pip install {name}, or leave it out.")
    mixed = "no" if precision == "fp32" else precision
    on_cpu = not torch.accelerator.is_available()  # by default, Accelerate ignores multiple CPU processes
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=mixed, log_with=list(trackers) or None)
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    return accelerator


def compile_vision(model: EZCLIP, how: Compile) -> None:
    """Compile the vision tower as configured."""
    if how:
        model.vision.compile(mode="reduce-overhead" if how == "graphs" else None)


class Readings:
    """Metrics of steps, read from the device together, because each reading waits for it.

    Args:
        device: of the run; on a CPU nothing waits, so that each step is read.
        every: steps between readings.
    """

    def __init__(self, device: torch.device, every: int):
        self.every = 1 if device.type == "cpu" else every
        self._kept: list[tuple[int, dict[str, Any]]] = []

    def add(self, step: int, values: dict[str, Tensor | float]) -> None:
        """Keep the scalars of a step."""
        self._kept.append((step, {name: v.detach() if isinstance(v, Tensor) else v for name, v in values.items()}))

    def due(self, step: int) -> bool:
        """Whether the metrics are to be read after ``step`` steps."""
        return step % self.every == 0

    def read(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The steps since the last reading, with their metrics."""
        tensors = [v.float() for _, values in self._kept for v in values.values() if isinstance(v, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else [])
        kept, self._kept = self._kept, []
        for step, values in kept:
            yield step, {name: next(numbers) if isinstance(v, Tensor) else v for name, v in values.items()}


def check_finite(step: int, values: Mapping[str, float]) -> None:
    """Stop a run before the state after ``step`` is saved.

    Args:
        step: number of the step.
        values: what was read of it, with "loss" and "gradient_norm".

    Raises:
        ConfigError: either is not finite.
    """
    for name, value in (("loss", values["loss"]), ("gradient", values["gradient_norm"])):
        if not math.isfinite(value):
            raise ConfigError(
                f"The {name} is not finite at step {step}; lower lr, or resume from the last saved state."
            )
