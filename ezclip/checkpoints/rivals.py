"""Builds ActionCLIP, ViFi-CLIP, A5, X-CLIP and MoTE from their authors' checkpoint files.

Sizes are inferred from the tensors, and every tensor must be used. Exceptions: the trained logit scales of ActionCLIP,
A5 and MoTE, which their tests do not use (they stay in the backbone), and ViFi-CLIP's embedded training class texts,
which only serve to check the token table. MoTE's image tower is the one of its zero-shot tests: 0.99 of the file and
0.01 of the CLIP that provides the text tower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ezclip.checkpoints.layouts import Layout, infer_config
from ezclip.errors import CheckpointError
from ezclip.model.backbone import Backbone, build_backbone, copy_strictly
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival
from ezclip.types import RIVALS, Document, Rival

_TABLE = "token_embedding.weight"
# ViFi-CLIP's embedded training class texts: complete (K, 77, D), or without the learned vectors.
_TRAINING_TEXTS = ["prompt_learner." + name for name in ("complete_text_embeddings", "token_prefix", "token_suffix")]
TEXTS: dict[Rival, str] = {
    "actionclip": "templates",
    "vificlip": "a photo of a {}.",
    "a5": "names",
    "xclip": "names",
    "mote": "names",
}  # prompt texts of the authors' tests


def build_from_layout(
    layout: Layout, *, num_frames: int | None, clip: Callable[[dict[str, Any]], Mapping[str, Tensor]], **framing: int
) -> tuple[EZCLIP, Backbone, Document, str]:
    """Build the model of a rival's file; returns it with its backbone, its description and its prompt texts.

    Args:
        layout: a rival's file.
        num_frames: T if the file does not record it; None uses the recorded value, else 8.
        clip: maps open_clip's configuration to the tensors of the CLIP that training started from, for what the file
            lacks: the token table of ViFi-CLIP, the text tower of MoTE. The configuration may lack sizes of the text.
        framing: A5's "prefix" and "postfix", which its files do not record; 16 each by default.

    Raises:
        CheckpointError: tensors that are missing, unknown or of unexpected shapes.
    """
    state, name = dict(layout.state), layout.name
    method: Rival = next(method for method in RIVALS if method == layout.method)
    recorded_frames, texts = None, TEXTS[method]
    try:
        if method == "actionclip":
            settings, added = _actionclip(dict(layout.fusion))
        elif method == "a5":
            settings, added, recorded_frames = _a5(state, framing)
        elif method == "xclip":
            settings, added, recorded_frames = _xclip(state)
        elif method == "mote":
            settings, added = _mote(dict(layout.fusion))
            state = _mix_with_clip(state, clip, name)
        else:
            settings, added = _vificlip(state)
            recorded_frames = _recorded_frames(layout.config)
            texts = "{}." if settings["text_tokens"] else texts
        for prefix, new in {"clipmodel.": "", "image_encoder.": "visual.", "text_encoder.": ""}.items():
            state = {new + k.removeprefix(prefix) if k.startswith(prefix) else k: t for k, t in state.items()}
        if method == "vificlip":
            training_texts = {key: state.pop(key) for key in _TRAINING_TEXTS if key in state}
            state[_TABLE] = torch.empty(1, len(state["ln_final.weight"]))  # placeholder for ``infer_config``
            state[_TABLE] = clip(infer_config(state, name)[0])[_TABLE]
            _check_table(training_texts, state[_TABLE], name)
        config, layers = infer_config(state, name)
    except (ValueError, IndexError, ZeroDivisionError, TypeError, KeyError) as error:
        raise CheckpointError(f"{name} has tensors of unexpected shapes; give the authors' own file.") from error
    backbone = build_backbone(f"{method} {name.rpartition('.')[0] or name}", config, state)
    if method in ("a5", "xclip") and num_frames not in (None, recorded_frames):
        raise CheckpointError(
            f"{name} has learned positions for T = {recorded_frames} frames; it cannot take {num_frames}."
        )
    model = build_rival(method, backbone, num_frames or recorded_frames or 8, settings).eval()
    copy_strictly(model.added_parameters(), added, name)
    tuned = sum(tensor.numel() for tensor in state.values()) if method != "a5" else 0  # fine-tuned parameters of CLIP
    if method in ("xclip", "mote"):
        tuned = sum(tensor.numel() for key, tensor in state.items() if key.startswith("visual."))
    if method == "mote":  # with its logit scale, and the experts before merging
        fixed = ("spe_cls_feature", "mote_fusion_weight")
        added, tuned = {key: t for key, t in layout.fusion.items() if not key.endswith(fixed)}, tuned + 1
    if method == "vificlip":
        tuned = 0 if added else tuned - state[_TABLE].numel()  # the token table is not trained
    description: Document = {
        "method": method,
        "T": model.num_frames,
        "settings": settings,
        "width": config["vision_cfg"]["width"],
        "layers": layers,
        "patch": config["vision_cfg"]["patch_size"],
        "image_size": config["vision_cfg"]["image_size"],
        "trainable": tuned + sum(tensor.numel() for tensor in added.values()),  # in the authors' training
    }
    return model, backbone, description, texts


def _recorded_frames(config: Mapping[str, Any]) -> int | None:
    """T in a training configuration."""
    data = config.get("DATA")
    num_frames = data.get("NUM_FRAMES") if isinstance(data, dict) else None
    return num_frames if isinstance(num_frames, int) else None


def _blocks(state: dict[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], int]:
    """Pop the tensors below ``prefix`` + "resblocks." from ``state``, renamed to ours; also the number of blocks."""
    start = f"{prefix}resblocks."
    added = {f"temporal.blocks.{k.removeprefix(start)}": state.pop(k) for k in list(state) if k.startswith(start)}
    numbers = [int(match[1]) for key in added if (match := re.match(r"temporal\.blocks\.(\d+)\.", key))]
    return added, 1 + max(numbers, default=-1)


def _actionclip(fusion: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    added, layers = _blocks(fusion, "transformer.")
    positions = fusion.pop("frame_position_embeddings.weight", None)
    if positions is not None:
        added["temporal.positions"] = positions
    return {"positions": 0 if positions is None else len(positions), "layers": layers}, added | fusion


_MOTE_WEIGHT = 0.99  # of MoTE's file in the image tower


def _mix_with_clip(state: dict[str, Tensor], clip: Callable[..., Mapping[str, Tensor]], name: str) -> dict[str, Tensor]:
    """Interpolate MoTE's image tower with CLIP's and add CLIP's text tower."""
    embed, placeholder = state["visual.proj"].shape[1], torch.empty(1, 64)
    text = {_TABLE: placeholder, "positional_embedding": placeholder, "text_projection": torch.empty(64, embed)}
    plain = clip(infer_config(state | text, name)[0])
    image = [key for key in plain if key.startswith("visual.") or key == "logit_scale"]
    copy_strictly({key: torch.empty_like(plain[key]) for key in image}, state, f"{name} compared with this CLIP")
    return {
        key: _MOTE_WEIGHT * state[key] + (1 - _MOTE_WEIGHT) * plain[key] if key in image else plain[key]
        for key in plain
    }


