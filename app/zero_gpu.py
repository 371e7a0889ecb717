"""GPU time on a ZeroGPU Space; elsewhere functions are unchanged.

On such a Space each function runs with a GPU in a forked process, for a limited time; changes to memory are lost.
``spaces`` must be imported before CUDA is used, so ``app.py`` imports this module first.
"""

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

ON = bool(os.environ.get("SPACES_ZERO_GPU")) and find_spec("spaces") is not None
_spaces = import_module("spaces") if ON else None
INSTANT, CLIP, LONG = 15, 60, 120  # seconds of GPU for a click on a patch, one clip, and many clips or measurements


def on_gpu(function: Callable[..., Any], seconds: int = CLIP) -> Callable[..., Any]:
    """Wrap a function to run with a GPU for at most ``seconds`` on a ZeroGPU Space."""
    return function if _spaces is None else _spaces.GPU(duration=seconds)(function)
