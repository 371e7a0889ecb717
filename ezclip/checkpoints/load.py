"""Loads models by name, folder or open_clip tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from ezclip.checkpoints.catalog import (
    ADAPTER,
    BACKBONE,
    CLIP_PREFIX,
    VIDEOPRISM_PREFIX,
    XCLIP_PREFIX,
    clip_tag,
    model_folder,
    read_config,
)
from ezclip.checkpoints.identity import Identity
from ezclip.checkpoints.store import assemble, find_backbone, load_backbone
from ezclip.checkpoints.xclip import FILES, fetched_file, load_xclip
from ezclip.files import sha256_of
from ezclip.model.backbone import Backbone, fingerprint, load_open_clip, unsupported
from ezclip.model.builders import build_ezclip
from ezclip.model.framewise import build_framewise
from ezclip.model.interface import VideoText
from ezclip.model.rivals.videoprism import PROMPT, load_videoprism

Model = TypeVar("Model", bound=VideoText)


def load_model(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    backbones: dict[str, Backbone] | None = None,
) -> VideoText:
    """Load a model in evaluation mode.

    Args:
        name: "tabletop/ezclip", another name under checkpoints/, a model folder, "clip:ARCH/TAG",
            "xclip:ORGANISATION/NAME" or "videoprism:ORGANISATION/NAME".
        device: device of the model.
        dtype: dtype of the computation and of all parameters except the logit scale, which stays float32.
        backbones: cache of backbones by fingerprint, which lets models share a backbone in memory; they must have the
            same device and dtype.

    Raises:
        CheckpointError: unknown name, or files that are missing, damaged or inconsistent.
    """
    return load(name, device, dtype, backbones)[0]


def load(
    name: str | Path, device: str | torch.device, dtype: torch.dtype, backbones: dict[str, Backbone] | None
) -> tuple[VideoText, Identity]:
    """Like ``load_model``; also returns the model's identity."""
    name = str(name)
    backbones = {} if backbones is None else backbones
    if name.startswith(CLIP_PREFIX):
        backbone = _cached(name, backbones, lambda: load_open_clip(*clip_tag(name), adaptable=False))
        adaptable = not unsupported(backbone.config)
        model = (build_ezclip(backbone, "clip") if adaptable else build_framewise(backbone)).eval()
        identity = Identity(
            name, backbone=backbone.id, backbone_sha256=backbone.sha256, text="templates", order_blind=True
        )
    elif name.startswith(XCLIP_PREFIX):
        model, backbone, texts = load_xclip(name)
        identity = Identity(name, model.variant, model.num_frames, backbone.id, backbone.sha256, text=texts)
    elif name.startswith(VIDEOPRISM_PREFIX):
        model = load_videoprism(fetched_file(name, FILES[0]).parent, name)
        weights = name.removeprefix(VIDEOPRISM_PREFIX), fingerprint(model.clip.state_dict())
        identity = Identity(name, model.variant, model.num_frames, *weights, text=PROMPT)
    else:
        folder = model_folder(name)
        config = read_config(folder)
        backbone = _cached(config.backbone_sha256, backbones, lambda: find_backbone(folder))
        model = assemble(folder, backbone)
        keys = ("variant", "num_frames", "backbone", "backbone_sha256", "preset")
        identity = Identity(
            name,
            **{key: getattr(config, key) for key in keys},
            adapter_sha256=sha256_of(folder / ADAPTER),
            text=config.text or "templates",
            reading=config.training.get("reading", "released"),
            data=str(config.training.get("data") or ""),
            labels=tuple(config.labels),
            order_blind=model.order_blind,
        )
    return move_model(model, device, dtype), identity


def move_model(model: Model, device: str | torch.device, dtype: torch.dtype) -> Model:
    """Move a model to a device and dtype, except for the logit scale, which stays float32."""
    scale = model.logit_scale.detach().float()
    model = model.to(device=device, dtype=dtype)
    model.logit_scale.data = scale.to(device)  # ln 100 rounded to bfloat16 would make logits 1 % too low
    return model


def _cached(key: str, backbones: dict[str, Backbone], load: Callable[[], Backbone]) -> Backbone:
    if key not in backbones:
        backbones[key] = load()
    return backbones[key]


def resolve_backbone(name: str) -> Backbone:
    """Load a backbone for training: a folder with backbone.safetensors, such a file, or "clip:ARCH/TAG"."""
    if name.startswith(CLIP_PREFIX):
        return load_open_clip(*clip_tag(name))
    path = Path(name)
    return load_backbone(path / BACKBONE if path.is_dir() else path)
