"""GPU time on a ZeroGPU Space; everywhere else functions stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


try:
    from spaces import GPU as on_gpu  # type: ignore[import-not-found]
except ImportError:
    on_gpu = _unchanged
