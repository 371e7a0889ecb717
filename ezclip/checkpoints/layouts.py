"""Reads the ``.pt`` files of EZ-CLIP, T2L and rival methods, and recognises the method by their keys.

Only tensors are used. Files of ViFi-CLIP and X-CLIP also pickle a configuration of class ``yacs.config.CfgNode``; this
is the only class allowed, and it is unpickled as an ``OrderedDict``, so that only plain containers are created.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ezclip.errors import CheckpointError

_WEIGHTS = ("model_state_dict", "model", "state_dict")  # outer keys of the model's tensors
_FUSION = "fusion_model_state_dict"  # outer key of the module on the frame embeddings (ActionCLIP, MoTE, ...)
_TRAINING_STATE = {
    "epoch", "iteration", "optimizer_state_dict", "optimizer", "lr_scheduler", "max_accuracy", "config"
}  # fmt: skip
_JIT_NUMBERS = ("input_resolution", "context_length", "vocab_size")
_HEADERS = {"cls_token": "Transf_cls", "lstm": "LSTM", "shift": "Conv_1D"}  # of ActionCLIP, by key prefix
TITLES = {
    "ezclip": "an EZ-CLIP",
    "clip": "a CLIP",
    "actionclip": "an ActionCLIP",
    "vificlip": "a ViFi-CLIP",
    "xclip": "an X-CLIP",
    "a5": "an A5 (Efficient-Prompt)",
    "mote": "a MoTE",
}


@dataclass(frozen=True, eq=False)
class Layout:
    """The float32 tensors of a file and the method that it belongs to.

    Attributes:
        name: file name, for error messages.
        method: a key of ``TITLES``.
        state: the model's tensors by their names in the file, without the prefix "module.".
        fusion: tensors of the module on the frame embeddings, if the file stores them separately.
        config: the training configuration, as nested dicts; empty if the file has none.
    """

    name: str
    method: str
    state: dict[str, Tensor]
    fusion: dict[str, Tensor]
    config: Mapping[str, Any]


def read_layout(path: str | Path) -> Layout:
    """Read a file and recognise its method.

    Raises:
        CheckpointError: the file is missing, is not a PyTorch archive, needs code for unpickling, or has unknown
            entries.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {path.name}; give an official .pt file.")
    try:
        with torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode")]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises many exception classes; never fall back to full unpickling
        raise CheckpointError(
            f"{path.name} cannot be read as plain tensors ({type(error).__name__}); it is damaged, is not a PyTorch "
            "file, or holds objects that would run code. Only tensors are loaded."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} holds no state dict; give a file of the EZ-CLIP or T2L release.")
    outer = next((key for key in _WEIGHTS if isinstance(content.get(key), dict)), None)
    inner = content if outer is None else content[outer]
    fusion = None if outer is None else content.get(_FUSION)
    state, fusion = _tensors(path.name, inner), None if fusion is None else _tensors(path.name, fusion)
    method = _recognise(state, fusion)
    expected = _TRAINING_STATE | {outer, _FUSION}
    if outer is not None and (unknown := sorted(str(key) for key in content if key not in expected)):
        raise CheckpointError(
            f"{path.name} also holds {unknown[0]!r}, an unsupported entry that conversion would drop; this is "
            f"{TITLES[method]} checkpoint. Supported besides the weights are {', '.join(sorted(_TRAINING_STATE))}."
        )
    config = content.get("config") if outer is not None else None
    layout = Layout(path.name, method, state, fusion or {}, config if isinstance(config, dict) else {})
    _check_fusion(layout)
    return layout


def _tensors(name: str, state: Any) -> dict[str, Tensor]:
    """The tensors of a state dict in float32, without the prefix "module." and without OpenAI's three integers."""
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items()):
        raise CheckpointError(f"{name} holds no state dict; give a file of the EZ-CLIP or T2L release.")
    tensors = {k.removeprefix("module."): v.float() for k, v in state.items()}
    return {k: v for k, v in tensors.items() if k not in _JIT_NUMBERS}


def _recognise(state: dict[str, Tensor], fusion: dict[str, Tensor] | None) -> str:
    """The method with these tensor names; "clip" if there are no signs of another method."""

    def has(part: str) -> bool:
        return any(part in key for key in state)

    signs = {
        "ezclip": has(".Adapter.") or has("T_prompt_embeddings"),
        "mote": "spe_cls_feature" in (fusion or {}),
        "xclip": "mit.positional_embedding" in state,
        "vificlip": has("image_encoder.") and has("text_encoder."),
        "a5": has("clipmodel.") and "temporalEmbedding.weight" in state,
        "actionclip": fusion is not None,  # empty for its header meanP
    }
    return next((method for method, present in signs.items() if present), "clip")


def _check_fusion(layout: Layout) -> None:
    """Reject a module on the frame embeddings unless it is ActionCLIP's "Transf" or belongs to another rival."""
    keys = sorted(layout.fusion)
    if layout.method not in ("ezclip", "actionclip") or not keys:
        return
    if layout.method == "ezclip":
        raise CheckpointError(f"{layout.name} holds {_FUSION} with {keys[0]}, which EZ-CLIP does not have.")
    for prefix, header in _HEADERS.items():
        if first := next((key for key in keys if key.startswith(prefix)), None):
            raise CheckpointError(
                f"{layout.name} is an ActionCLIP checkpoint with the header {header} (its tensor {first}); only Transf "
                "and meanP can be converted."
            )
    prefixes = ("frame_position_embeddings.", "transformer.resblocks.")
    if unknown := next((key for key in keys if not key.startswith(prefixes)), None):
        raise CheckpointError(
            f"{layout.name} holds {_FUSION} with {unknown}, which is no part of ActionCLIP; BIKE, Text4Vis and others "
            "share its outer keys and cannot be converted."
        )


def infer_config(state: dict[str, Tensor], name: str) -> tuple[dict[str, Any], int]:
    """Infer open_clip's configuration and the number of vision layers from the backbone's tensors.

    Raises CheckpointError for a missing tensor, and ValueError, IndexError or ZeroDivisionError for unexpected shapes.
    """

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
