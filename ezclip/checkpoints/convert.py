"""Reads and writes the official EZ-CLIP and T2L ``.pt`` files.

They contain OpenAI's CLIP names plus ``Adapter`` and ``T_prompt_embeddings``.
Everything about the model is inferred from the tensors: widths, depth, heads (width / 64), patch, image size, T, kind
of prompts, vocabulary. The release's MLPs use QuickGELU, its adapters GELU.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, CONFIG, backbone_files, backbone_sha256, roots
from ezclip.checkpoints.layouts import TITLES, Layout, read_layout
from ezclip.checkpoints.store import assemble, find_backbone, save_backbone, save_model
from ezclip.errors import CheckpointError
from ezclip.files import write_atomically
from ezclip.model.backbone import Backbone, build_backbone, copy_strictly, load_open_clip
from ezclip.model.builders import MAX_FRAMES, build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.types import Document, PromptDepth, Variant

_ADAPTER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.Adapter\.D_fc([12])\.(weight|bias)")
_PROMPTS = "visual.transformer.T_prompt_embeddings"
_TEMPORAL = "visual.temporal_embedding"
_OPENAI_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def load_official(path: str | Path) -> EZCLIP:
    """Build the model of an official file.

    Args:
        path: a file of the release: {"model_state_dict": ...} or a bare state dict, with or without "module." in front
            of the names, half and float mixed.

    Returns:
        A float32 EZCLIP in evaluation mode. Its variant is "ezclip" with prompts, "base" with adapters alone and
        "clip" with neither: the file does not say whether the motion loss was used.

    Raises:
        CheckpointError: not a readable file, or tensors that are missing, unknown or of unexpected shapes.
    """
    return build_official(read_official(path), Path(path).name)[0]


def read_official(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file of EZ-CLIP, T2L or plain CLIP by their release names, float32.

    Raises CheckpointError as ``read_layout`` does, and for another method's file.
    """
    return _own(read_layout(path)).state


def _own(layout: Layout) -> Layout:
    if layout.method not in ("ezclip", "clip"):
        raise CheckpointError(
            f"{layout.name} is {TITLES[layout.method]} checkpoint, not one of EZ-CLIP; its method is not supported."
        )
    return layout


def build_official(state: dict[str, Tensor], name: str) -> tuple[EZCLIP, Backbone, dict[str, Any]]:
    """The model of ``state``, its backbone, and the JSON-ready description that ``ezclip convert`` prints.

    Raises CheckpointError as ``load_official`` does.
    """
    state = dict(state)
    added = {k: state.pop(k) for k in list(state) if k in (_PROMPTS, _TEMPORAL) or ".Adapter." in k}
    try:
        config, layers = _infer_config(state, name)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise CheckpointError(f"{name} has tensors of unexpected shapes; give a file of the release.") from error
    backbone = build_backbone(f"official {Path(name).stem}", config, state)

    temporal = added.pop(_TEMPORAL, None)
    if temporal is not None and temporal.abs().max() > 0:
        raise CheckpointError(
            f"{name} has a temporal embedding that is not zero. The release keeps it at zero and EZ-CLIP has no such "
            "part, so this file would not be reproduced."
        )
    prompts = added.pop(_PROMPTS, None)
    if any(t is not None and t.ndim != 3 for t in (prompts, temporal)):
        raise CheckpointError(f"{name} has prompts that are not (layers, T, width); give a file of the release.")
    T = len(prompts[0]) if prompts is not None else temporal.shape[1] if temporal is not None else 8
    depth: PromptDepth = "none" if prompts is None else "deep" if len(prompts) == layers else "shallow"
    if prompts is not None and len(prompts) not in (1, layers):
        raise CheckpointError(f"{name} has prompts for {len(prompts)} layers; expected 1 or {layers}.")
    variant: Variant = "ezclip" if prompts is not None else "base" if added else "clip"
    model = build_ezclip(backbone, variant, num_frames=T, prompt_depth=depth).eval()

    ours = dict(model.state_dict())
    for k, embedding in enumerate(prompts if prompts is not None else []):
        ours[f"vision.blocks.{k}.prompt.embedding"] = embedding
    seen = {name for name, _ in model.named_parameters() if ".adapter." in name}
    for key, tensor in added.items():
        match = _ADAPTER.fullmatch(key)
        if match is None:
            raise CheckpointError(f"{name} holds an unknown tensor {key}; give a file of the EZ-CLIP or T2L release.")
        tower = "vision" if match[1] else "text"
        target = f"{tower}.blocks.{match[2]}.adapter.{'down' if match[3] == '1' else 'up'}.{match[4]}"
        ours[target] = tensor
        seen.discard(target)
    if seen:
        raise CheckpointError(f"{name}: {len(seen)} adapter tensors missing, first {min(seen)}.")
    copy_strictly(model.state_dict(), ours, name)
    found = {
        "variant": variant,
        "T": T,
        "prompts": depth,
        "width": config["vision_cfg"]["width"],
        "layers": layers,
        "patch": config["vision_cfg"]["patch_size"],
        "image_size": config["vision_cfg"]["image_size"],
        "trainable": sum(p.numel() for p in model.trainable().values()),
    }
    return model, backbone, found


