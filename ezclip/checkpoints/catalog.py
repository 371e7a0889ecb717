"""The models that can be loaded and their names; reads no weights and imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ezclip.checkpoints.hub import PREFIX, check_hub_name, pull
from ezclip.errors import CheckpointError
from ezclip.files import shipped
from ezclip.text.labels import label_set
from ezclip.types import RIVALS, VARIANTS, Built, Document, PromptDepth

SCHEMA = 1
CONFIG, ADAPTER, BACKBONE = "config.json", "adapter.safetensors", "backbone.safetensors"
BACKBONE_KEY = "ezclip_backbone"  # of a backbone file's metadata
DEFAULT, BASELINE = "tabletop/ezclip", "tabletop/base"
CLIP_PREFIX, XCLIP_PREFIX, VIDEOPRISM_PREFIX = "clip:", "xclip:", "videoprism:"
FETCHED = (CLIP_PREFIX, XCLIP_PREFIX, VIDEOPRISM_PREFIX)  # models without a config.json of ours
_EXAMPLES = {
    XCLIP_PREFIX: "xclip:microsoft/xclip-base-patch16-zero-shot",
    VIDEOPRISM_PREFIX: "videoprism:google/videoprism-lvt-base-f16r288",
}
ROOT = shipped("checkpoints")


@dataclass(frozen=True)
class ModelConfig:
    """config.json of a model folder."""

    variant: Built  # "variant" of EZ-CLIP's five, "method" of a rival
    num_frames: int  # T
    prompt_depth: PromptDepth
    backbone: str  # its id
    backbone_sha256: str  # fingerprint of its weights
    preset: str = ""  # recipe of the training
    text: str = ""  # prompt texts of the training, "names" or others
    labels: list[str] = field(default_factory=list)  # class names of the training
    training: Document = field(default_factory=dict)  # its summary
    metrics: dict[str, float] = field(default_factory=dict)  # measured at the end of the training
    source: str = ""  # official file that it was converted from
    openai: str = ""  # whether the backbone is OpenAI's, in words
    settings: dict[str, int] = field(default_factory=dict)  # sizes of a rival's own parts


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue, see ``python -m ezclip models``; ``config`` is None for a damaged folder."""

    name: str
    source: str
    bytes: int
    available: bool
    config: ModelConfig | None

    def as_json(self) -> Document:
        """The public row."""
        variant, T, backbone = "unknown", 0, "unknown"
        if self.config:
            variant, T, backbone = self.config.variant, self.config.num_frames, self.config.backbone
        row = {"name": self.name, "source": self.source, "variant": variant, "T": T, "backbone": backbone}
        return row | {"bytes": self.bytes, "available": self.available}


def roots() -> list[Path]:
    """Folders of models: the shipped one, and checkpoints/ of the current folder."""
    return list(dict.fromkeys([ROOT, *([here] if (here := Path.cwd() / "checkpoints").is_dir() else [])]))


def entries() -> list[Entry]:
    """The models below ``roots``, the shipped ones first; damaged folders are listed as not available."""
    backbones = {backbone_sha256(path) for path in backbone_files()}
    found: dict[str, Entry] = {}
    for root in roots():
        for path in sorted(root.glob(f"*/*/{CONFIG}")) + sorted(root.glob(f"*/{CONFIG}")):
            folder = path.parent
            name = folder.relative_to(root).as_posix()
            size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
            try:
                config = read_config(folder)
                at_hand = config.backbone_sha256 in backbones or "/" in config.backbone  # open_clip downloads a tag
                available = at_hand and (folder / ADAPTER).is_file()
            except CheckpointError:
                config, available = None, False
            source = "shipped" if name.startswith("tabletop/") else "checkpoints"
            found.setdefault(name, Entry(name, source, size, available, config))
    return sorted(found.values(), key=lambda e: (e.source != "shipped", e.name != DEFAULT, e.name))


def backbones_beside(folder: Path) -> list[Path]:
    """Backbone files in a model folder and in the folder above."""
    return [path for path in (folder / BACKBONE, folder.parent / BACKBONE) if path.is_file()]


def backbone_files() -> list[Path]:
    """Backbone files below ``roots``."""
    return [path for root in roots() for path in sorted(root.glob(f"**/{BACKBONE}"))]


