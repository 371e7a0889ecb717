"""The training loop: frozen CLIP, trained adapters and prompts, one optimiser, any number of processes.

Step s always sees the same clips with the same random draws, so a resumed run equals an
uninterrupted one.
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
from ezclip.model.builders import build_ezclip, frozen_in_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.model.text import trimmed
from ezclip.progress import Progress, Steps
from ezclip.text.tokens import tokenize
from ezclip.training import batches
from ezclip.training.device import Readings, compile_vision, start_accelerator
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.records import Journal, State, claimed, known_broken, report_broken
from ezclip.training.step import Step
from ezclip.types import Document
from ezclip.video.transforms import to_device

log = logging.getLogger(__name__)
SHOWN = ("loss", "accuracy", "val_top1", "val_within_pairs")  # with the progress


def train(config: TrainConfig, *, resume: bool = False) -> Steps[Document]:
    """Train a variant and write the finished model to ``config.out``/model.

    With a validation set, the adapters with the best top-1 are saved to ``config.out``/best. Also writes
    metrics.jsonl, TensorBoard events, skipped.jsonl (videos that could not be read) and resumable states.

    Args:
        config: the recipe.
        resume: continue from the newest state in ``config.out``, if any.

    Returns:
        The training summary that is stored in the model's config.json.

    Raises:
        ConfigError: data or settings that cannot be used; more than 5 % of the videos broken; a loss that is not
            finite.
    """
    accelerator = start_accelerator(config.precision, config.trackers)
    accelerator.init_trackers("ezclip", config=dataclasses.asdict(config) | {"trackers": ", ".join(config.trackers)})
    out = Path(config.out)
    with claimed(out) if accelerator.is_main_process else nullcontext():
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
    each = batches.steps_per_epoch(config, len(rows))
    steps = config.steps or config.epochs * each
    groups = parameter_groups(model, config)
    optimiser = adamw(groups, weight_decay=config.weight_decay, betas=(config.beta1, config.beta2), eps=config.eps)
    warmup = each * config.warmup_epochs if config.warmup_epochs else int(config.warmup * steps)
    starts = [int(config.text_delay * steps) if group["name"] == "text" else 0 for group in groups]
    schedule = warmup_cosine(optimiser, warmup=max(1, warmup), steps=steps, starts=starts, every=config.lr_every)
    if accelerator.is_main_process and backbone_sha256(out / BACKBONE) != backbone.sha256:
        save_backbone(backbone, out / BACKBONE)
    if config.precision == "bf16":
        frozen_in_bf16(model)
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    state = State(out, model, optimiser, schedule, config)
    first = state.load() if resume else 0
    if first == 0 and accelerator.is_main_process:
        state.forget()

    broken = known_broken(out, keep=first > 0)
    loader = batches.make_loader(clips, config, accelerator, first, steps)
    journal = Journal(out, first) if accelerator.is_main_process else None
    backward = Step(model, wrapped, accelerator, config)
    readings = Readings(accelerator.device, config.log_every)
    unreadable: list[tuple[str, str]] = []  # since the last reading
    latest = dict(journal.latest) if journal is not None else {}
    about = {"preset": config.preset, "text": config.text, "labels": labels}
    for step, batch in enumerate(loader, first):
        model.train()
        unreadable += batch.unreadable
        tokens = to_device(batches.draw_tokens(config, sentences, step, batch), accelerator.device)
        views = batches.views_of(batch, model.image_size, accelerator.device)
        losses = backward(step, views, tokens, to_device(batch.targets, accelerator.device))
        if config.clip_gradient:
            accelerator.clip_grad_norm_(model.trainable().values(), config.clip_gradient)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        readings.add(step + 1, losses | {"lr": float(schedule.get_last_lr()[0])})

        evaluates = (step + 1) % config.eval_every == 0 or step + 1 == steps
        if evaluates or readings.due(step + 1):
            found = gather_object(unreadable) if accelerator.num_processes > 1 else unreadable
            report_broken(out, found, broken, len(rows), config.max_broken, write=accelerator.is_main_process)
            unreadable = []
            for number, values in readings.read():
                if not math.isfinite(values["loss"]):
                    raise ConfigError(
                        f"The loss is not finite at step {number - 1}; lower lr, or resume from the last saved state."
                    )
                if number == step + 1 and validation and evaluates:
                    values |= _validate(model, validation, labels, sentences, accelerator)
                latest |= values
                if journal is not None:
                    journal.write(number, values)
                accelerator.log(values, step=number)
        if journal is not None and evaluates:
            if latest.get("val_top1", -1.0) > state.best:
                state.best = latest["val_top1"]
                summary = about | {"training": {"step": step + 1}, "metrics": _validation_metrics(latest)}
                save_model(model, backbone, out / "best", summary=summary)
            state.save(step + 1)
        shown = ", ".join(f"{name} {latest[name]:.3f}" for name in SHOWN if name in latest)
        yield Progress((step + 1) / steps, f"{config.variant}, step {step + 1} of {steps}: {shown}")

    for tracker in accelerator.trackers:
        tracker.finish()

    training = dataclasses.asdict(config) | {"steps": steps, "clips": len(rows), "broken": len(broken)}
    summary = about | {"training": training | {"seconds": state.seconds}}
    if journal is not None:
        journal.events.close()
        summary["metrics"] = _validation_metrics(latest)
        save_model(model, backbone, out / "model", summary=summary)
    return summary


def build(config: TrainConfig, backbone: Backbone) -> EZCLIP:
    """A new model as configured, with initialised prompts, compiled if requested."""
    model = build_ezclip(
        backbone,
        config.variant,
        num_frames=config.num_frames,
        prompt_depth=config.prompt_depth,
        drop_path=config.drop_path,
        prompt_dropout=config.prompt_dropout,
    )
    if not model.trainable():
        raise ConfigError("variant 'clip' has nothing to train; choose base, motion, prompts or ezclip.")
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
    return model


def enable_activation_checkpointing(model: EZCLIP) -> None:
    """Activation checkpointing: recompute every block in the backward pass, with the same dropout."""
    for block in (module for module in model.modules() if isinstance(module, Block)):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def parameter_groups(model: EZCLIP, config: TrainConfig) -> list[dict[str, Any]]:
    """Adapters of the vision tower, those of the text tower, and prompts, each with its learning rate."""
    rates = {"vision": config.lr, "text": config.text_lr or config.lr, "prompt": config.prompt_lr or config.lr}
    groups: dict[str, list[torch.nn.Parameter]] = {kind: [] for kind in rates}
    for name, parameter in model.trainable().items():
        groups["prompt" if name.endswith("prompt.embedding") else name.split(".")[0]].append(parameter)
    return [{"name": kind, "params": own, "lr": rates[kind]} for kind, own in groups.items() if own]


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
        texts = model.encode_text(trimmed(tokenize([s[0] for s in sentences])[0]).to(device)).float()
        for chunk in torch.arange(len(clips)).split(32):
            items = [item for i in chunk if not (item := clips[0, int(i)]).unreadable]
            if not items:
                continue
            batch = batches.collate(items)
            views = batches.views_of(batch, model.image_size, device)
            frames = model.encode_video(model.normalise(views)).float()
            scores.append(model.logits(frames, texts).cpu())
            targets.append(batch.targets)
    found = accuracies(torch.cat(scores), torch.cat(targets), labels, partners_of(clips.rows))
    return {f"val_{k}": found[k] for k in ("top1", "within_pairs") if k in found}


def _validation_metrics(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items() if name.startswith("val_")}