def _infer_config(state: dict[str, Tensor], name: str) -> tuple[dict[str, Any], int]:
    """open_clip's configuration and the number of vision layers, inferred from the backbone's tensors."""

    def shape(key: str) -> torch.Size:
        if key not in state:
            raise CheckpointError(f"{name} has no tensor {key}; give a file of the EZ-CLIP or T2L release.")
        return state[key].shape

    def layers(prefix: str) -> int:
        pattern = re.compile(re.escape(prefix) + r"transformer\.resblocks\.(\d+)\.")
        return 1 + max((int(m[1]) for k in state if (m := pattern.match(k))), default=-1)

    width, _, patch, _ = shape("visual.conv1.weight")
    grid = round((shape("visual.positional_embedding")[0] - 1) ** 0.5)
    vocab_size, text_width = shape("token_embedding.weight")
    config = {
        "embed_dim": shape("text_projection")[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": grid * patch,
            "layers": layers("visual."),
            "width": width,
            "head_width": 64,
            "patch_size": patch,
        },
        "text_cfg": {
            "context_length": shape("positional_embedding")[0],
            "vocab_size": vocab_size,
            "width": text_width,
            "heads": text_width // 64,
            "layers": layers(""),
        },
    }
    return config, config["vision_cfg"]["layers"]


def convert(official: str | Path, out: str | Path, *, num_frames: int | None = None) -> Document:
    """Write an official file as a model folder; inside checkpoints/, an existing backbone is not written again.

    The release trained with a description of each class: "trained" texts are those of ``text.descriptions``.
    With another T, ``num_frames`` (1 to 64), the prompts are interpolated linearly between segment centres.

    Returns:
        What was found: variant, T, prompts, width, layers, patch, image_size, trainable, files. config.json also says
        under "openai" whether the backbone is OpenAI's.
    """
    name, out = Path(official).name, Path(out)
    state = read_official(official)
    if num_frames is not None and _PROMPTS in state:
        state[_PROMPTS] = interpolate_prompts(state[_PROMPTS], num_frames)
    model, backbone, found = build_official(state, name)
    files = [out / CONFIG, out / ADAPTER]
    inside = any(out.resolve().is_relative_to(root.resolve()) for root in roots())  # others are self-contained
    if not inside or backbone.sha256 not in map(backbone_sha256, backbone_files()):
        save_backbone(backbone, out / BACKBONE)
        files.append(out / BACKBONE)
    summary = {"preset": "released", "text": "descriptions", "source": name, "openai": compare_with_openai(backbone)}
    save_model(model, backbone, out, summary=summary)
    return found | {"files": [str(f) for f in files]}


def compare_with_openai(backbone: Backbone) -> str:
    """Whether the weights equal OpenAI's of the same sizes, by their fingerprints, in words; nothing is downloaded."""
    listed = [arch for arch, tag in open_clip.list_pretrained() if tag == "openai"]
    arch = next((arch for arch in listed if _sizes(open_clip.get_model_config(arch)) == _sizes(backbone.config)), None)
    if arch is None:
        return "of other sizes than OpenAI's"
    if not _at_hand(arch):
        return f"not compared: OpenAI's {arch} is not on this machine"
    same = load_open_clip(arch, "openai").sha256 == backbone.sha256
    return f"{'equal' if same else 'not equal'} to OpenAI's {arch}"


def _sizes(config: dict[str, Any] | None) -> list[object]:
    if config is None:
        return []
    image, text = config["vision_cfg"], config["text_cfg"]
    told = [image.get(key) for key in ("image_size", "width", "layers", "patch_size")]
    told += [text.get(key) for key in ("width", "layers", "vocab_size")]
    return [config["embed_dim"], config.get("quick_gelu", False), *told]


def _at_hand(arch: str) -> bool:
    config = open_clip.get_pretrained_cfg(arch, "openai")
    if "file" in config:
        return Path(config["file"]).is_file()
    repo = config.get("hf_hub", "").strip("/")
    return bool(repo) and any(isinstance(try_to_load_from_cache(repo, name), str) for name in _OPENAI_FILES)


def interpolate_prompts(prompts: Tensor, num_frames: int) -> Tensor:
    """Prompts (K, T, D) for another number of frames, (K, num_frames, D), linear between segment centres.

    Not part of the paper: with another number of frames the trained model is only approximated. Raises CheckpointError
    for a number of frames outside 1 to 64.
    """
    if not 1 <= num_frames <= MAX_FRAMES:
        raise CheckpointError(f"T is {num_frames}; it must be between 1 and {MAX_FRAMES}.")
    return F.interpolate(prompts.transpose(1, 2), size=num_frames, mode="linear").transpose(1, 2).contiguous()


def export_official(folder: str | Path, out: str | Path) -> Document:
    """Write a model folder as a file in the release's layout, float32, for use with the release's code.

    Raises CheckpointError for a backbone that was not found, or is not one that the release's code can build.
    """
    folder, out = Path(folder), Path(out)
    backbone = find_backbone(folder)
    model = assemble(folder, backbone)
    state = {name: tensor.float() for name, tensor in backbone.clip.state_dict().items()}
    width = model.vision.class_embedding.shape[0]
    state[_TEMPORAL] = torch.zeros(1, model.num_frames, width)  # the release's code has it but never uses it
    prompts = []
    for name, tensor in model.trainable().items():
        tower, _, number, part, *rest = name.split(".")
        if part == "prompt":
            prompts.append(tensor.detach().float())
            continue
        prefix = "visual." if tower == "vision" else ""
        kind = {"down": "D_fc1", "up": "D_fc2"}[rest[0]]
        state[f"{prefix}transformer.resblocks.{number}.Adapter.{kind}.{rest[1]}"] = tensor.detach().float()
    if prompts:
        state[_PROMPTS] = torch.stack(prompts)
    build_official(dict(state), out.name)  # what cannot be read back is not written
    write_atomically(out, lambda path: torch.save({"model_state_dict": state}, path))
    return {"variant": model.variant, "T": model.num_frames, "tensors": len(state), "files": [str(out)]}
