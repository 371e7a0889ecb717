"""Training loop for the parameters that a method adds to CLIP or for all of CLIP, with any number of processes.

Step s always uses the same clips and random draws, so a resumed run equals an uninterrupted one.
"""

import dataclasses
import logging
import math
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.checkpoint import checkpoint

from ezclip.checkpoints.catalog import BACKBONE, backbone_sha256
from ezclip.checkpoints.load import resolve_backbone
from ezclip.checkpoints.store import copy_adapter, save_backbone, save_model
from ezclip.config import TrainConfig
from ezclip.data.dataset import Clips
from ezclip.data.manifest import labels_of, partners_of, read_rows
from ezclip.errors import ConfigError
from ezclip.evaluation.metrics import accuracies
from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import build_ezclip, cast_frozen_to_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival, unfreeze
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.progress import Progress, Steps
from ezclip.text.tokens import tokenize
from ezclip.training import batches
from ezclip.training.device import MetricBuffer, check_finite, compile_vision, start_accelerator
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.order import show_order
from ezclip.training.records import Journal, State, lock_folder, read_broken, report_broken
from ezclip.training.step import Step
from ezclip.types import Document
from ezclip.video.transforms import to_device

log = logging.getLogger(__name__)
PROGRESS_METRICS = ("loss", "accuracy", "val_top1", "val_within_pairs")


def train(config: TrainConfig, *, resume: bool = False) -> Steps[Document]:
    """Train a model and write it to ``config.out``/model, together with its backbone if CLIP itself is trained.

    With a validation set, the weights with the best top-1 are saved to ``config.out``/best. Also writes metrics.jsonl,
    TensorBoard events, skipped.jsonl (unreadable videos) and resumable states.

    Args:
        config: training configuration.
        resume: continue from the newest state in ``config.out``, if any.

    Returns:
        The training summary that is stored in the model's config.json.

    Raises:
        ConfigError: invalid data or settings; more than ``config.max_broken`` of the videos are unreadable; a loss or
            gradient is not finite.
    """
    accelerator = start_accelerator(config.precision, config.trackers)
    accelerator.init_trackers("ezclip", config=dataclasses.asdict(config) | {"trackers": ", ".join(config.trackers)})
    out = Path(config.out)
    with lock_folder(out) if accelerator.is_main_process else nullcontext():
        return (yield from _train(config, accelerator, out, resume))


