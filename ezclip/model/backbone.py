"""The frozen CLIP that everything stands on: any open_clip ViT with class-token pooling and CLIP's own text tower."""

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
    """A CLIP model with what is needed to name it, check it and build it again."""

    id: str  # "ARCH/TAG" of open_clip, or the name that its maker gave it
    # open_clip's model configuration (embed_dim, vision_cfg, text_cfg, quick_gelu); "pixels" has the fields of
    # ``Preprocessing`` that differ from their defaults
    config: dict[str, Any]
    clip: Any = field(repr=False)  # open_clip's ``CLIP`` or ``CustomTextCLIP``

    @property
    def text(self) -> Any:
        """The module that holds the text parts."""
        return getattr(self.clip, "text", self.clip)

    @property
    def image_size(self) -> int:
        """S, the side of a frame in pixels."""
        return self.clip.visual.image_size[0]

    @property
    def preprocessing(self) -> Preprocessing:
        """From a frame to its input."""
        found: dict[str, Any] = dict(self.config.get("pixels", {}))
        for key in found.keys() & {"mean", "std"}:  # lists where they come from a file
            found[key] = tuple(found[key])
        return Preprocessing(self.image_size, **found)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the weights, see ``fingerprint``."""
        return fingerprint(self.clip.state_dict())


def fingerprint(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> str:
    """SHA-256 over names, shapes and bytes of the tensors in name order.

    In the dtype that is stored, half precision for a backbone: it has the same fingerprint before and after saving.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu", dtype).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def unsupported(config: dict[str, Any]) -> list[str]:
    """What an open_clip model configuration has that EZ-CLIP's blocks cannot stand in; empty where they can."""
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
    """Refuse towers that EZ-CLIP's blocks cannot stand in, before anything is downloaded.

    Raises:
        CheckpointError: names what is not supported.
    """
    if reasons := unsupported(config):
        raise CheckpointError(f"{name} cannot be adapted: it has {', '.join(reasons)}. {SUPPORTED}")


def build_backbone(id: str, config: dict[str, Any], state: dict[str, Tensor] | None = None) -> Backbone:
    """A backbone from open_clip's configuration, with random weights or those of ``state``.

    Args:
        id: what to call it.
        config: open_clip's model configuration; the weights file's own when it comes from a file.
        state: tensors by open_clip's names, any float dtype; None for random weights.

    Returns:
        A float32 backbone in evaluation mode.

    Raises:
        CheckpointError: an unsupported tower, or tensors that do not match the configuration.
    """
    check_supported(id, config)
    arguments = {key: copy.deepcopy(config[key]) for key in _CONFIG_KEYS if key in config}
    build = open_clip.model.CustomTextCLIP if arguments.pop("custom_text", False) else open_clip.model.CLIP
    try:
        clip: nn.Module = build(**arguments)
    except (TypeError, ValueError, AssertionError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f"The architecture that {id} describes cannot be built; get the file again.") from error
    if state is not None:
        copy_strictly(clip.state_dict(), state, id)
    return Backbone(id, config, clip.float().eval())


@torch.no_grad()
def copy_strictly(own: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> None:
    """Copy ``state`` into the tensors ``own`` after naming every key that is missing, extra or of another shape.

    Raises:
        CheckpointError: the two do not match, or a value is not finite.
    """
    shared = own.keys() & state.keys()
    wrong = {
        "tensors missing": own.keys() - shared,
        "tensors unknown": state.keys() - shared,
        "tensors of another shape": [k for k in shared if own[k].shape != state[k].shape],
        "tensors with values that are not finite": [k for k in shared if not torch.isfinite(state[k]).all()],
    }
    if problems := [f"{len(keys)} {what}, first {min(keys)}" for what, keys in wrong.items() if keys]:
        raise CheckpointError(f"{name} does not fit its model: {'; '.join(problems)}. Use the complete, original file.")
    for key, tensor in own.items():
        tensor.copy_(state[key])


def load_open_clip(arch: str, weights: str, *, adaptable: bool = True) -> Backbone:
    """A model by open_clip's architecture name and a pretrained tag (downloaded or cached) or a local file.

    Args:
        arch: for example "ViT-B-16-quickgelu". OpenAI's weights need the "-quickgelu" names.
        weights: a tag such as "openai", or the path of a local .safetensors file.
        adaptable: refuse what cannot be a backbone of EZ-CLIP; False takes any model of images and texts.

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
    of_tags = [open_clip.get_pretrained_cfg(arch, tag) for tag in (tags if is_local else [weights])]
    if not is_local and bool(of_tags[0].get("quick_gelu")) != bool(config.get("quick_gelu")):
        raise CheckpointError(f"{name} were trained with another activation than {arch} has; use {arch}-quickgelu.")
    pixels = [_pixels(tag, crop=not unsupported(config)) for tag in of_tags]
    if pixels and pixels[0] and all(one == pixels[0] for one in pixels):  # a file's are those that all tags share
        config = config | {"pixels": pixels[0]}
        if adaptable and pixels[0].get("resize") == "squash":
            raise CheckpointError(
                f"{name} was trained on whole frames squashed to a square, but a backbone of EZ-CLIP sees the central "
                f"square of a frame. {SUPPORTED}"
            )
    try:
        clip = open_clip.create_model(arch, pretrained=weights, require_pretrained=True)
    except Exception as error:  # open_clip, safetensors, the hub and the network each raise their own kinds
        if is_local:
            raise CheckpointError(f"{file.name} does not hold weights of {arch} ({type(error).__name__}).") from error
        raise CheckpointError(
            f"The weights of {name} could not be loaded ({type(error).__name__}). They come from the Hugging Face hub; "
            f"without a network give a local file: clip:{arch}/FILE.safetensors"
        ) from error
    return Backbone(arch if is_local else name, config, clip.float().eval())


def _pixels(tag: Mapping[str, Any], *, crop: bool) -> dict[str, Any]:
    """Fields of ``Preprocessing`` of open_clip's pretrained configuration that differ from their defaults.

    ``crop`` keeps the crop of EZ-CLIP's release for models that can be its backbone, so that all compare on the same
    pixels; open_clip's own resizes the short side to S.
    """
    resize = tag.get("resize_mode", "shortest")
    found = {
        "resize": "release" if crop and resize == "shortest" else resize,
        "interpolation": tag.get("interpolation", "bicubic"),
        "mean": tuple(tag.get("mean", Preprocessing.mean)),
        "std": tuple(tag.get("std", Preprocessing.std)),
    }
    return {key: value for key, value in found.items() if value != getattr(Preprocessing, key)}
