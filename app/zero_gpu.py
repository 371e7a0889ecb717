"""GPU time on a ZeroGPU Space; everywhere else functions stay as they are.

There each function runs in a process forked from this one, with a GPU and for a limited time; nothing that it leaves in
memory comes back. ``spaces`` must be imported before CUDA is used, so that ``app.py`` imports this module first.
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
    """The function, run on a ZeroGPU Space with a GPU for at most ``seconds``."""
    return function if _spaces is None else _spaces.GPU(duration=seconds)(function)