def _train(config: TrainConfig, accelerator: Accelerator, out: Path, resume: bool) -> Steps[Document]:
    torch.manual_seed(config.seed)
    rows = read_rows(config.data)
    labels = labels_of(rows)
    backbone = resolve_backbone(config.backbone)
    model = build(config, backbone)
    sentences = batches.class_sentences(config.text, labels)
    with accelerator.main_process_first():
        clips = yield from batches.make_clips(config, rows, labels, model.image_size, training=True)
        validation = yield from batches.validation_clips(config, labels, model.image_size)
    epoch_steps = batches.steps_per_epoch(config, len(rows))
    steps = config.steps or config.epochs * epoch_steps
    groups = parameter_groups(model, config)
    optimiser = adamw(groups, weight_decay=config.weight_decay, betas=(config.beta1, config.beta2), eps=config.eps)
    warmup = epoch_steps * config.warmup_epochs if config.warmup_epochs else int(config.warmup * steps)
    delay = int(config.text_delay * steps)
    starts = [delay if group["name"] == "text" else 0 for group in groups]
    schedule = warmup_cosine(
        optimiser, warmup=max(1, warmup), steps=steps, starts=starts, final=config.final_lr, every=config.lr_every
    )
    clip_trained = len(model.trainable_parameters()) > len(model.added_parameters())
    if accelerator.is_main_process and not clip_trained and backbone_sha256(out / BACKBONE) != backbone.sha256:
        save_backbone(backbone, out / BACKBONE)
    if config.precision == "bf16" and not clip_trained:  # otherwise the backbone is saved
        cast_frozen_to_bf16(model)
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    state = State(out, model, optimiser, schedule, config)
    first = state.load() if resume else 0
    if first == 0 and accelerator.is_main_process:
        state.clear()
    if first == 0 and config.order_steps and config.init is None:
        yield from show_order(model, clips, accelerator, steps=config.order_steps, seed=config.seed)

    broken = read_broken(out, keep=first > 0)
    loader = batches.make_loader(clips, config, accelerator, first, steps)
    journal = Journal(out, first) if accelerator.is_main_process else None
    backward = Step(model, wrapped, accelerator, config)
    buffer = MetricBuffer(accelerator.device, config.log_every)
    runner = StepRunner(config, model, accelerator, sentences, delay, backward, optimiser, schedule, buffer)
    unreadable: list[tuple[str, str]] = []  # since the last read of the buffer
    latest = dict(journal.latest) if journal is not None else {}

    def save(folder: str, summary: Document) -> None:
        saved_backbone = backbone
        if clip_trained:
            id = f"{backbone.id.replace('/', ' ')}, tuned as {config.method}"
            saved_backbone = dataclasses.replace(backbone, id=id)
            save_backbone(saved_backbone, out / folder / BACKBONE)
        save_model(model, saved_backbone, out / folder, summary=summary)

    info = {"preset": config.preset, "text": config.text, "labels": labels}
    for step, batch in enumerate(loader, first):
        unreadable += batch.unreadable
        runner.run(step, batch)

        validates = (step + 1) % config.eval_every == 0 or step + 1 == steps
        if validates or buffer.due(step + 1):
            gathered = gather_object(unreadable) if accelerator.num_processes > 1 else unreadable
            report_broken(out, gathered, broken, len(rows), config.max_broken, write=accelerator.is_main_process)
            unreadable = []
            for number, values in buffer.read():
                check_finite(number - 1, values)
                if number == step + 1 and validation and validates:
                    values |= _validate(model, validation, labels, sentences, accelerator)
                latest |= values
                if journal is not None:
                    journal.write(number, values)
                accelerator.log(values, step=number)
        if journal is not None and validates:
            if latest.get("val_top1", -1.0) > state.best:
                state.best = latest["val_top1"]
                summary = info | {"training": {"step": step + 1}, "metrics": _validation_metrics(latest)}
                save("best", summary)
            state.save(step + 1)
        metrics = ", ".join(f"{name} {latest[name]:.3f}" for name in PROGRESS_METRICS if name in latest)
        yield Progress((step + 1) / steps, f"{config.method}, step {step + 1} of {steps}: {metrics}")

    for tracker in accelerator.trackers:
        tracker.finish()

    training = dataclasses.asdict(config) | {"steps": steps, "clips": len(rows), "broken": len(broken)}
    summary = info | {"training": training | {"seconds": state.seconds}}
    if journal is not None:
        journal.events.close()
        summary["metrics"] = _validation_metrics(latest)
        save("model", summary)
    return summary


@dataclasses.dataclass(frozen=True)
class StepRunner:
    """Runs single training steps, from a batch to its metrics, without waiting for the device.

    Attributes:
        sentences: sentences of each class, see ``class_sentences``.
        delay: first step with varied texts; before it, texts are class names.
        buffer: keeps the metrics until they are read.
    """

    config: TrainConfig
    model: EZCLIP
    accelerator: Accelerator
    sentences: list[list[str]]
    delay: int
    backward: Step
    optimiser: Any
    schedule: LRScheduler
    buffer: MetricBuffer

    def run(self, step: int, batch: batches.Batch) -> None:
        """Train on this process's share of the batch of step ``step``, counting from 0."""
        config, model, accelerator = self.config, self.model, self.accelerator
        model.train()
        tokens = batches.draw_tokens(config, self.sentences, step, batch, model.context_length, self.delay)
        views = batches.views_of(batch, model.image_size, accelerator.device)
        targets = to_device(batch.targets, accelerator.device)
        if config.mixup:
            seed = [config.seed, step, accelerator.process_index]
            views, targets = batches.mix_clips(views, targets, len(self.sentences), seed)
        losses = self.backward(step, views, to_device(tokens, accelerator.device), targets)
        norm = accelerator.clip_grad_norm_(model.trainable_parameters().values(), config.clip_gradient or math.inf)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        self.buffer.add(step + 1, losses | {"gradient_norm": norm, "lr": float(self.schedule.get_last_lr()[0])})


