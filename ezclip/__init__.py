"""EZ-CLIP: zero-shot video action recognition with frozen CLIP, adapters, temporal prompts and a motion loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ezclip.checkpoints.load import load_model
    from ezclip.predictor import Predictor

__version__ = "0.2.0"
__all__ = ["Predictor", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Import torch only when a name that needs it is used."""
    if name == "Predictor":
        from ezclip.predictor import Predictor

        return Predictor
    if name == "load_model":
        from ezclip.checkpoints.load import load_model

        return load_model
    raise AttributeError(f"module 'ezclip' has no attribute {name!r}")
