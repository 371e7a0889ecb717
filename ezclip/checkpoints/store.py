"""Our checkpoint format: a folder with config.json and adapter.safetensors, and a separate backbone file.

EZ-CLIP's adapters are stored in float32, backbones and rivals in half precision; all are loaded as float32. Writing is
atomic, loading is strict.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, BACKBONE_KEY, CONFIG, SCHEMA, backbone_file, read_config
from ezclip.errors import CheckpointError
from ezclip.files import write_atomically, write_json
from ezclip.model.backbone import Backbone, build_backbone, copy_strictly, fingerprint, load_open_clip
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival
from ezclip.types import RIVALS, Document

FINGERPRINT = "fingerprint"  # metadata key of adapter files; absent in files of earlier versions


def _save(state: Mapping[str, Tensor], path: Path, metadata: dict[str, str], dtype: torch.dtype) -> None:
    tensors = {k: v.detach().to("cpu", dtype).contiguous().clone() for k, v in state.items()}

    def write(target: Path) -> None:
        try:
            save_file(tensors, target, metadata)  # at most one key: their order in the file is random
        except SafetensorError as error:
            raise OSError(errno.ENOSPC, str(error)) from error  # the only possible failure for these tensors

    write_atomically(path, write)


def save_backbone(backbone: Backbone, path: str | Path) -> None:
    """Write all weights with their configuration to a self-contained file."""
    description = {"id": backbone.id, "config": backbone.config, "sha256": backbone.sha256}
    _save(backbone.clip.state_dict(), Path(path), {BACKBONE_KEY: json.dumps(description)}, torch.float16)


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str], torch.dtype]:
    """The tensors as float32, the metadata, and the highest precision in the file."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is not a readable safetensors file ({type(error).__name__}). Only safetensors are loaded; "
            "the official release's .pt files go through `python -m ezclip convert`."
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float16, torch.float32):
            dtype_name = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(f"{name} in {path.name} is {dtype_name}; weights must be float16 or float32.")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    dtype = torch.float32 if torch.float32 in dtypes else torch.float16
    return {k: tensor.float() for k, tensor in tensors.items()}, metadata, dtype


def load_backbone(path: str | Path) -> Backbone:
    """Load a file written by ``save_backbone`` and verify its weights against the stored fingerprint.

    Raises:
        CheckpointError: not a backbone file, or the fingerprint does not match.
    """
    path = Path(path)
    state, metadata, _ = _read_tensors(path)
    if BACKBONE_KEY not in metadata:
        raise CheckpointError(f"{path.name} holds no backbone of this project; make one with convert or pretrain.")
    try:
        description = json.loads(metadata[BACKBONE_KEY])
        id, config, sha256 = description["id"], description["config"], description["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The description inside {path.name} is damaged; get the file again.") from error
    backbone = build_backbone(id, config, state)
    if backbone.sha256 != sha256:
        raise CheckpointError(f"The weights in {path.name} do not match its fingerprint; get the file again.")
    return backbone


def save_model(model: EZCLIP, backbone: Backbone, folder: str | Path, *, summary: Document) -> None:
    """Write config.json, including the entries of ``summary``, and the added parameters as adapter.safetensors.

    The backbone is saved separately with ``save_backbone``.
    """
    folder = Path(folder)
    depth = "none"
    if prompts := [name for name in model.added_parameters() if name.endswith("prompt.embedding")]:
        depth = "deep" if len(prompts) == len(model.vision.blocks) else "shallow"
    config = {
        "schema": SCHEMA,
        ("method" if model.variant in RIVALS else "variant"): model.variant,
        "num_frames": model.num_frames,
        "prompt_depth": depth,
        "backbone": {"id": backbone.id, "sha256": backbone.sha256},
        **({"settings": model.settings} if model.settings else {}),
        **summary,
    }
    added, dtype = dict(model.added_parameters()), torch.float16 if model.variant in RIVALS else torch.float32
    _save(added, folder / ADAPTER, {FINGERPRINT: fingerprint(added, dtype)}, dtype)
    write_json(folder / CONFIG, config)


def assemble(folder: str | Path, backbone: Backbone) -> EZCLIP:
    """Build the model of ``folder`` on ``backbone``, float32, in evaluation mode.

    Raises:
        CheckpointError: not the backbone it was trained on, or mismatched tensors.
    """
    folder = Path(folder)
    config = read_config(folder)
    if backbone.sha256 != config.backbone_sha256:
        raise CheckpointError(
            f"{folder.name} was trained on backbone {config.backbone} ({config.backbone_sha256[:12]}), but "
            f"{backbone.id} ({backbone.sha256[:12]}) was given."
        )
    match config.variant:
        case "vificlip" | "actionclip" | "a5" | "xclip" | "mote":
            model = build_rival(config.variant, backbone, config.num_frames, config.settings)
        case variant:
            model = build_ezclip(backbone, variant, num_frames=config.num_frames, prompt_depth=config.prompt_depth)
    copy_adapter(model, folder)
    return model.eval()


def copy_adapter(model: EZCLIP, folder: str | Path) -> None:
    """Copy the tensors of a model folder's adapter file into ``model``.

    Raises:
        CheckpointError: the architectures differ, or the file is damaged.
    """
    folder = Path(folder)
    state, metadata, dtype = _read_tensors(folder / ADAPTER)
    copy_strictly(model.added_parameters(), state, f"{folder.name}/{ADAPTER}")
    if FINGERPRINT in metadata and metadata[FINGERPRINT] != fingerprint(state, dtype):
        raise CheckpointError(f"The weights of {folder.name} do not match their fingerprint; get the files again.")


def find_backbone(folder: Path) -> Backbone:
    """Load the backbone of a model folder: from the folder, its parent, the catalogue, or open_clip.

    Raises:
        CheckpointError: not found.
    """
    config = read_config(folder)
    if path := backbone_file(folder, config.backbone_sha256):
        return load_backbone(path)
    arch, _, tag = config.backbone.partition("/")
    if tag:
        return load_open_clip(arch, tag)
    raise CheckpointError(
        f"The backbone {config.backbone} ({config.backbone_sha256[:12]}) of {folder.name} was not found: put its "
        f"{BACKBONE} into the model's folder, the folder above, or a folder of checkpoints/."
    )
