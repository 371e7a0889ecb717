"""Tiny open_clip models of the kinds of SigLIP 2, PE-Core, EVA-02 and MobileCLIP 2, with random weights in files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import _PRETRAINED
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SIZES: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 4}
TEXT = {"vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
WORDS = ["<pad>", "</s>", "<unk>", "pushing", "lifting", "something", "waving", "a", "of"]
POOLS = {"siglip": "map", "pe": "map", "eva": "token", "mobile": "avg"}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "resize_mode": "squash"}
TAGS: dict[str, dict[str, Any]] = {
    "siglip": HALF | {"interpolation": "bicubic"},
    "pe": HALF | {"interpolation": "bilinear"},
    "eva": {"resize_mode": "shortest", "interpolation": "bicubic"},
    "mobile": {"mean": (0.0,) * 3, "std": (1.0,) * 3, "resize_mode": "shortest", "interpolation": "bilinear"},
}


@register_model
def tiny_tower_siglip(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """No class token, attention pooling."""
    return VisionTransformer(**SIZES, num_classes=0, class_token=False, global_pool="map")


@register_model
def tiny_tower_pe(pretrained: bool = False, **options: Any) -> Eva:
    """A class token, rotated keys, attention pooling."""
    return Eva(**SIZES, num_classes=options["num_classes"], use_rot_pos_emb=True, global_pool="map")


@register_model
def tiny_tower_eva(pretrained: bool = False, **options: Any) -> Eva:
    """A class token as the output, rotated keys."""
    return Eva(**SIZES, num_classes=options["num_classes"], use_rot_pos_emb=True, global_pool="token")


@cache
def towers(folder: Path) -> dict[str, str]:
    """Kind -> the name by which ``load_model`` takes it; files and configurations are written to ``folder``."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    wrapped.save_pretrained(folder / "words")
    hf = {"hf_tokenizer_name": str(folder / "words"), "tokenizer_kwargs": {"clean": "canonicalize"}, "vocab_size": 9}
    text = {
        "siglip": hf | {"context_length": 6, "pool_type": "last", "no_causal_mask": True},
        "pe": {"context_length": 32},
    }
    names = {}
    for kind, tag in TAGS.items():
        arch = f"tiny-tower-{kind}"
        name = "test_convnext" if kind == "mobile" else f"tiny_tower_{kind}"
        vision: dict[str, Any] = {"image_size": 32, "timm_model_name": name, "timm_pool": POOLS[kind]}
        vision["timm_proj"] = "none" if kind == "siglip" else None
        config = {"embed_dim": 64, "custom_text": True, "vision_cfg": vision, "text_cfg": TEXT | text.get(kind, {})}
        (folder / f"{arch}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{arch}.json")
        _PRETRAINED[arch] = {"tag": {"url": "", "file": "", **tag}}
        torch.manual_seed(0)
        clip = open_clip.create_model(arch)
        save_file(clip.state_dict(), folder / f"{arch}.safetensors")
        names[kind] = f"clip:{arch}/{folder / arch}.safetensors"
    return names
