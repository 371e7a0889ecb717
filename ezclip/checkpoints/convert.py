"""Converts the official ``.pt`` files of EZ-CLIP, T2L and rival methods, and exports those of EZ-CLIP.

Files of EZ-CLIP and T2L contain OpenAI's CLIP names plus ``Adapter`` and ``T_prompt_embeddings``. The architecture is
inferred from the tensors: widths, depth, heads (width / 64), patch and image size, T, kind of prompts, vocabulary. The
release's MLPs use QuickGELU, its adapters GELU.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, CONFIG, backbone_files, backbone_sha256, read_config, roots
from ezclip.checkpoints.layouts import TITLES, Layout, infer_config, read_layout
from ezclip.checkpoints.load import resolve_backbone
from ezclip.checkpoints.rivals import TEXTS, build_from_layout
from ezclip.checkpoints.store import assemble, find_backbone, save_backbone, save_model
from ezclip.errors import CheckpointError
from ezclip.files import write_atomically
from ezclip.model.backbone import Backbone, build_backbone, copy_strictly, load_open_clip
from ezclip.model.builders import MAX_FRAMES, build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.types import RIVALS, Document, PromptDepth, Variant

_ADAPTER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.Adapter\.D_fc([12])\.(weight|bias)")
_PROMPTS = "visual.transformer.T_prompt_embeddings"
_TEMPORAL = "visual.temporal_embedding"
_OPENAI_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def load_official(path: str | Path) -> EZCLIP:
    """Build the model of an official file.

    Args:
        path: a file of the release: {"model_state_dict": ...} or a bare state dict, with or without the prefix
            "module.", in any mix of half and single precision.

    Returns:
        A float32 EZCLIP in evaluation mode. Its variant is "ezclip" with prompts, "base" with adapters only and "clip"
        with neither: the file does not record whether the motion loss was used.

    Raises:
        CheckpointError: not a readable file, or tensors that are missing, unknown or of unexpected shapes.
    """
    return build_official(read_official(path), Path(path).name)[0]


def read_official(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of an EZ-CLIP, T2L or plain CLIP file by their release names, float32.

    Raises CheckpointError like ``read_layout``, and for files of other methods.
    """
    return _check_ezclip(read_layout(path)).state


def _check_ezclip(layout: Layout) -> Layout:
    if layout.method not in ("ezclip", "clip"):
        raise CheckpointError(
            f"{layout.name} is {TITLES[layout.method]} checkpoint; make a model of it with ezclip convert."
        )
    return layout


def build_official(state: dict[str, Tensor], name: str) -> tuple[EZCLIP, Backbone, dict[str, Any]]:
    """Build the model of ``state``; returns it with its backbone and the description printed by ``ezclip convert``.

    Raises CheckpointError like ``load_official``.
    """
    state = dict(state)
    added = {k: state.pop(k) for k in list(state) if k in (_PROMPTS, _TEMPORAL) or ".Adapter." in k}
    try:
        config, layers = infer_config(state, name)
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

    new_state = dict(model.state_dict())
    for k, embedding in enumerate(prompts if prompts is not None else []):
        new_state[f"vision.blocks.{k}.prompt.embedding"] = embedding
    missing = {name for name, _ in model.named_parameters() if ".adapter." in name}
    for key, tensor in added.items():
        match = _ADAPTER.fullmatch(key)
        if match is None:
            raise CheckpointError(f"{name} holds an unknown tensor {key}; give a file of the EZ-CLIP or T2L release.")
        tower = "vision" if match[1] else "text"
        target = f"{tower}.blocks.{match[2]}.adapter.{'down' if match[3] == '1' else 'up'}.{match[4]}"
        new_state[target] = tensor
        missing.discard(target)
    if missing:
        raise CheckpointError(f"{name}: {len(missing)} adapter tensors missing, first {min(missing)}.")
    copy_strictly(model.state_dict(), new_state, name)
    description = {
        "variant": variant,
        "T": T,
        "prompts": depth,
        "width": config["vision_cfg"]["width"],
        "layers": layers,
        "patch": config["vision_cfg"]["patch_size"],
        "image_size": config["vision_cfg"]["image_size"],
        "trainable": sum(p.numel() for p in model.trainable_parameters().values()),
    }
    return model, backbone, description


