"""EZ-CLIP: zero-shot video action recognition with frozen CLIP, adapters, temporal prompts and a motion loss.

This is the public interface; all other modules may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ezclip.api import (
        analyse,
        compare_frames,
        corrupt,
        evaluate,
        explain,
        predict,
        probe_motion,
        score_timeline,
        show,
    )
    from ezclip.checkpoints.load import load_model
    from ezclip.predictor import Predictor

__version__ = "0.3.0"
__all__ = [
    "Predictor",
    "analyse",
    "compare_frames",
    "corrupt",
    "evaluate",
    "explain",
    "load_model",
    "predict",
    "probe_motion",
    "score_timeline",
    "show",
]
_MODULES = {"Predictor": "ezclip.predictor", "load_model": "ezclip.checkpoints.load"}


def __getattr__(name: str) -> Any:
    """Import torch only when a name that needs it is used."""
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "ezclip.api")), name)
    raise AttributeError(f"module 'ezclip' has no attribute {name!r}")
