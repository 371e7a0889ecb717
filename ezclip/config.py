"""Configurations of training as dataclasses: one field, one line in a YAML file, one ``--set key=value``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from ezclip.errors import ConfigError
from ezclip.types import Built, PromptDepth, Reading

T = TypeVar("T")
Positive = Annotated[int, Field(gt=0)]
# Let torch.compile fuse the vision tower, "graphs" also with CUDA graphs; needs a C++ compiler on a CPU.
Compile = bool | Literal["graphs"]
Precision = Literal["bf16", "fp32"]  # of products; "bf16" is slower on CPUs without its instructions
STRICT = ConfigDict(extra="forbid")
_OLD_NAMES = {"variant": "method"}


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
    """How the compact CLIP backbone is trained on captioned stills."""

    out: str  # folder that receives backbone.safetensors and the log
    # Folder with the backbone.safetensors to start from, see ezclip.training.grow where sizes differ; None starts from
    # random weights.
    init: str | None = None
    compile: Compile = False
    logit_scale: float | None = None  # what exp(logit_scale) is set to at the end (CLIP: 100); None keeps the learned
    name: str = "tabletop-clip"  # id of the backbone
    seed: int = 0  # of the weights, the stills and their order
    stills: Positive = 48_000  # number of stills drawn; steps * batch_size of them are seen, with repeats
    surfaces: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the stills over surfaces; needs ``pairs``
    # Share of the steps with pairs of views, see ezclip.training.views, in the first 70 % of the run; a third of it
    # afterwards, so that captions come last; ``compile`` has no effect then. 0 trains on captions alone.
    pairs: Annotated[float, Field(ge=0, le=1)] = 0.0
    test_stills: Positive = 2000  # others, on which the zero-shot accuracies are measured
    steps: Positive = 950
    log_every: Positive = 10  # as in TrainConfig
    save_every: Positive = 100  # steps between saves of the resumable state
    batch_size: Positive = 256
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.1
    precision: Precision = "bf16"
    sizes: _Sizes = field(default_factory=_Sizes)


@checked(frozen=True, config=STRICT)
class TrainConfig:
    """How a model is trained. The presets under configs/ say where each value comes from."""

    method: Built  # also called variant; "motion" and "ezclip" are trained with the motion loss, the others without
    backbone: str  # folder with backbone.safetensors, or "clip:ARCH/TAG"
    out: str  # folder of the run: log, resumable state, and the finished model under out/model
    data: str  # manifest (JSONL) of the training clips
    # Folder of a trained model of the same architecture to start from; None starts from CLIP. Where CLIP is trained
    # too, that model's own backbone must also be given as ``backbone``.
    init: str | None = None
    settings: dict[str, int] = field(default_factory=dict)  # sizes of a rival's parts; by default its authors'
    validation: str | None = None  # manifest of the validation set; None disables it
    preset: str = "tabletop"  # name of the recipe, kept in the checkpoint
    seed: int = 0
    num_frames: Positive = 8
    reading: Reading = "released"  # of the motion loss
    # "classes" is the cross-entropy over all class texts (paper), "in_batch" the release's KL loss, which encodes the
    # texts of the batch's clips alone
    contrastive: Literal["classes", "in_batch"] = "classes"
    lambda1: float = 1.0  # weight of the contrastive loss
    lambda2: float = 1.0  # weight of the motion loss where the variant has it
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # of the cross-entropy under "classes"
    # Mix each clip with the next of its batch, under "classes": in half of the batches all pixels (alpha 0.8), in the
    # others a rectangle (alpha 1); the target is the mixture of both classes.
    mixup: bool = False
    lr: float = 3e-3  # peak learning rate of the adapters, or of CLIP where it is trained
    text_lr: float | None = None  # of the text tower's adapters; None uses lr
    # Share of the steps in which the text tower's adapters stay frozen. As long as videos do not show the order of
    # frames, the loss draws the texts of twin classes together, which hides the order from the prompts. "varied" texts
    # are names until then: from the start on, they draw all scores together.
    text_delay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    prompt_lr: float | None = None  # of the prompts, or of X-CLIP's messages; None uses lr
    # of a rival's transformer over frames and of what reads X-CLIP's texts on the video; None uses lr
    temporal_lr: float | None = None
    final_lr: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0  # share of the peak rates at which the cosine ends
    prompt_std: float | None = None  # prompts start at N(0, prompt_std); None keeps the release's uniform start
    # Let that deviation fall linearly to 0 at the last frame. The layer norm then hides the content of early frames
    # behind their prompts and passes on that of late ones, which shows the order of frames from the first step; with
    # one deviation for all frames hundreds of steps pass before order is learned.
    prompt_ramp: bool = False
    epochs: Positive = 50  # passes over the data, unless steps is given
    steps: Positive | None = None  # number of optimiser steps; None uses epochs
    batch_size: Positive = 32
    warmup: float = 0.1  # share of the steps in which the rate grows linearly from 0
    warmup_epochs: int | None = None  # the same in epochs, in place of warmup
    lr_every: Positive = 1  # steps between updates of the rate
    weight_decay: float = 0.2
    decay_all: bool = True  # False leaves norms, biases and positions without decay
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    sampling: Literal["random", "centres"] = "random"  # a frame drawn from each segment, or its middle
    # "shift" is one random crop a clip, "release" crop, jitter and grey, and flip if flip is set
    augmentation: Literal["none", "shift", "release"] = "none"
    # Draw the colour jitter of "release" for every frame, as the release does; this adds differences between frames
    # that the motion loss mistakes for motion.
    jitter_frames: bool = False
    flip: bool = False  # mirror half of the clips in "release" augmentation; disable where left and right matter
    # "names", "templates" (one of the release's 16, drawn each step for each class, under in_batch for each clip), a
    # template with {} for the name, or descriptions: "shipped" (of all sets), one set (such as "ucf101") or a CSV file;
    # "varied" draws name, template, paraphrase, concrete sentence and description of Tabletop's classes equally often
    text: str = "names"
    prompt_depth: PromptDepth = "deep"  # prompts in every layer or in the first
    drop_path: float = 0.0  # stochastic depth and attention dropout at the last vision layer, growing from 0
    prompt_dropout: float = 0.0  # of the learned prompts
    clip_gradient: float | None = 1.0  # largest norm of the gradient; None disables it
    # Clips that a process passes through the model at once; None finds what fits into memory. The losses are those of
    # the whole batch either way.
    micro_batch: Positive | None = None
    # recompute the blocks in the backward pass instead of storing activations; about a third slower, far less memory
    checkpointing: bool = False
    precision: Precision = "bf16"
    compile: Compile = False
    cache: str | None = None  # folder for decoded frames; None decodes in every epoch
    workers: int = 0  # processes that decode and crop; resizing and colours run on the training device
    # steps after which the metrics of all steps so far are read from a GPU, which waits for it; on a CPU each step
    log_every: Positive = 10
    eval_every: Positive = 100  # steps between validations and saves of the resumable state
    keep: Positive = (
        2  # number of resumable states on disk; if the newest is damaged, a run resumes from the one before
    )
    max_broken: Annotated[float, Field(ge=0, le=1)] = 0.05  # fraction of unreadable videos above which a run stops
    trackers: list[Literal["wandb", "trackio"]] = field(default_factory=list)  # besides TensorBoard events

    def __post_init__(self) -> None:
        """Check what depends on two fields."""
        if self.contrastive == "in_batch" and (self.mixup or self.label_smoothing or self.method == "xclip"):
            raise ValueError(
                'mixup, label_smoothing and X-CLIP, whose texts depend on the video, need contrastive "classes"'
            )


def load_config(kind: type[T], path: str | Path, overrides: list[str]) -> T:
    """Read a YAML file into ``kind``.

    Old names of keys are read too.

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
        values: Any = _renamed(yaml.safe_load(path.read_text("utf-8")) or {})
        for override in overrides:
            key, separator, value = override.partition("=")
            if not separator:
                raise ConfigError(f"--set takes key=value, got {override!r}.")
            *parents, last = key.split(".")
            where = values
            for parent in parents:
                where = where.setdefault(parent, {})
            where |= _renamed({last: yaml.safe_load(value)})
        return TypeAdapter(kind).validate_python(values)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path.name} or a --set value is not a YAML table of key: value ({reason}).") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ConfigError(f"{path.name} is invalid: {problems}.") from error


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {_OLD_NAMES.get(key, key): value for key, value in values.items()}
