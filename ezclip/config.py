"""Training configurations as dataclasses; each field is a key of the YAML file and of ``--set key=value``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from ezclip.errors import ConfigError
from ezclip.types import NativeMethod, PromptDepth, Reading

T = TypeVar("T")
Positive = Annotated[int, Field(gt=0)]
# Run torch.compile on the vision tower; "graphs" adds CUDA graphs. On a CPU this needs a C++ compiler.
Compile = bool | Literal["graphs"]
Precision = Literal["bf16", "fp32"]  # autocast dtype; "bf16" is slower on CPUs without native support
STRICT = ConfigDict(extra="forbid")
_OLD_NAMES = {"variant": "method"}


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a CLIP built from scratch; both towers have width / 64 heads."""

    image_size: int = 96
    patch_size: int = 8
    width: int = 192
    layers: int = 4
    text_width: int = 128
    text_layers: int = 4
    embed_dim: int = 128


@checked(frozen=True, config=STRICT)
class PretrainConfig:
    """Pretraining of the compact CLIP backbone on captioned stills."""

    out: str  # folder that receives backbone.safetensors and the log
    # Folder of the initial backbone.safetensors (see ezclip.training.grow where sizes differ); None for random weights.
    init: str | None = None
    compile: Compile = False
    logit_scale: float | None = None  # value of exp(logit_scale) in the saved model (CLIP: 100); None keeps the learned
    name: str = "tabletop-clip"  # id of the backbone
    seed: int = 0  # of the weights, the stills and their order
    stills: Positive = 48_000  # number of distinct stills; training samples steps * batch_size, with repeats
    # Fraction of stills over textured surfaces; above 0, or with ``pairs``, all stills are those of
    # ezclip.data.tabletop.stills.wide.
    surfaces: Annotated[float, Field(ge=0, le=1)] = 0.0
    # Start with ramps in the position embeddings and with directional heads, see ezclip.training.views.
    ramps: bool = False
    # Fraction of the steps that train on pairs of views (see ezclip.training.views) in the first 70 % of the run; a
    # third of it afterwards, so that the run ends on captions. 0 trains on captions only; otherwise ``compile`` has no
    # effect.
    pairs: Annotated[float, Field(ge=0, le=1)] = 0.0
    test_stills: Positive = 2000  # held-out stills for the zero-shot accuracies
    steps: Positive = 950
    # Steps after these that teach the text tower alone to read sentences about motions, see ezclip.training.sentences.
    sentences: Annotated[int, Field(ge=0)] = 0
    log_every: Positive = 10  # as in TrainConfig
    save_every: Positive = 100  # steps between saves of the resumable state
    workers: int = 0  # processes that cut the views
    batch_size: Positive = 256
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.1
    precision: Precision = "bf16"
    sizes: _Sizes = field(default_factory=_Sizes)