def build(config: TrainConfig, backbone: Backbone) -> EZCLIP:
    """Build a model as configured, with initialised prompts, compiled if requested."""
    match config.method:
        case "vificlip" | "actionclip" | "a5" | "xclip":
            model = build_rival(config.method, backbone, config.num_frames, config.settings)
        case "clip":
            raise ConfigError("Plain CLIP has nothing to train; choose another method, such as ezclip.")
        case "mote":
            raise ConfigError("MoTE is only read from its authors' files; choose another method to train.")
        case variant:
            model = build_ezclip(
                backbone,
                variant,
                num_frames=config.num_frames,
                prompt_depth=config.prompt_depth,
                drop_path=config.drop_path,
                prompt_dropout=config.prompt_dropout,
            )
    if config.checkpointing:
        enable_activation_checkpointing(model)
    compile_vision(model, config.compile)
    if config.init is not None:
        copy_adapter(model, config.init)
    elif config.prompt_std is not None:
        scale = torch.linspace(1, 0 if config.prompt_ramp else 1, config.num_frames)[:, None]
        for prompt in (module for module in model.modules() if isinstance(module, TemporalPrompt)):
            with torch.no_grad():
                prompt.embedding.normal_(std=config.prompt_std).mul_(scale)
    unfreeze(model)
    if config.text_lr == 0:
        model.text.requires_grad_(False)
    return model


def enable_activation_checkpointing(model: EZCLIP) -> None:
    """Recompute every block in the backward pass, with the same dropout."""
    for block in (module for module in model.modules() if isinstance(module, Block)):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def parameter_groups(model: EZCLIP, config: TrainConfig) -> list[dict[str, Any]]:
    """Groups of trainable parameters by module, each with its learning rate and weight decay."""
    specific_rates = {"text": config.text_lr, "prompt": config.prompt_lr}
    specific_rates |= {"temporal": config.temporal_lr, "reader": config.temporal_lr}
    kinds = ("vision", "text", "prompt", "temporal", "reader", "logit_scale")
    rates = {kind: specific_rates.get(kind) or config.lr for kind in kinds}
    groups: dict[tuple[str, bool], list[torch.nn.Parameter]] = {
        (k, decays): [] for k in kinds for decays in (True, False)
    }
    for name, parameter in model.trainable_parameters().items():
        decays = config.decay_all or (parameter.ndim > 1 and "position" not in name)
        groups["prompt" if ".prompt." in name else name.split(".")[0], decays].append(parameter)
    return [
        {"name": kind, "params": parameters, "lr": rates[kind]} | ({} if decays else {"weight_decay": 0.0})
        for (kind, decays), parameters in groups.items()
        if parameters
    ]


@torch.no_grad()
def _validate(
    model: EZCLIP, clips: Clips, labels: list[str], sentences: list[list[str]], accelerator: Accelerator
) -> dict[str, float]:
    """Top-1 and within-pairs accuracy on the validation set, with the first sentence of each class."""
    model.eval()
    device = accelerator.device
    scores: list[Tensor] = []
    targets: list[Tensor] = []
    with accelerator.autocast():
        tokens = model.trim_padding(tokenize([s[0] for s in sentences], model.context_length)[0])
        texts = model.encode_text(tokens.to(device)).float()
        for chunk in torch.arange(len(clips)).split(32):
            items = [item for i in chunk if not (item := clips[0, int(i)]).unreadable]
            if not items:
                continue
            batch = batches.collate(items)
            views = batches.views_of(batch, model.image_size, device)
            scores.append(model.scores(model.encode(model.normalise(views)).float(), texts).cpu())
            targets.append(batch.targets)
    result = accuracies(torch.cat(scores), torch.cat(targets), labels, partners_of(clips.rows))
    return {f"val_{k}": result[k] for k in ("top1", "within_pairs") if k in result}


def _validation_metrics(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items() if name.startswith("val_")}
