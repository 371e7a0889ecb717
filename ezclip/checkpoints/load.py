"""Loads models by name, folder or open_clip tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ezclip.checkpoints.catalog import BACKBONE, ROOT, check_model_name, model_folder, read_config
from ezclip.checkpoints.store import assemble, find_backbone, load_backbone
from ezclip.model.backbone import Backbone, load_open_clip
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP


def load_model(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    backbones: dict[str, Backbone] | None = None,
) -> EZCLIP:
    """Load a model in evaluation mode.

    Args:
        name: "tabletop/ezclip", another name under checkpoints/, a model folder, or "clip:ARCH/TAG".
        device: where it goes.
        dtype: of all parameters but the logit scale, which stays float32; the model computes in it.
        backbones: kept by their fingerprint, so that models loaded one after another share one backbone in memory.
            Such models must share device and dtype too.

    Raises:
        CheckpointError: unknown name, or files that are missing, damaged or do not fit together.
    """
    name = str(name)
    check_model_name(name)
    if name.startswith("clip:"):
        arch, _, tag = name.removeprefix("clip:").partition("/")
        backbone = _shared(name, backbones, lambda: load_open_clip(arch, tag))
        model = build_ezclip(backbone, "clip").eval()
    else:
        folder = model_folder(name)
        sha256 = read_config(folder)["backbone"]["sha256"]
        catalogue = sorted(p.parent for p in ROOT.glob(f"**/{BACKBONE}"))
        backbone = _shared(sha256, backbones, lambda: find_backbone(folder, catalogue))
        model = assemble(folder, backbone)
    return placed(model, device, dtype)


def placed(model: EZCLIP, device: str | torch.device, dtype: torch.dtype) -> EZCLIP:
    """Move a model; all parameters get ``dtype`` but the logit scale, which stays float32."""
    scale = model.logit_scale.detach().float()
    model = model.to(device=device, dtype=dtype)
    model.logit_scale.data = scale.to(device)  # ln 100 in bfloat16 would make every logit 1 % too low
    return model


def _shared(key: str, backbones: dict[str, Backbone] | None, load: Callable[[], Backbone]) -> Backbone:
    if backbones is None:
        return load()
    if key not in backbones:
        backbones[key] = load()
    return backbones[key]


def resolve_backbone(name: str) -> Backbone:
    """A backbone for training: a folder with backbone.safetensors, such a file, or "clip:ARCH/TAG"."""
    if name.startswith("clip:"):
        check_model_name(name)
        arch, _, tag = name.removeprefix("clip:").partition("/")
        return load_open_clip(arch, tag)
    path = Path(name)
    return load_backbone(path / BACKBONE if path.is_dir() else path)