@checked(frozen=True, config=STRICT)
class TrainConfig:
    """Training of a model. The presets in configs/ document the source of each value."""

    method: (
        NativeMethod  # also called variant; "motion" and "ezclip" are trained with the motion loss, the others without
    )
    backbone: str  # folder with backbone.safetensors, or "clip:ARCH/TAG"
    out: str  # folder of the run: log, resumable state, and the finished model under out/model
    data: str  # manifest (JSONL) of the training clips
    # Folder of a trained model of the same architecture to start from; None starts from CLIP. If CLIP itself is
    # trained, ``backbone`` must be the backbone of that model.
    init: str | None = None
    settings: dict[str, int] = field(default_factory=dict)  # sizes of a rival's modules; by default its authors'
    validation: str | None = None  # manifest of the validation set; None disables it
    preset: str = "tabletop"  # name of the recipe, recorded in the checkpoint
    seed: int = 0
    num_frames: Positive = 8
    reading: Reading = "released"  # formulation of the motion loss
    # "classes" is the cross-entropy over all class texts (paper); "in_batch" is the release's KL loss, which encodes
    # only the texts of the clips in the batch
    contrastive: Literal["classes", "in_batch"] = "classes"
    lambda1: float = 1.0  # weight of the contrastive loss
    lambda2: float = 1.0  # weight of the motion loss, for variants that have it
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # of the cross-entropy under "classes"
    # Under "classes", mix each clip with the next one of its batch: mixup (alpha 0.8) in half of the batches, CutMix
    # (alpha 1) in the others; the target is the mixture of both classes.
    mixup: bool = False
    lr: float = 3e-3  # peak learning rate of the adapters, or of CLIP where it is trained
    text_lr: float | None = None  # of the text tower's adapters; None uses lr, 0 keeps CLIP's text embeddings
    # Fraction of the steps during which the text tower's adapters stay frozen. While video embeddings do not encode
    # frame order, the loss pulls the texts of twin classes together, which leaves the prompts no order signal. "varied"
    # texts are plain names until then: used from the start, they pull all scores together.
    text_delay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    prompt_lr: float | None = None  # of the prompts, or of X-CLIP's message tokens; None uses lr
    # of a rival's temporal transformer and of X-CLIP's video-specific prompting; None uses lr
    temporal_lr: float | None = None
    final_lr: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0  # end of the cosine decay, as a fraction of the peak rates
    prompt_std: float | None = None  # prompts are initialised from N(0, prompt_std); None keeps the release's uniform
    # Decrease that standard deviation linearly to 0 at the last frame. After layer norm, the prompts then dominate the
    # content of early frames but not of late ones, so frame order is a little visible from the first step; with a
    # constant standard deviation it is hardly so.
    prompt_ramp: bool = False
    # Steps before the training, in which the prompts alone learn to give a clip and its reversal different embeddings,
    # without labels; see ``training.order``.
    order_steps: Annotated[int, Field(ge=0)] = 0
    epochs: Positive = 50  # passes over the data, unless steps is set
    steps: Positive | None = None  # number of optimiser steps; None uses epochs
    batch_size: Positive = 32
    warmup: float = 0.1  # fraction of the steps with linear warm-up from 0
    warmup_epochs: int | None = None  # length of the warm-up in epochs; replaces warmup
    lr_every: Positive = 1  # steps between learning rate updates
    weight_decay: float = 0.2
    decay_all: bool = True  # False exempts norms, biases and position embeddings from decay
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    sampling: Literal["random", "centres"] = "random"  # a random frame of each segment, or its middle frame
    # "shift" is one random crop per clip, "recolour" also changes the colours of half of the clips; "release" is crop,
    # colour jitter and greyscale, and flips if flip is set
    augmentation: Literal["none", "shift", "recolour", "release"] = "none"
    # Sample the colour jitter of "release" for every frame, as the release does; the motion loss mistakes the resulting
    # differences between frames for motion.
    jitter_frames: bool = False
    flip: bool = False  # mirror half of the clips in "release" augmentation; disable where left and right matter
    # "names", "templates" (one of the release's 16, sampled each step per class, or per clip under in_batch), a
    # template with {} for the name, or descriptions: "shipped" (of all sets), one set (such as "ucf101") or a CSV file;
    # "varied" samples the kinds of ``varied_texts`` of Tabletop's classes equally often
    text: str = "names"
    prompt_depth: PromptDepth = "deep"  # prompts in every layer, or in the first only
    drop_path: float = 0.0  # stochastic depth and attention dropout of the last vision layer, increasing from 0
    prompt_dropout: float = 0.0  # dropout of the learned prompts
    clip_gradient: float | None = 1.0  # maximum gradient norm; None disables clipping
    # Clips per forward pass of a process; None picks a number that fits into memory. The losses are computed over
    # the whole batch either way.
    micro_batch: Positive | None = None
    # activation checkpointing of the blocks; about a third slower, far less memory
    checkpointing: bool = False
    precision: Precision = "bf16"
    compile: Compile = False
    cache: str | None = None  # folder for decoded frames; None decodes in every epoch
    workers: int = 0  # processes that decode and crop; resizing and colour jitter run on the training device
    # steps between reads of the metrics from a GPU, each of which synchronises it; on a CPU they are read every step
    log_every: Positive = 10
    eval_every: Positive = 100  # steps between validations and saves of the resumable state
    keep: Positive = 2  # resumable states on disk; if the newest is damaged, a run resumes from the previous one
    max_broken: Annotated[float, Field(ge=0, le=1)] = 0.05  # fraction of unreadable videos above which a run stops
    trackers: list[Literal["wandb", "trackio"]] = field(default_factory=list)  # in addition to TensorBoard

    def __post_init__(self) -> None:
        """Check combinations of fields."""
        if self.contrastive == "in_batch" and (self.mixup or self.label_smoothing or self.method == "xclip"):
            raise ValueError(
                'mixup, label_smoothing and X-CLIP, whose texts depend on the video, need contrastive "classes"'
            )


def load_config(kind: type[T], path: str | Path, overrides: list[str]) -> T:
    """Read a YAML file into ``kind``; deprecated key names are accepted.

    Args:
        kind: PretrainConfig or TrainConfig.
        path: the YAML file.
        overrides: "key=value" with a YAML value, or "a.b=value" for a nested key.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown or a value has the wrong type; names the key.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration {path.name}; the presets are in configs/.")
    try:
        values: Any = _rename_keys(yaml.safe_load(path.read_text("utf-8")) or {})
        for override in overrides:
            key, separator, value = override.partition("=")
            if not separator:
                raise ConfigError(f"--set takes key=value, got {override!r}.")
            *parents, last = key.split(".")
            table = values
            for parent in parents:
                table = table.setdefault(parent, {})
            table |= _rename_keys({last: yaml.safe_load(value)})
        return TypeAdapter(kind).validate_python(values)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path.name} or a --set value is not a YAML table of key: value ({reason}).") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ConfigError(f"{path.name} is invalid: {problems}.") from error


def _rename_keys(values: dict[str, Any]) -> dict[str, Any]:
    return {_OLD_NAMES.get(key, key): value for key, value in values.items()}
