"""What made a result: models with their hashes, and versions."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from ezclip import __version__
from ezclip.checkpoints.catalog import ADAPTER, model_folder, read_config
from ezclip.checkpoints.files import sha256_of
from ezclip.data.manifest import Row
from ezclip.evaluation.cards import what_they_know


def card(models: list[str]) -> dict[str, str]:
    """Names and values for a provenance card.

    Args:
        models: names that ``load_model`` takes.

    Returns:
        One entry a model (variant, T, preset, texts, hashes of weights), what the small ones know, and the versions.
    """
    told = {f"model {name}": _model(name) for name in dict.fromkeys(models)}
    told |= {"what they know": limits} if (limits := what_they_know(models)) else {}
    return told | {
        "versions": f"ezclip {__version__}, torch {version('torch')}, open_clip {version('open_clip_torch')}"
    }


def command_line(verb: str) -> str:
    """The command that runs now, without the folders of absolute paths."""
    told = [Path(a).name if Path(a).is_absolute() else a for a in sys.argv[2:]]
    return f"python -m ezclip {verb} {shlex.join(told)}"


def adapter_digest(name: str) -> str:
    """First 12 hexadecimal digits of the hash of a model's adapter file, or "none"."""
    adapter = model_folder(name) / ADAPTER
    return sha256_of(adapter)[:12] if adapter.is_file() else "none"


def weights(name: str) -> str:
    """What a model's embeddings depend on: hashes of its adapter and backbone, or the name of a plain CLIP."""
    if name.startswith("clip:"):
        return name
    return f"adapter {adapter_digest(name)}, backbone {read_config(model_folder(name))['backbone']['sha256'][:12]}"


def digest_of(rows: Iterable[Row]) -> str:
    """First 12 hexadecimal digits of the hash of a list's paths and labels, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.path}\t{row.label}\n".encode())
    return digest.hexdigest()[:12]


def _model(name: str) -> str:
    if name.startswith("clip:"):
        return "plain CLIP, nothing added"
    config = read_config(model_folder(name))
    backbone = f"{config['backbone']['id']} sha256 {config['backbone']['sha256'][:12]}"
    return (
        f"{config['variant']}, T = {config['num_frames']}, preset {config.get('preset', 'unknown')}, texts "
        f"{config.get('text', 'unknown')}, adapter sha256 {adapter_digest(name)}, backbone {backbone}"
    )
