"""What made a result: models with their hashes, and versions."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from ezclip import __version__
from ezclip.checkpoints.catalog import ADAPTER, model_folder, read_config


def card(models: list[str]) -> dict[str, str]:
    """Names and values for a provenance card.

    Args:
        models: names that ``load_model`` takes.

    Returns:
        One entry a model (variant, T, preset, texts, hashes of weights), and the versions in use.
    """
    told = {f"model {name}": _model(name) for name in dict.fromkeys(models)}
    return told | {
        "versions": f"ezclip {__version__}, torch {version('torch')}, open_clip {version('open_clip_torch')}"
    }


def adapter_digest(name: str) -> str:
    """First 12 hexadecimal digits of the hash of a model's adapter file, or "none"."""
    adapter = model_folder(name) / ADAPTER
    return hashlib.sha256(adapter.read_bytes()).hexdigest()[:12] if adapter.is_file() else "none"


def _model(name: str) -> str:
    if name.startswith("clip:"):
        return "plain CLIP, nothing added"
    config = read_config(model_folder(name))
    backbone = f"{config['backbone']['id']} sha256 {config['backbone']['sha256'][:12]}"
    return (
        f"{config['variant']}, T = {config['num_frames']}, preset {config.get('preset', 'unknown')}, texts "
        f"{config.get('text', 'unknown')}, adapter sha256 {adapter_digest(name)}, backbone {backbone}"
    )
