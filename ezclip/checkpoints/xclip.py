"""Loads X-CLIP from the files of transformers' ``XCLIPModel``, without transformers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ezclip.checkpoints.catalog import XCLIP_PREFIX
from ezclip.checkpoints.layouts import Layout
from ezclip.checkpoints.rivals import build_from_layout
from ezclip.errors import CheckpointError
from ezclip.model.backbone import Backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.types import Document

FILES = ("model.safetensors", "config.json", "preprocessor_config.json")
_NAMES = {  # transformers' names -> the authors', applied in this order
    r"^(text_model|vision_model|mit)\.encoder\.layers\.": r"\1.resblocks.",
    r"^text_model\.embeddings\.token_embedding\.": "token_embedding.",
    r"^text_model\.embeddings\.position_embedding\.weight": "positional_embedding",
    r"^text_model\.final_layer_norm\.": "ln_final.",
    r"^text_model\.": "transformer.",
    r"^vision_model\.embeddings\.class_embedding": "visual.class_embedding",
    r"^vision_model\.embeddings\.patch_embedding\.": "visual.conv1.",
    r"^vision_model\.embeddings\.position_embedding\.weight": "visual.positional_embedding",
    r"^vision_model\.p(re|ost)_layernorm\.": r"visual.ln_p\1.",
    r"^vision_model\.": "visual.transformer.",
    r"^visual_projection\.weight": "visual.proj",
    r"^text_projection\.weight": "text_projection",
    r"^mit\.position_embedding": "mit.positional_embedding",
    r"^prompts_visual_layernorm\.": "prompts_visual_ln.",
    r"^prompts_visual_projection": "prompts_visual_proj",
    r"^prompts_generator\.layernorm\.": "prompts_generator.norm.",
    r"\.self_attn\.": ".attn.",
    r"\.layer_norm([12])\.": r".ln_\1.",
    r"\.mlp\.fc1\.": ".mlp.c_fc.",
    r"\.mlp\.fc2\.": ".mlp.c_proj.",
}
_TRANSPOSED = ("visual_projection.weight", "text_projection.weight")


def load_xclip(name: str) -> tuple[EZCLIP, Backbone, str]:
    """Load the model of xclip:ORGANISATION/NAME, with its backbone and its prompt texts.

    Pixels are normalised with the mean and standard deviation of preprocessor_config.json. Deviation from that file:
    the short side is resized to 256 for inputs of 224, as in the authors' tests.

    Args:
        name: a repository in the Hub's cache, or a folder with ``FILES``.

    Raises:
        CheckpointError: not on this machine, or not the files of an X-CLIP.
    """
    repository = name.removeprefix(XCLIP_PREFIX)
    try:
        weights, *json_files = (fetched_file(name, file) for file in FILES)
        state = load_file(weights)
        config, preprocessor = (json.loads(path.read_text("utf-8")) for path in json_files)
        mean, std = (tuple(float(v) for v in preprocessor[key]) for key in ("image_mean", "image_std"))
        _check_heads(config, name)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name} has damaged files ({type(error).__name__}); fetch it again.") from error
    layout = Layout(repository.rpartition("/")[2], "xclip", to_authors_names(state), {}, {})
    model, backbone, _, texts = build_from_layout(layout, num_frames=None, clip=_no_clip)
    model.preprocessing = replace(model.preprocessing, mean=mean, std=std)
    return model, backbone, texts


def _no_clip(_: Document) -> dict[str, Tensor]:
    raise AssertionError("an X-CLIP's file holds a whole CLIP")


def fetched_file(name: str, file: str) -> Path:
    """A file of KIND:ORGANISATION/NAME in the Hub's cache, or of KIND:FOLDER; raises CheckpointError if not cached."""
    repository = name.partition(":")[2]
    if Path(repository).is_dir():
        return Path(repository, file)
    path = try_to_load_from_cache(repository, file)
    if not isinstance(path, str):
        raise CheckpointError(f"{name} is not on this machine; fetch it with: python -m ezclip get {name}")
    return Path(path)


def _check_heads(config: Document, name: str) -> None:
    """Reject head counts other than width / 64, which cannot be inferred from the tensors."""
    vision, text = ({"hidden_size": 768} | config["vision_config"], {"hidden_size": 512} | config["text_config"])
    heads = {
        "vision": (vision["hidden_size"], vision.get("num_attention_heads", 12)),
        "text": (text["hidden_size"], text.get("num_attention_heads", 8)),
        "frame": (vision.get("mit_hidden_size", 512), vision.get("mit_num_attention_heads", 8)),
        "prompt": (config.get("projection_dim", 512), config.get("prompt_num_attention_heads", 8)),
    }
    for part, (width, count) in heads.items():
        if width != 64 * count:
            raise CheckpointError(f"{name} has {count} {part} heads on a width of {width}; X-CLIP has width / 64.")


def to_authors_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' ``XCLIPModel`` as in the authors' files, with q, k and v packed; float32."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.endswith(".position_ids"):
            continue
        name = key
        for pattern, replacement in _NAMES.items():
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor.float().T if key in _TRANSPOSED else tensor.float()
    packed = {}
    for key in [key for key in renamed if re.search(r"(?<!cross_)attn\.q_proj\.", key)]:
        parts = [renamed.pop(key.replace(".q_proj.", f".{part}_proj."), None) for part in "qkv"]
        if all(part is not None for part in parts):  # building the model reports a missing one
            packed[key.replace(".q_proj.", ".in_proj_")] = torch.cat([part for part in parts if part is not None])
    return renamed | packed
