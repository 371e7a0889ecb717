"""Builds ActionCLIP, ViFi-CLIP, A5, X-CLIP and MoTE from the files that their authors' code writes.

Sizes are inferred from the tensors and every tensor must find its place. Left out on purpose: the trained logit scales
of ActionCLIP, A5 and MoTE, which their tests do not use (they stay in the backbone), and the embedded class texts of
ViFi-CLIP's training, from which nothing but the token table is checked. MoTE's image tower is that of its tests on
other classes than the training's: 0.99 of the file and 0.01 of the CLIP that gives the text tower.
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
# The class texts of the training, embedded: class by class (K, 77, D), or without the learned vectors.
_OWN_TEXTS = tuple(f"prompt_learner.{name}" for name in ("complete_text_embeddings", "token_prefix", "token_suffix"))
TEXTS: dict[Rival, str] = {
    "actionclip": "templates",
    "vificlip": "a photo of a {}.",
    "a5": "names",
    "xclip": "names",
    "mote": "names",
}  # of their tests


def build_from(
    layout: Layout, *, num_frames: int | None, clip: Callable[[dict[str, Any]], Mapping[str, Tensor]], **framing: int
) -> tuple[EZCLIP, Backbone, Document, str]:
    """The model of a rival's file, its backbone, what was found in it, and its prompt texts.

    Args:
        layout: of a rival's method.
        num_frames: T where the file does not record it; None takes the file's, else 8.
        clip: returns the tensors of the CLIP that the training started from for open_clip's configuration of the file,
            of whose text it may lack sizes: ViFi-CLIP's files lack the token table, MoTE's the text tower.
        framing: A5's "prefix" and "postfix", which its files lack; 16 each by default.

    Raises:
        CheckpointError: tensors that are missing, unknown or of unexpected shapes.
    """
    state, name = dict(layout.state), layout.name
    method: Rival = next(method for method in RIVALS if method == layout.method)
    stated, texts = None, TEXTS[method]
    try:
        if method == "actionclip":
            settings, own = _actionclip(dict(layout.fusion))
        elif method == "a5":
            settings, own, stated = _a5(state, framing)
        elif method == "xclip":
            settings, own, stated = _xclip(state)
        elif method == "mote":
            settings, own = _mote(dict(layout.fusion))
            state = _with_text(state, clip, name)
        else:
            settings, own = _vificlip(state)
            stated = _stated_frames(layout.config)
            texts = "{}." if settings["text_tokens"] else texts
        for theirs, ours in {"clipmodel.": "", "image_encoder.": "visual.", "text_encoder.": ""}.items():
            state = {ours + k.removeprefix(theirs) if k.startswith(theirs) else k: t for k, t in state.items()}
        if method == "vificlip":
            own_texts = {key: state.pop(key) for key in _OWN_TEXTS if key in state}
            state[_TABLE] = torch.empty(1, len(state["ln_final.weight"]))  # so that sizes can be inferred
            state[_TABLE] = clip(infer_config(state, name)[0])[_TABLE]
            _check_table(own_texts, state[_TABLE], name)
        config, layers = infer_config(state, name)
    except (ValueError, IndexError, ZeroDivisionError, TypeError, KeyError) as error:
        raise CheckpointError(f"{name} has tensors of unexpected shapes; give the authors' own file.") from error
    backbone = build_backbone(f"{method} {name.rpartition('.')[0] or name}", config, state)
    if method in ("a5", "xclip") and num_frames not in (None, stated):
        raise CheckpointError(f"{name} has learned positions for T = {stated} frames; it cannot take {num_frames}.")
    model = build_rival(method, backbone, num_frames or stated or 8, settings).eval()
    copy_strictly(model.added(), own, name)
    whole = sum(tensor.numel() for tensor in state.values()) if method != "a5" else 0
    if method in ("xclip", "mote"):
        whole = sum(tensor.numel() for key, tensor in state.items() if key.startswith("visual."))
    if method == "mote":  # with its scale, and the experts before they are merged
        fixed = ("spe_cls_feature", "mote_fusion_weight")
        own, whole = {key: t for key, t in layout.fusion.items() if not key.endswith(fixed)}, whole + 1
    if method == "vificlip":
        whole = 0 if own else whole - state[_TABLE].numel()  # the table is not part of the model that is trained
    found: Document = {
        "method": method,
        "T": model.num_frames,
        "settings": settings,
        "width": config["vision_cfg"]["width"],
        "layers": layers,
        "patch": config["vision_cfg"]["patch_size"],
        "image_size": config["vision_cfg"]["image_size"],
        "trainable": whole + sum(tensor.numel() for tensor in own.values()),  # in the authors' training
    }
    return model, backbone, found, texts


def _stated_frames(config: Mapping[str, Any]) -> int | None:
    """T in the configuration of a run."""
    data = config.get("DATA")
    stated = data.get("NUM_FRAMES") if isinstance(data, dict) else None
    return stated if isinstance(stated, int) else None


def _blocks(state: dict[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], int]:
    """Tensors below ``prefix`` + "resblocks.", removed from ``state`` and renamed to ours, and the number of blocks."""
    start = f"{prefix}resblocks."
    own = {f"temporal.blocks.{key.removeprefix(start)}": state.pop(key) for key in list(state) if key.startswith(start)}
    numbers = [int(match[1]) for key in own if (match := re.match(r"temporal\.blocks\.(\d+)\.", key))]
    return own, 1 + max(numbers, default=-1)


def _actionclip(fusion: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    own, layers = _blocks(fusion, "transformer.")
    positions = fusion.pop("frame_position_embeddings.weight", None)
    if positions is not None:
        own["temporal.positions"] = positions
    return {"positions": 0 if positions is None else len(positions), "layers": layers}, own | fusion


_MIXED = 0.99  # share of MoTE's file in the image tower


def _with_text(state: dict[str, Tensor], clip: Callable[..., Mapping[str, Tensor]], name: str) -> dict[str, Tensor]:
    """MoTE's tensors mixed with those of CLIP, and CLIP's text tower."""
    embed, nothing = state["visual.proj"].shape[1], torch.empty(1, 64)
    text = {_TABLE: nothing, "positional_embedding": nothing, "text_projection": torch.empty(64, embed)}
    plain = clip(infer_config(state | text, name)[0])
    image = [key for key in plain if key.startswith("visual.") or key == "logit_scale"]
    copy_strictly({key: torch.empty_like(plain[key]) for key in image}, state, f"{name} beside this CLIP")
    return {key: _MIXED * state[key] + (1 - _MIXED) * plain[key] if key in image else plain[key] for key in plain}


def _mote(fusion: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    """The experts of a block merged into one, by the softmax of their weights."""
    own, layers = _blocks(fusion, "transformer.")
    own["training_texts"] = fusion.pop("spe_cls_feature")
    own["temporal.positions"] = fusion.pop("frame_position_embeddings.weight")
    for k in range(layers):
        mlp = f"temporal.blocks.{k}.mlp."
        shares = own.pop(f"{mlp}mote_fusion_weight").softmax(dim=0)
        for theirs, ours in (("fc_up", "c_fc"), ("fc_dn", "c_proj")):
            for part in ("weight", "bias"):
                experts = torch.stack([own.pop(f"{mlp}{theirs}.{j}.{part}") for j in range(len(shares))])
                own[f"{mlp}{ours}.{part}"] = torch.tensordot(shares, experts, 1)
    sizes = {"positions": len(own["temporal.positions"]), "layers": layers, "classes": len(own["training_texts"])}
    return sizes, own | fusion


def _a5(state: dict[str, Tensor], framing: dict[str, int]) -> tuple[dict[str, int], dict[str, Tensor], int]:
    own, layers = _blocks(state, "temporalModelling.")
    own["temporal.positions"] = state.pop("temporalEmbedding.weight")
    if "embedding.weight" in state:
        own["text.learned"] = state.pop("embedding.weight")
    settings = {"layers": layers, "heads": 8, "prefix": 16, "postfix": 16} | framing
    return settings, own, len(own["temporal.positions"])


_READER = {  # X-CLIP's names of what reads the text on the video -> ours
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
    own, layers = _blocks(state, "mit.")
    own["temporal.positions"] = state.pop("mit.positional_embedding")[0]
    for key in list(state):
        if match := re.fullmatch(r"visual\.transformer\.resblocks\.(\d+)\.message_(.+)", key):
            own[f"vision.blocks.{match[1]}.prompt.{match[2]}"] = state.pop(key)
        elif key.startswith("prompts_"):
            ours = key
            for theirs, name in _READER.items():
                ours = ours.replace(theirs, name)
            own[ours] = state.pop(key)
    settings = {"layers": layers, "text_layers": len({key.split(".")[2] for key in own if ".layers." in key})}
    return settings, own, len(own["temporal.positions"])


def _vificlip(state: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    own = {}
    for theirs, ours in (("image_encoder.VPT", "vision.learned"), ("prompt_learner.ctx", "text.learned")):
        if theirs in state:
            own[ours] = state.pop(theirs)
    for key in list(state):
        if match := re.fullmatch(r"(image|text)_encoder\.transformer\.resblocks\.(\d+)\.VPT_shallow", key):
            own[f"{'vision' if match[1] == 'image' else 'text'}.blocks.{match[2]}.learned"] = state.pop(key)
    settings = {}
    for tower in ("vision", "text"):
        first = own.get(f"{tower}.learned")
        settings[f"{tower}_tokens"] = 0 if first is None else len(first)
        settings[f"{tower}_depth"] = 1 + sum(key.startswith(f"{tower}.blocks.") for key in own)
    return settings, own


def _check_table(texts: dict[str, Tensor], table: Tensor, name: str) -> None:
    """Whether the token table is the one that the run started from: its start token stands in every class text."""
    for key in _OWN_TEXTS[:2]:
        if key not in texts:
            continue
        start = texts[key][0, 0]
        if start.shape != table[-2].shape or not torch.allclose(start, table[-2], atol=1e-3):
            raise CheckpointError(
                f"The token table that was given is not that of {name}: its start token differs. Give the CLIP "
                "that the training started from."
            )