def convert(
    official: str | Path,
    out: str | Path,
    *,
    num_frames: int | None = None,
    clip: str | None = None,
    prefix: int = 16,
    postfix: int = 16,
) -> Document:
    """Convert an official file to a model folder; inside checkpoints/, existing backbones are not written again.

    EZ-CLIP and T2L were trained with a description of each class: their "trained" texts are those of
    ``text.descriptions``. For another T, ``num_frames`` (1 to 64), prompts are interpolated linearly between segment
    centres. ActionCLIP, ViFi-CLIP, A5, X-CLIP and MoTE are recognised by their tensors and use their tests' texts.

    Args:
        official: the official file.
        out: the model folder.
        num_frames: T; ActionCLIP's and MoTE's files do not record the T of training, 8 by default.
        clip: the CLIP that a ViFi-CLIP or MoTE was trained from, for its token table or text tower: a folder or file
            with a backbone, or clip:ARCH/TAG; by default OpenAI's of the same sizes, if it is on this machine.
        prefix: number of A5's learned vectors before a class name, not recorded in its files.
        postfix: number of A5's learned vectors after a class name.

    Returns:
        variant, T, prompts, width, layers, patch, image_size, trainable, files; for a rival "method" and "settings"
        instead of variant and prompts. config.json also records under "openai" whether the backbone is OpenAI's.
    """
    name, out = Path(official).name, Path(out)
    layout = read_layout(official)
    if layout.method in TEXTS:
        framing = {"prefix": prefix, "postfix": postfix} if layout.method == "a5" else {}
        load_clip = partial(_clip_tensors, layout, clip)
        model, backbone, description, text = build_from_layout(layout, num_frames=num_frames, clip=load_clip, **framing)
    else:
        state, text = _check_ezclip(layout).state, "descriptions"
        if num_frames is not None and _PROMPTS in state:
            state[_PROMPTS] = interpolate_prompts(state[_PROMPTS], num_frames)
        model, backbone, description = build_official(state, name)
    files = [out / CONFIG, out / ADAPTER]
    inside = any(out.resolve().is_relative_to(root.resolve()) for root in roots())  # other folders are self-contained
    if not inside or backbone.sha256 not in map(backbone_sha256, backbone_files()):
        save_backbone(backbone, out / BACKBONE)
        files.append(out / BACKBONE)
    summary = {"preset": "released", "text": text, "source": name, "openai": compare_with_openai(backbone)}
    save_model(model, backbone, out, summary=summary)
    return description | {"files": [str(f) for f in files]}


# What a method's files lack, and the known sizes of its text tower.
_MISSING_PARTS = {"vificlip": ("token table", ("width", "layers")), "mote": ("text tower", ())}


