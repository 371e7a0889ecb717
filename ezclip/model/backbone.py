"""The frozen CLIP backbone: any open_clip ViT with class-token pooling and CLIP's text tower."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from ezclip.errors import CheckpointError
from ezclip.types import Preprocessing

SUPPORTED = "Supported are open_clip's ViTs with class-token pooling and CLIP's text tower, such as ViT-B-16-quickgelu."
_VISION_EXTRAS = ("timm_model_name", "attentional_pool", "qk_norm", "scaled_cosine_attn", "scale_heads")
_TEXT_EXTRAS = ("hf_model_name", "hf_tokenizer_name", "embed_cls", "no_causal_mask", "proj_bias", "qk_norm")
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text")


@dataclass(frozen=True, eq=False)
class Backbone:
    """A CLIP model with its name and the configuration that rebuilds it."""

    id: str  # open_clip's "ARCH/TAG", or a name chosen by whoever saved it
    # open_clip's model configuration (embed_dim, vision_cfg, text_cfg, quick_gelu); "pixels" holds
    # the fields of ``Preprocessing`` that differ from their defaults
    config: dict[str, Any]
    clip: Any = field(repr=False)  # open_clip's ``CLIP`` or ``CustomTextCLIP``

    @property
    def text(self) -> Any:
        """The module that holds the text tower."""
        return getattr(self.clip, "text", self.clip)

    @property
    def image_size(self) -> int:
        """S, the input size in pixels."""
        return self.clip.visual.image_size[0]

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames are resized, cropped and normalised."""
        options: dict[str, Any] = dict(self.config.get("pixels", {}))
        for key in options.keys() & {"mean", "std"}:  # JSON stores them as lists
            options[key] = tuple(options[key])
        return Preprocessing(self.image_size, **options)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the weights, see ``fingerprint``."""
        return fingerprint(self.clip.state_dict())


def fingerprint(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> str:
    """SHA-256 over the names, shapes and bytes of the tensors, sorted by name.

    ``dtype`` is the one on disk, half precision for backbones, so that saving does not change the fingerprint.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu", dtype).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def unsupported(config: dict[str, Any]) -> list[str]:
    """Features of an open_clip model configuration that EZ-CLIP's blocks do not support."""
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    reasons = [f"vision_cfg.{key}" for key in _VISION_EXTRAS if vision.get(key)]
    reasons += [f"text_cfg.{key}" for key in _TEXT_EXTRAS if text.get(key)]
    pooling, text_pooling = vision.get("pool_type", "tok"), text.get("pool_type", "argmax")
    end_of_text = text_pooling == "argmax" and text.get("proj_type", "linear") == "linear"
    features = {
        "a ResNet image tower": isinstance(vision.get("layers", 12), list),
        "an image size that is not square": not isinstance(vision.get("image_size", 224), int),
        f"{pooling} pooling": pooling != "tok",
        "a text tower without CLIP's end-of-text pooling": not end_of_text,
        "a multimodal decoder": "multimodal_cfg" in config,
    }
    return reasons + [feature for feature, present in features.items() if present]


def check_supported(name: str, config: dict[str, Any]) -> None:
    """Reject unsupported architectures before anything is downloaded.

    Raises:
        CheckpointError: lists what is not supported.
    """
    if reasons := unsupported(config):
        raise CheckpointError(f"{name} cannot be adapted: it has {', '.join(reasons)}. {SUPPORTED}")


def build_backbone(id: str, config: dict[str, Any], state: dict[str, Tensor] | None = None) -> Backbone:
    """Build a backbone from open_clip's configuration, with random weights or those of ``state``.

    Args:
        id: name of the backbone.
        config: open_clip's model configuration, or the one stored in the weights file.
        state: tensors with open_clip's names, any float dtype; None for random weights.

    Returns:
        A float32 backbone in evaluation mode.

    Raises:
        CheckpointError: unsupported architecture, or tensors that do not match the configuration.
    """
    check_supported(id, config)
    kwargs = {key: copy.deepcopy(config[key]) for key in _CONFIG_KEYS if key in config}
    model_class = open_clip.model.CustomTextCLIP if kwargs.pop("custom_text", False) else open_clip.model.CLIP
    try:
        clip: nn.Module = model_class(**kwargs)
    except (TypeError, ValueError, AssertionError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f"The architecture that {id} describes cannot be built; get the file again.") from error
    if state is not None:
        copy_strictly(clip.state_dict(), state, id)
    return Backbone(id, config, clip.float().eval())


