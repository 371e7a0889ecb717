"""Names and folders of the loadable models; reads no weights and does not import torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ezclip.checkpoints.hub import PREFIX, check_hub_name, pull
from ezclip.errors import CheckpointError
from ezclip.files import shipped
from ezclip.text.labels import label_set
from ezclip.types import RIVALS, VARIANTS, Document, NativeMethod, PromptDepth

SCHEMA = 1
CONFIG, ADAPTER, BACKBONE = "config.json", "adapter.safetensors", "backbone.safetensors"
BACKBONE_KEY = "ezclip_backbone"  # in a backbone file's metadata
DEFAULT, BASELINE = "tabletop/ezclip", "tabletop/base"
SHIPPED = ("tabletop/", "wide/")  # how the names of the shipped models, which know drawn scenes only, begin
CLIP_PREFIX, XCLIP_PREFIX, VIDEOPRISM_PREFIX = "clip:", "xclip:", "videoprism:"
FETCHED = (CLIP_PREFIX, XCLIP_PREFIX, VIDEOPRISM_PREFIX)  # models without our config.json
_EXAMPLES = {
    XCLIP_PREFIX: "xclip:microsoft/xclip-base-patch16-zero-shot",
    VIDEOPRISM_PREFIX: "videoprism:google/videoprism-lvt-base-f16r288",
}
ROOT = shipped("checkpoints")


@dataclass(frozen=True)
class ModelConfig:
    """config.json of a model folder."""

    variant: NativeMethod  # "variant" of EZ-CLIP's five, "method" of a rival
    num_frames: int  # T
    prompt_depth: PromptDepth
    backbone: str  # its id
    backbone_sha256: str  # fingerprint of its weights
    preset: str = ""  # training recipe
    text: str = ""  # prompt texts in training, such as "names"
    labels: list[str] = field(default_factory=list)  # training class names
    training: Document = field(default_factory=dict)  # summary of the training run
    metrics: dict[str, float] = field(default_factory=dict)  # measured at the end of training
    source: str = ""  # official file it was converted from
    openai: str = ""  # comparison of the backbone with OpenAI's, in words
    settings: dict[str, int] = field(default_factory=dict)  # sizes of a rival's modules


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue, see ``python -m ezclip models``; ``config`` is None for a damaged folder."""

    name: str
    source: str
    bytes: int
    available: bool
    config: ModelConfig | None

    def as_json(self) -> Document:
        """The row of ``ezclip models --json``."""
        variant, T, backbone = "unknown", 0, "unknown"
        if self.config:
            variant, T, backbone = self.config.variant, self.config.num_frames, self.config.backbone
        row = {"name": self.name, "source": self.source, "variant": variant, "T": T, "backbone": backbone}
        return row | {"bytes": self.bytes, "available": self.available}


def roots() -> list[Path]:
    """Folders with models: the shipped one, and checkpoints/ of the current folder."""
    local = Path.cwd() / "checkpoints"
    return list(dict.fromkeys([ROOT, *([local] if local.is_dir() else [])]))


def entries() -> list[Entry]:
    """The models below ``roots``, the shipped ones first; damaged folders are listed as not available."""
    backbones = {backbone_sha256(path) for path in backbone_files()}
    models: dict[str, Entry] = {}
    for root in roots():
        for path in sorted(root.glob(f"*/*/{CONFIG}")) + sorted(root.glob(f"*/{CONFIG}")):
            folder = path.parent
            name = folder.relative_to(root).as_posix()
            size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
            try:
                config = read_config(folder)
                has_backbone = (
                    config.backbone_sha256 in backbones or "/" in config.backbone
                )  # open_clip tags can be downloaded
                available = has_backbone and (folder / ADAPTER).is_file()
            except CheckpointError:
                config, available = None, False
            source = "shipped" if name.startswith(SHIPPED) else "checkpoints"
            models.setdefault(name, Entry(name, source, size, available, config))
    return sorted(models.values(), key=lambda e: (e.source != "shipped", e.name != DEFAULT, e.name))


def adjacent_backbones(folder: Path) -> list[Path]:
    """Backbone files in a model folder and its parent."""
    return [path for path in (folder / BACKBONE, folder.parent / BACKBONE) if path.is_file()]


def backbone_files() -> list[Path]:
    """Backbone files below ``roots``."""
    return [path for root in roots() for path in sorted(root.glob(f"**/{BACKBONE}"))]


def backbone_file(folder: Path, sha256: str) -> Path | None:
    """Find the backbone of a model folder by its fingerprint: in the folder, its parent, or below ``roots``."""
    paths = [*adjacent_backbones(folder), *backbone_files()]
    return next((path for path in paths if backbone_sha256(path) == sha256), None)


def backbone_sha256(path: Path) -> str | None:
    """The fingerprint stored in a backbone file, without reading its weights; None for other files."""
    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {})[BACKBONE_KEY])["sha256"]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def model_folder(name: str) -> Path:
    """The folder of a model name or path; hf:organisation/name is downloaded to the Hub's cache.

    Raises CheckpointError, which lists the available names, if there is no such model.
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


def training_labels(name: str) -> list[str]:
    """The training class names of a model; those of Tabletop Motion if not recorded."""
    labels = [] if name.startswith(FETCHED) else read_config(model_folder(name)).labels
    return labels or label_set("tabletop")


def clip_tag(name: str) -> tuple[str, str]:
    """Parse clip:ARCH/TAG into ARCH and TAG; raises CheckpointError."""
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
    """Read and validate config.json; raises CheckpointError if it is missing, damaged or of another schema."""
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder.name} is not a model folder: it has no {CONFIG}.")
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise CheckpointError(
                f"{folder.name}/{CONFIG} has schema {document['schema']!r}, this version reads {SCHEMA}; update ezclip."
            )
        return _parse(document)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder.name}/{CONFIG} is damaged ({error}); get the folder again.") from error


_TYPES = {
    "num_frames": int,
    "settings": dict,
    "labels": list,
    "training": dict,
    "metrics": dict,
}  # the others are strings


def _parse(document: Document) -> ModelConfig:
    kind = "method" if "method" in document else "variant"
    values: Document = {name: document[name] for name in ("num_frames", "prompt_depth")}
    values["variant"] = document[kind]
    values |= {"backbone": document["backbone"]["id"], "backbone_sha256": document["backbone"]["sha256"]}
    optional = ("preset", "text", "labels", "training", "metrics", "source", "openai", "settings")
    values |= {name: document[name] for name in optional if document.get(name)}
    for name, value in values.items():
        if not isinstance(value, _TYPES.get(name, str)):
            raise TypeError(f"{name} is {value!r}")
    if values["variant"] not in (RIVALS if kind == "method" else VARIANTS):
        raise TypeError(f"{kind} is {values['variant']!r}")
    if not all(isinstance(value, int) for value in values.get("settings", {}).values()):
        raise TypeError(f"settings is {values['settings']!r}")
    return ModelConfig(**values)