def _clip_tensors(layout: Layout, clip: str | None, config: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of the CLIP that a rival was trained from; raises CheckpointError if it is not available."""
    if clip is not None:
        state = resolve_backbone(clip).clip.state_dict()
        return {key.removeprefix("text."): tensor for key, tensor in state.items()}
    part, text_keys = _MISSING_PARTS[layout.method]
    arch = _openai_arch(config, text_keys)
    if arch is None or not _is_cached(arch):
        which = f"clip:{arch}/openai" if arch else "the CLIP that it was trained from"
        raise CheckpointError(
            f"{layout.name} is {TITLES[layout.method]} checkpoint, which has no {part}, and OpenAI's is not on "
            f"this machine; give --clip {which}."
        )
    return load_open_clip(arch, "openai").clip.state_dict()


def compare_with_openai(backbone: Backbone) -> str:
    """Compare the weights with OpenAI's of the same sizes, by fingerprint, in words; nothing is downloaded."""
    arch = _openai_arch(backbone.config)
    if arch is None:
        return "of other sizes than OpenAI's"
    if not _is_cached(arch):
        return f"not compared: OpenAI's {arch} is not on this machine"
    equal = load_open_clip(arch, "openai").sha256 == backbone.sha256
    return f"{'equal' if equal else 'not equal'} to OpenAI's {arch}"


def _openai_arch(config: dict[str, Any], text_keys: tuple[str, ...] = ("width", "layers", "vocab_size")) -> str | None:
    """open_clip's name of the OpenAI CLIP with the sizes of ``config``; None if there is none."""

    def sizes(config: dict[str, Any] | None) -> list[object]:
        if config is None:
            return []
        image, text = config["vision_cfg"], config["text_cfg"]
        image_sizes = [image.get(key) for key in ("image_size", "width", "layers", "patch_size")]
        text_sizes = [text.get(key) for key in text_keys]
        return [config["embed_dim"], config.get("quick_gelu", False), *image_sizes, *text_sizes]

    archs = (arch for arch, tag in open_clip.list_pretrained() if tag == "openai")
    return next((arch for arch in archs if sizes(open_clip.get_model_config(arch)) == sizes(config)), None)


def _is_cached(arch: str) -> bool:
    config = open_clip.get_pretrained_cfg(arch, "openai")
    if "file" in config:
        return Path(config["file"]).is_file()
    repo = config.get("hf_hub", "").strip("/")
    return bool(repo) and any(isinstance(try_to_load_from_cache(repo, name), str) for name in _OPENAI_FILES)


def interpolate_prompts(prompts: Tensor, num_frames: int) -> Tensor:
    """Interpolate prompts (K, T, D) to (K, num_frames, D), linearly between segment centres.

    Not in the paper; the result only approximates the trained model. Raises CheckpointError unless ``num_frames`` is
    between 1 and 64.
    """
    if not 1 <= num_frames <= MAX_FRAMES:
        raise CheckpointError(f"T is {num_frames}; it must be between 1 and {MAX_FRAMES}.")
    return F.interpolate(prompts.transpose(1, 2), size=num_frames, mode="linear").transpose(1, 2).contiguous()


def export_official(folder: str | Path, out: str | Path) -> Document:
    """Export a model folder as a float32 file in the release's layout, for use with the release's code.

    Raises CheckpointError if the backbone is not found or not supported by the release's code.
    """
    folder, out = Path(folder), Path(out)
    if (method := read_config(folder).variant) in RIVALS:
        raise CheckpointError(
            f"{folder.name} is of the method {method}; only models of EZ-CLIP can be written as files."
        )
    backbone = find_backbone(folder)
    model = assemble(folder, backbone)
    state = {name: tensor.float() for name, tensor in backbone.clip.state_dict().items()}
    width = model.vision.class_embedding.shape[0]
    state[_TEMPORAL] = torch.zeros(1, model.num_frames, width)  # present but unused in the release's code
    prompts = []
    for name, tensor in model.trainable_parameters().items():
        tower, _, number, part, *rest = name.split(".")
        if part == "prompt":
            prompts.append(tensor.detach().float())
            continue
        prefix = "visual." if tower == "vision" else ""
        layer = {"down": "D_fc1", "up": "D_fc2"}[rest[0]]
        state[f"{prefix}transformer.resblocks.{number}.Adapter.{layer}.{rest[1]}"] = tensor.detach().float()
    if prompts:
        state[_PROMPTS] = torch.stack(prompts)
    build_official(dict(state), out.name)  # raises if the file could not be read back
    write_atomically(out, lambda path: torch.save({"model_state_dict": state}, path))
    return {"variant": model.variant, "T": model.num_frames, "tensors": len(state), "files": [str(out)]}