@torch.no_grad()
def copy_strictly(targets: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> None:
    """Copy ``state`` into the tensors ``targets``; keys and shapes must match exactly.

    Raises:
        CheckpointError: the two do not match, or a value is not finite.
    """
    shared = targets.keys() & state.keys()
    mismatches = {
        "tensors missing": targets.keys() - shared,
        "tensors unknown": state.keys() - shared,
        "tensors of another shape": [k for k in shared if targets[k].shape != state[k].shape],
        "tensors with values that are not finite": [k for k in shared if not torch.isfinite(state[k]).all()],
    }
    if problems := [f"{len(keys)} {what}, first {min(keys)}" for what, keys in mismatches.items() if keys]:
        raise CheckpointError(f"{name} does not fit its model: {'; '.join(problems)}. Use the complete, original file.")
    for key, tensor in targets.items():
        tensor.copy_(state[key])


def load_open_clip(arch: str, weights: str, *, adaptable: bool = True) -> Backbone:
    """Load an open_clip architecture with a pretrained tag (downloaded or cached) or a local weights file.

    Args:
        arch: for example "ViT-B-16-quickgelu". OpenAI's weights need the "-quickgelu" names.
        weights: a tag such as "openai", or the path of a local .safetensors file.
        adaptable: reject models that cannot be a backbone of EZ-CLIP; False accepts any image-text model.

    Raises:
        CheckpointError: unknown or unsupported architecture or tag, or weights that are not available.
    """
    name = f"{arch}/{weights}"
    config = open_clip.get_model_config(arch)
    if config is None:
        raise CheckpointError(f"open_clip has no architecture {arch!r}. {SUPPORTED}")
    if adaptable:
        check_supported(arch, config)
    tags, file = open_clip.list_pretrained_tags_by_model(arch), Path(weights)
    is_local = file.suffix == ".safetensors"
    if is_local and not file.is_file():
        raise CheckpointError(f"There is no weights file {file.name}; check the path after clip:{arch}/.")
    if not is_local and weights not in tags:
        raise CheckpointError(
            f"{arch} has no pretrained weights {weights!r}. Give one of {', '.join(tags) or 'none'}, "
            "or the path of a local .safetensors file."
        )
    tag_configs = [open_clip.get_pretrained_cfg(arch, tag) for tag in (tags if is_local else [weights])]
    if not is_local and bool(tag_configs[0].get("quick_gelu")) != bool(config.get("quick_gelu")):
        raise CheckpointError(f"{name} were trained with another activation than {arch} has; use {arch}-quickgelu.")
    pixels = [_pixels(tag, crop=not unsupported(config)) for tag in tag_configs]
    if pixels and pixels[0] and all(p == pixels[0] for p in pixels):  # a local file uses what all tags share
        config = config | {"pixels": pixels[0]}
        if adaptable and pixels[0].get("resize") == "squash":
            raise CheckpointError(
                f"{name} was trained on whole frames squashed to a square, but a backbone of EZ-CLIP sees the central "
                f"square of a frame. {SUPPORTED}"
            )
    try:
        clip = open_clip.create_model(arch, pretrained=weights, require_pretrained=True)
    except Exception as error:  # open_clip, safetensors, huggingface_hub and httpx raise different classes
        if is_local:
            raise CheckpointError(f"{file.name} does not hold weights of {arch} ({type(error).__name__}).") from error
        raise CheckpointError(
            f"The weights of {name} could not be loaded ({type(error).__name__}). They come from the Hugging Face hub; "
            f"without a network give a local file: clip:{arch}/FILE.safetensors"
        ) from error
    return Backbone(arch if is_local else name, config, clip.float().eval())


def _pixels(tag_config: Mapping[str, Any], *, crop: bool) -> dict[str, Any]:
    """Fields of ``Preprocessing`` in open_clip's pretrained configuration that differ from their defaults.

    ``crop`` selects the crop of EZ-CLIP's release, for models that can be its backbone, so that all are compared on the
    same pixels; open_clip itself resizes the short side to S.
    """
    resize = tag_config.get("resize_mode", "shortest")
    fields = {
        "resize": "release" if crop and resize == "shortest" else resize,
        "interpolation": tag_config.get("interpolation", "bicubic"),
        "mean": tuple(tag_config.get("mean", Preprocessing.mean)),
        "std": tuple(tag_config.get("std", Preprocessing.std)),
    }
    return {key: value for key, value in fields.items() if value != getattr(Preprocessing, key)}