def backbone_file(folder: Path, sha256: str) -> Path | None:
    """The backbone of a model folder by its fingerprint: in the folder, above it, or below ``roots``."""
    paths = [*backbones_beside(folder), *backbone_files()]
    return next((path for path in paths if backbone_sha256(path) == sha256), None)


def backbone_sha256(path: Path) -> str | None:
    """The fingerprint stored in a backbone file, without reading its weights; None if it is not one."""
    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {})[BACKBONE_KEY])["sha256"]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def model_folder(name: str) -> Path:
    """The folder of a model name or path; hf:organisation/name is downloaded into the Hub's cache.

    Raises CheckpointError, which lists the available names, where there is no such model.
    """
    if name.startswith(PREFIX):
        return pull(name, (CONFIG, ADAPTER), (BACKBONE,))
    for folder in (*(root / name for root in roots()), Path(name)):
        try:
            if (folder / CONFIG).is_file():
                return folder
        except (OSError, ValueError):  # not a valid path
            break
    known = ", ".join(e.name for e in entries()) or "none yet"
    raise CheckpointError(
        f"There is no model {name!r}. Known names: {known}. Also accepted: a folder with {CONFIG}, or "
        "clip:ARCH/TAG such as clip:ViT-B-16-quickgelu/openai, or hf:organisation/name. `ezclip models --all` lists "
        "what can be fetched."
    )


def own_labels(name: str) -> list[str]:
    """The class names that a model was trained on, those of Tabletop Motion if they are not recorded."""
    labels = [] if name.startswith(FETCHED) else read_config(model_folder(name)).labels
    return labels or label_set("tabletop")


def clip_tag(name: str) -> tuple[str, str]:
    """ARCH and TAG of clip:ARCH/TAG, or CheckpointError."""
    arch, _, tag = name.removeprefix(CLIP_PREFIX).partition("/")
    if not (arch and tag):
        raise CheckpointError(f"{name!r} is not clip:ARCH/TAG, for example clip:ViT-B-16-quickgelu/openai.")
    return arch, tag


def check_model_name(name: str) -> None:
    """Raise CheckpointError for an invalid model name, without loading anything."""
    if name.startswith(CLIP_PREFIX):
        clip_tag(name)
    elif name.startswith(tuple(_EXAMPLES)):
        if name in _EXAMPLES:
            raise CheckpointError(f"{name!r} is not {name}ORGANISATION/NAME, for example {_EXAMPLES[name]}.")
    elif name.startswith(PREFIX):
        check_hub_name(name)
    else:
        model_folder(name)


def read_config(folder: str | Path) -> ModelConfig:
    """The checked config.json; raises CheckpointError for no model folder, a damaged one, or another schema."""
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder.name} is not a model folder: it has no {CONFIG}.")
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["schema"] != SCHEMA:
            raise CheckpointError(
                f"{folder.name}/{CONFIG} has schema {found['schema']!r}, this version reads {SCHEMA}; update ezclip."
            )
        return _parse(found)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder.name}/{CONFIG} is damaged ({error}); get the folder again.") from error


_KINDS = {
    "num_frames": int,
    "settings": dict,
    "labels": list,
    "training": dict,
    "metrics": dict,
}  # the other entries are text


def _parse(found: Document) -> ModelConfig:
    values: Document = {name: found[name] for name in ("num_frames", "prompt_depth")}
    values["variant"] = found["method"] if "method" in found else found["variant"]
    values |= {"backbone": found["backbone"]["id"], "backbone_sha256": found["backbone"]["sha256"]}
    optional = ("preset", "text", "labels", "training", "metrics", "source", "openai", "settings")
    values |= {name: found[name] for name in optional if found.get(name)}
    for name, value in values.items():
        if not isinstance(value, _KINDS.get(name, str)):
            raise TypeError(f"{name} is {value!r}")
    if values["variant"] not in (RIVALS if "method" in found else VARIANTS):
        raise TypeError(f"{'method' if 'method' in found else 'variant'} is {values['variant']!r}")
    if not all(isinstance(value, int) for value in values.get("settings", {}).values()):
        raise TypeError(f"settings is {values['settings']!r}")
    return ModelConfig(**values)
