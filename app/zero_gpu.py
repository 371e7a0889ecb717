"""GPU time on a ZeroGPU Space; everywhere else functions stay as they are."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run with a GPU where the package ``spaces`` offers one."""
    return import_module("spaces").GPU(function) if find_spec("spaces") else function
