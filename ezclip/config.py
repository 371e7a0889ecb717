"""Configurations of training as dataclasses: one field, one line in a YAML file, one ``--set key=value``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from ezclip.errors import ConfigError
from ezclip.types import PromptDepth, Reading, Variant

T = TypeVar("T")
Positive = Annotated[int, Field(gt=0)]
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a CLIP built from scratch; heads are width / 64 in both towers."""

    image_size: int = 96
    patch_size: int = 8
    width: int = 192
    layers: int = 4
    text_width: int = 128
    text_layers: int = 4
    embed_dim: int = 128


@checked(frozen=True, config=STRICT)
class PretrainConfig:
    """How the compact CLIP backbone is trained on captioned stills.

    Attributes:
        out: folder that receives backbone.safetensors and the log.
        name: id of the backbone.
        seed: of the weights, the stills and their order.
        stills: number of stills drawn; steps * batch_size of them are seen, with repeats.
        sizes: of the model.
        logit_scale: what exp(logit_scale) is set to at the end; None keeps the learned value. CLIP's own ends at 100.
        init: folder with the backbone.safetensors to start from; None starts from random weights.
        compile: see ``TrainConfig``.
    """

    out: str
    init: str | None = None
    compile: bool = False
    logit_scale: float | None = None
    name: str = "tabletop-clip"
    seed: int = 0
    stills: Positive = 48_000
    steps: Positive = 950
    batch_size: Positive = 256
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.1
    sizes: _Sizes = field(default_factory=_Sizes)


@checked(frozen=True, config=STRICT)
class TrainConfig:
    """How a variant is trained. The presets under configs/ say where each value comes from.

    Attributes:
        variant: what is trained; "motion" and "ezclip" are trained with the motion loss, the others without.
        backbone: folder with backbone.safetensors, or "clip:ARCH/TAG".
        init: folder of a trained model of the same architecture to start from; None starts from CLIP.
        out: folder of the run: log, resumable state, and the finished model under out/model.
        data: manifest (JSONL) of the training clips.
        validation: manifest of the validation set; None disables it.
        preset: name of the recipe, kept in the checkpoint.
        reading: of the motion loss.
        contrastive: "classes", cross-entropy over all class texts (paper), or "in_batch", the release's KL loss.
        lambda1, lambda2: weights of the contrastive loss and, where the variant has it, of the motion loss.
        lr: peak learning rate of the adapters.
        text_lr, prompt_lr: of the text tower's adapters and of the prompts; None uses lr.
        text_delay: share of the steps in which the text tower's adapters stay frozen. As long as videos do not show the
            order of frames, the loss draws the texts of twin classes together, which hides the order from the prompts.
        prompt_std: prompts start at N(0, prompt_std); None keeps the release's uniform start.
        prompt_ramp: let that deviation fall linearly to 0 at the last frame. The layer norm then hides the content of
            early frames behind their prompts and passes on that of late ones, which shows the order of frames from the
            first step; with one deviation for all frames hundreds of steps pass before order is learned.
        epochs, steps: passes over the data, or number of optimiser steps if that is not None.
        warmup: share of the steps (or number of epochs if warmup_epochs) in which the rate grows linearly from 0.
        sampling: "random" draws a frame from each segment, "centres" uses its middle.
        augmentation: "none", "shift" (one random crop a clip), or "release" (crop, jitter and grey; flip if flip).
        jitter_frames: draw the colour jitter of "release" for every frame, as the release does; this adds differences
            between frames that the motion loss mistakes for motion.
        flip: mirror half of the clips in "release" augmentation; disable where left and right matter.
        text: "names", "templates" (one of the release's 16 drawn each step), or descriptions: "shipped" (of all sets),
            one set (such as "ucf101") or a CSV file.
        prompt_depth, prompt_dropout: prompts in every layer or in the first; their dropout.
        drop_path: stochastic depth and attention dropout at the last layer.
        clip_gradient: largest norm of the gradient; None disables it.
        micro_batch: clips that a process passes through the model at once; None finds what fits into memory. The losses
            are those of the whole batch either way.
        checkpointing: recompute the blocks in the backward pass instead of storing activations; about a third slower
            and far less memory.
        compile: let torch.compile fuse the vision tower; needs a C++ compiler on a CPU.
        cache: folder for decoded frames; None decodes in every epoch.
        workers: decoding processes; cropping and augmentation run on the training device.
        eval_every: steps between validations and saves of the resumable state.
        keep: number of resumable states on disk.
        trackers: "wandb", "trackio"; TensorBoard events are always written.
    """

    variant: Variant
    backbone: str
    out: str
    data: str
    init: str | None = None
    validation: str | None = None
    preset: str = "tabletop"
    seed: int = 0
    num_frames: Positive = 8
    reading: Reading = "released"
    contrastive: Literal["classes", "in_batch"] = "classes"
    lambda1: float = 1.0
    lambda2: float = 1.0
    lr: float = 3e-3
    text_lr: float | None = None
    text_delay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    prompt_lr: float | None = None
    prompt_std: float | None = None
    prompt_ramp: bool = False
    epochs: Positive = 50
    steps: Positive | None = None
    batch_size: Positive = 32
    warmup: float = 0.1
    warmup_epochs: int | None = None
    weight_decay: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    sampling: Literal["random", "centres"] = "random"
    augmentation: Literal["none", "shift", "release"] = "none"
    jitter_frames: bool = False
    flip: bool = False
    text: str = "names"
    prompt_depth: PromptDepth = "deep"
    drop_path: float = 0.0
    prompt_dropout: float = 0.0
    clip_gradient: float | None = 1.0
    micro_batch: Positive | None = None
    checkpointing: bool = False
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = False
    cache: str | None = None
    workers: int = 0
    eval_every: Positive = 100
    keep: Positive = 1
    trackers: list[Literal["wandb", "trackio"]] = field(default_factory=list)


def load_config(kind: type[T], path: str | Path, overrides: list[str]) -> T:
    """Read a YAML file into ``kind``.

    Args:
        kind: PretrainConfig or TrainConfig.
        path: the YAML file.
        overrides: "key=value", the value read as YAML, "a.b=value" for a nested key.

    Raises:
        ConfigError: missing file, no YAML, unknown key or value of the wrong type; gives its name.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration {path.name}; the presets are in configs/.")
    try:
        values: Any = yaml.safe_load(path.read_text("utf-8")) or {}
        for override in overrides:
            key, separator, value = override.partition("=")
            if not separator:
                raise ConfigError(f"--set takes key=value, got {override!r}.")
            *parents, last = key.split(".")
            where = values
            for parent in parents:
                where = where.setdefault(parent, {})
            where[last] = yaml.safe_load(value)
        return TypeAdapter(kind).validate_python(values)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path.name} or a --set value is not a YAML table of key: value ({reason}).") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ConfigError(f"{path.name} is invalid: {problems}.") from error
