"""Whether the backbone of a converted file is OpenAI's own CLIP."""

from __future__ import annotations

from pathlib import Path

import open_clip
from huggingface_hub import try_to_load_from_cache

from ezclip.model.backbone import Backbone, load_open_clip

_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def compare_with_openai(backbone: Backbone) -> str:
    """Say whether the weights equal OpenAI's of the same sizes, by their fingerprints; nothing is downloaded.

    Returns:
        "equal to OpenAI's ARCH", "not equal to ..." or why it is unknown.
    """
    arch = next((arch for arch in _architectures() if _same_sizes(arch, backbone)), None)
    if arch is None:
        return "of other sizes than OpenAI's"
    if not _at_hand(arch):
        return f"not compared: OpenAI's {arch} is not on this machine"
    same = load_open_clip(arch, "openai").sha256 == backbone.sha256
    return f"{'equal' if same else 'not equal'} to OpenAI's {arch}"


def _architectures() -> list[str]:
    pairs = open_clip.list_pretrained()
    return [arch for arch, tag in pairs if tag == "openai" and open_clip.get_pretrained_cfg(arch, tag)["quick_gelu"]]


def _same_sizes(arch: str, backbone: Backbone) -> bool:
    config = open_clip.get_model_config(arch)
    if config is None or not config.get("quick_gelu"):
        return False

    def sizes(of: dict) -> list[object]:
        image, text = of["vision_cfg"], of["text_cfg"]
        told = [image.get(key) for key in ("image_size", "width", "layers", "patch_size")]
        return [of["embed_dim"], *told, *(text.get(key) for key in ("width", "layers", "vocab_size"))]

    return sizes(config) == sizes(backbone.config)


def _at_hand(arch: str) -> bool:
    config = open_clip.get_pretrained_cfg(arch, "openai")
    if "file" in config:
        return Path(config["file"]).is_file()
    repository = config.get("hf_hub", "").strip("/")
    return bool(repository) and any(isinstance(try_to_load_from_cache(repository, name), str) for name in _FILES)