def _mote(fusion: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Merge the experts of each block, weighted by the softmax of their fusion weights."""
    added, layers = _blocks(fusion, "transformer.")
    added["training_texts"] = fusion.pop("spe_cls_feature")
    added["temporal.positions"] = fusion.pop("frame_position_embeddings.weight")
    for k in range(layers):
        mlp = f"temporal.blocks.{k}.mlp."
        weights = added.pop(f"{mlp}mote_fusion_weight").softmax(dim=0)
        for theirs, ours in (("fc_up", "c_fc"), ("fc_dn", "c_proj")):
            for kind in ("weight", "bias"):
                experts = torch.stack([added.pop(f"{mlp}{theirs}.{j}.{kind}") for j in range(len(weights))])
                added[f"{mlp}{ours}.{kind}"] = torch.tensordot(weights, experts, 1)
    sizes = {"positions": len(added["temporal.positions"]), "layers": layers, "classes": len(added["training_texts"])}
    return sizes, added | fusion


def _a5(state: dict[str, Tensor], framing: dict[str, int]) -> tuple[dict[str, int], dict[str, Tensor], int]:
    added, layers = _blocks(state, "temporalModelling.")
    added["temporal.positions"] = state.pop("temporalEmbedding.weight")
    if "embedding.weight" in state:
        added["text.learned"] = state.pop("embedding.weight")
    settings = {"layers": layers, "heads": 8, "prefix": 16, "postfix": 16} | framing
    return settings, added, len(added["temporal.positions"])


_READER = {  # X-CLIP's names of the video-specific prompting -> ours
    "prompts_visual_ln.": "reader.ln.",
    "prompts_visual_proj": "reader.proj",
    "prompts_generator.norm.": "reader.norm.",
    "prompts_generator.alpha": "reader.alpha",
    "prompts_generator.decoder.": "reader.layers.",
    ".cross_attn.proj.": ".out.",
    ".cross_attn.q_proj.": ".q.",
    ".cross_attn.k_proj.": ".k.",
    ".cross_attn.v_proj.": ".v.",
    ".mlp.0.": ".up.",
    ".mlp.3.": ".down.",
}


def _xclip(state: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor], int]:
    added, layers = _blocks(state, "mit.")
    added["temporal.positions"] = state.pop("mit.positional_embedding")[0]
    for key in list(state):
        if match := re.fullmatch(r"visual\.transformer\.resblocks\.(\d+)\.message_(.+)", key):
            added[f"vision.blocks.{match[1]}.prompt.{match[2]}"] = state.pop(key)
        elif key.startswith("prompts_"):
            name = key
            for theirs, ours in _READER.items():
                name = name.replace(theirs, ours)
            added[name] = state.pop(key)
    settings = {"layers": layers, "text_layers": len({key.split(".")[2] for key in added if ".layers." in key})}
    return settings, added, len(added["temporal.positions"])


def _vificlip(state: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    added = {}
    for theirs, ours in (("image_encoder.VPT", "vision.learned"), ("prompt_learner.ctx", "text.learned")):
        if theirs in state:
            added[ours] = state.pop(theirs)
    for key in list(state):
        if match := re.fullmatch(r"(image|text)_encoder\.transformer\.resblocks\.(\d+)\.VPT_shallow", key):
            added[f"{'vision' if match[1] == 'image' else 'text'}.blocks.{match[2]}.learned"] = state.pop(key)
    settings = {}
    for tower in ("vision", "text"):
        tokens = added.get(f"{tower}.learned")
        settings[f"{tower}_tokens"] = 0 if tokens is None else len(tokens)
        settings[f"{tower}_depth"] = 1 + sum(key.startswith(f"{tower}.blocks.") for key in added)
    return settings, added


def _check_table(texts: dict[str, Tensor], table: Tensor, name: str) -> None:
    """Check the token table against the start token of the training class texts."""
    for key in _TRAINING_TEXTS[:2]:
        if key not in texts:
            continue
        start = texts[key][0, 0]
        if start.shape != table[-2].shape or not torch.allclose(start, table[-2], atol=1e-3):
            raise CheckpointError(
                f"The token table that was given is not that of {name}: its start token differs. Give the CLIP "
                "that the training started from."
            )
