"""Which models can be loaded and by which names; reads no weights and imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ezclip.checkpoints.hub import PREFIX, check_hub_name, pull
from ezclip.errors import CheckpointError
from ezclip.text.labels import label_set
from ezclip.types import VARIANTS

SCHEMA = 1
CONFIG, ADAPTER, BACKBONE = "config.json", "adapter.safetensors", "backbone.safetensors"
DEFAULT, BASELINE = "tabletop/ezclip", "tabletop/base"
ROOT = Path(__file__).resolve().parents[2] / "checkpoints"


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue, see ``python -m ezclip models``."""

    name: str
    source: str
    variant: str
    num_frames: int
    backbone: str
    bytes: int
    available: bool
    config: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The public row."""
        return {
            "name": self.name,
            "source": self.source,
            "variant": self.variant,
            "T": self.num_frames,
            "backbone": self.backbone,
            "bytes": self.bytes,
            "available": self.available,
        }


def entries() -> list[Entry]:
    """The model folders under checkpoints/, the shipped ones first; damaged folders are listed as not available."""
    found = []
    for config in sorted(ROOT.glob(f"*/*/{CONFIG}")) + sorted(ROOT.glob(f"*/{CONFIG}")):
        folder = config.parent
        name = folder.relative_to(ROOT).as_posix()
        size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        try:
            described = read_config(folder)
        except CheckpointError:
            found.append(Entry(name, "checkpoints", "unknown", 0, "unknown", size, False, {}))
            continue
        at_hand = any(ROOT.glob(f"**/{BACKBONE}"))
        backbone = described["backbone"]["id"]
        found.append(
            Entry(
                name,
                "shipped" if name.startswith("tabletop/") else "checkpoints",
                described["variant"],
                described["num_frames"],
                backbone,
                size,
                (folder / ADAPTER).is_file() and (at_hand or "/" in backbone),
                described,
            )
        )
    return sorted(found, key=lambda e: (e.source != "shipped", e.name != DEFAULT, e.name))


def model_folder(name: str) -> Path:
    """The folder that a model name or path means; hf:organisation/name is downloaded into the Hub's cache.

    Raises:
        CheckpointError: none; lists the names that exist.
    """
    if name.startswith(PREFIX):
        return pull(name, (CONFIG, ADAPTER), (BACKBONE,))
    for folder in (ROOT / name, Path(name)):
        try:
            if (folder / CONFIG).is_file():
                return folder
        except (OSError, ValueError):  # a name that no file can have
            break
    known = ", ".join(e.name for e in entries()) or "none yet"
    raise CheckpointError(
        f"There is no model {name!r}. Known names: {known}. Also accepted: a folder with {CONFIG}, or "
        "clip:ARCH/TAG such as clip:ViT-B-16-quickgelu/openai, or hf:organisation/name."
    )


def own_labels(name: str) -> list[str]:
    """The class names that a model was trained on, those of Tabletop Motion if it does not say."""
    return trained_labels(name) or label_set("tabletop")


def trained_labels(name: str) -> list[str]:
    """The class names that a model was trained on; empty if it does not say."""
    return [] if name.startswith("clip:") else read_config(model_folder(name)).get("labels") or []


def check_model_name(name: str) -> None:
    """Refuse a model that cannot be meant, without loading anything."""
    if name.startswith("clip:"):
        arch, separator, tag = name.removeprefix("clip:").partition("/")
        if not (separator and arch and tag):
            raise CheckpointError(f"{name!r} is not clip:ARCH/TAG, for example clip:ViT-B-16-quickgelu/openai.")
        return
    if name.startswith(PREFIX):
        check_hub_name(name)
        return
    model_folder(name)


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.json of a model folder, its required entries checked.

    Raises:
        CheckpointError: not a model folder, or of a schema that this version does not know.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder.name} is not a model folder: it has no {CONFIG}.")
    try:
        config = json.loads(path.read_text())
        if config["schema"] != SCHEMA:
            raise CheckpointError(
                f"{folder.name}/{CONFIG} has schema {config['schema']!r}, this version reads {SCHEMA}; update ezclip."
            )
        if not all(isinstance(config["backbone"][k], str) for k in ("id", "sha256")):
            raise TypeError
        if not isinstance(config["num_frames"], int) or not isinstance(config["prompt_depth"], str):
            raise TypeError
        if config["variant"] not in VARIANTS or not isinstance(config.get("training", {}), dict):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder.name}/{CONFIG} is damaged ({error}); get the folder again.") from error
    return config
