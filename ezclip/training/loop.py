"""The training loop: frozen CLIP, trained adapters and prompts, one optimiser, any number of processes.

Step s always sees the same clips with the same random draws, whatever came before, so a resumed run repeats an
unbroken one.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

import torch
import torch.distributed.nn.functional as dist_nn
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from ezclip.checkpoints.load import resolve_backbone
from ezclip.checkpoints.store import copy_adapter, save_backbone, save_model
from ezclip.config import TrainConfig
from ezclip.data.dataset import Clips
from ezclip.data.manifest import labels_of, partners_of, read_rows
from ezclip.errors import ConfigError
from ezclip.evaluation.metrics import accuracies
from ezclip.model.backbone import Backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.text.tokens import tokenize
from ezclip.training.batches import (
    class_sentences,
    collate,
    draw_tokens,
    make_clips,
    make_loader,
    steps_per_epoch,
    total_steps,
    watched_clips,
)
from ezclip.training.losses import contrastive_loss, in_batch_kl, motion_loss
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.records import Journal, State, known_broken, report_broken
from ezclip.types import Variant
from ezclip.video.transforms import frozen_copy, normalise

log = logging.getLogger(__name__)


def trains_motion(variant: Variant) -> bool:
    """Whether the variant is trained with the motion loss."""
    return variant in ("motion", "ezclip")


def train(config: TrainConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train a variant and write the finished model to ``config.out``/model.

    Also writes metrics.jsonl, TensorBoard events, skipped.jsonl (videos that could not be read) and the resumable
    state.

    Args:
        config: the recipe.
        resume: go on from the state in ``config.out`` if there is one.

    Returns:
        The training summary that is stored in the model's config.json.

    Raises:
        ConfigError: data or settings that cannot be used; more than 5 % of the videos broken; a loss that is not
            finite.
    """
    accelerator = Accelerator(mixed_precision=config.precision)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    rows = read_rows(config.data)
    labels = labels_of(rows)
    backbone = resolve_backbone(config.backbone)
    model = build(config, backbone)
    sentences = class_sentences(config.text, labels)
    with accelerator.main_process_first():
        clips = make_clips(config, rows, labels, model.image_size, training=True)
        watched = watched_clips(config, labels, model.image_size)
    steps = total_steps(config, len(rows))
    groups = parameter_groups(model, config)
    optimiser = adamw(
        groups,
        weight_decay=config.weight_decay,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
    )
    warmup = config.warmup_epochs * steps_per_epoch(config, len(rows)) if config.warmup_epochs else None
    schedule = warmup_cosine(
        optimiser,
        warmup=max(1, warmup or int(config.warmup * steps)),
        steps=steps,
        starts=[int(config.text_delay * steps) if group["name"] == "text" else 0 for group in groups],
    )
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    state = State(out, model, optimiser, schedule, config)
    first = state.load() if resume else 0

    broken = known_broken(out, keep=first > 0)
    loader = make_loader(clips, config, accelerator, first, steps)
    bar = tqdm(total=steps, initial=first, desc=config.variant, unit="step", disable=not accelerator.is_main_process)
    journal = Journal(out, first) if accelerator.is_main_process else None
    for step, (views, targets, unreadable) in enumerate(loader, first):
        model.train()
        torch.manual_seed(config.seed * 1_000_003 + step)  # dropout depends on the step alone
        report_broken(out, unreadable, broken, len(rows))
        tokens = draw_tokens(sentences, config.seed, step)
        pixels = normalise(views.to(accelerator.device, non_blocking=True))
        calibrate = trains_motion(config.variant) and config.reading == "calibrated"
        frames, texts = wrapped(_with_frozen(pixels) if calibrate else pixels, tokens.to(accelerator.device))
        seen, *frozen = (_gather(part) for part in frames.float().split(len(targets)))
        targets = _gather_targets(accelerator, targets)
        losses = total_loss(model, seen, texts.float(), targets, config, *frozen)
        if not math.isfinite(losses["loss"].item()):
            raise ConfigError(f"The loss is not finite at step {step}; lower lr, or resume from the last saved state.")
        accelerator.backward(losses["loss"])
        if config.clip_gradient:
            accelerator.clip_grad_norm_(model.trainable().values(), config.clip_gradient)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()

        values: dict[str, Any] = {name: float(value.detach()) for name, value in losses.items()} | {
            "lr": schedule.get_last_lr()[0]
        }
        last = step + 1 == steps
        if watched and ((step + 1) % config.eval_every == 0 or last):
            values |= _watch(model, watched, labels, sentences, accelerator)
        if accelerator.is_main_process:
            assert journal is not None
            journal.write(step + 1, values)
            bar.update()
            shown = ("loss", "accuracy", "val_top1", "val_within_pairs")
            bar.set_postfix({k: f"{v:.3f}" for k, v in journal.latest.items() if k in shown})
            if (step + 1) % config.eval_every == 0 or last:
                state.save(step + 1)
    bar.close()

    summary = {
        "preset": config.preset,
        "text": config.text,
        "labels": labels,
        "training": dataclasses.asdict(config)
        | {"steps": steps, "clips": len(rows), "broken": len(broken), "seconds": state.seconds},
    }
    if accelerator.is_main_process:
        assert journal is not None
        journal.events.close()
        summary["metrics"] = {k: round(v, 4) for k, v in journal.latest.items() if k.startswith("val_")}
        save_model(model, backbone, out / "model", summary=summary)
        save_backbone(backbone, out / "model" / "backbone.safetensors")
    return summary


def build(config: TrainConfig, backbone: Backbone) -> EZCLIP:
    """The fresh model that ``config`` names, its prompts started and compiled as asked for."""
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
    if config.compile:
        model.vision.compile()
    if config.init is not None:
        copy_adapter(model, config.init)
    elif config.prompt_std is not None:
        T = config.num_frames
        scale = torch.linspace(1, 0, T)[:, None] if config.prompt_ramp else torch.ones(T, 1)
        for module in model.modules():
            if isinstance(module, TemporalPrompt):
                with torch.no_grad():
                    module.embedding.normal_(std=config.prompt_std).mul_(scale)
    return model


def parameter_groups(model: EZCLIP, config: TrainConfig) -> list[dict[str, Any]]:
    """Adapters of the vision tower, those of the text tower, and prompts, each with its own rate."""
    rates = {"vision": config.lr, "text": config.text_lr or config.lr, "prompt": config.prompt_lr or config.lr}
    groups: dict[str, list[torch.nn.Parameter]] = {kind: [] for kind in rates}
    for name, parameter in model.trainable().items():
        groups["prompt" if name.endswith("prompt.embedding") else name.split(".")[0]].append(parameter)
    return [
        {"name": kind, "params": parameters, "lr": rates[kind]} for kind, parameters in groups.items() if parameters
    ]


def total_loss(
    model: EZCLIP, frames: Tensor, texts: Tensor, targets: Tensor, config: TrainConfig, frozen: Tensor | None = None
) -> dict[str, Tensor]:
    """Eq. 7: lambda1 times the contrastive loss plus, where the variant has it, lambda2 times the motion loss.

    Args:
        model: supplies logits and variant.
        frames: (B, T, E) of the global batch.
        texts: (C, E) of all classes.
        targets: (B,) int64.
        config: the weights and readings.
        frozen: (B, T, E) of the frozen copies, for the calibrated motion loss.

    Returns:
        "loss" and its parts, and the batch's "accuracy" over all classes.
    """
    logits = model.logits(frames, texts)  # (B, C)
    if config.contrastive == "classes":
        contrastive = contrastive_loss(logits, targets)
    else:
        of_videos, of_texts = in_batch_kl(logits[:, targets], targets)
        contrastive = (of_videos + of_texts) / 2
    losses = {"contrastive": contrastive.detach(), "accuracy": (logits.argmax(1) == targets).float().mean()}
    loss = config.lambda1 * contrastive
    if trains_motion(config.variant):
        motion = motion_loss(frames, config.reading, frozen)
        losses["motion"] = motion.detach()
        loss = loss + config.lambda2 * motion
    return {"loss": loss, **losses}


def _with_frozen(pixels: Tensor) -> Tensor:
    """Clips (B, T, 3, S, S) and, after them, a frozen copy of each, (2B, T, 3, S, S)."""
    return torch.cat([pixels, frozen_copy(pixels)])


def _gather(frames: Tensor) -> Tensor:
    """Embeddings of the global batch, gradients flowing back to the process that made them."""
    if not torch.distributed.is_initialized():
        return frames
    return torch.cat(dist_nn.all_gather(frames))


def _gather_targets(accelerator: Accelerator, targets: Tensor) -> Tensor:
    gathered = accelerator.gather(targets.to(accelerator.device))
    assert isinstance(gathered, Tensor)
    return gathered


@torch.no_grad()
def _watch(
    model: EZCLIP, clips: Clips, labels: list[str], sentences: list[list[str]], accelerator: Accelerator
) -> dict[str, float]:
    """Top-1 and within-pairs accuracy on the watched clips, with the first sentence of each class."""
    model.eval()
    device = accelerator.device
    scores, targets = [], []
    with accelerator.autocast():
        texts = model.encode_text(tokenize([s[0] for s in sentences])[0].to(device)).float()
        for chunk in torch.arange(len(clips)).split(32):
            whole = [item for i in chunk if not (item := clips[0, int(i)])[2]]  # an unreadable clip does not count
            if not whole:
                continue
            views, labels_, _ = collate(whole)
            frames = model.encode_video(normalise(views.to(device))).float()
            scores.append(model.logits(frames, texts).cpu())
            targets.append(labels_)
    found = accuracies(torch.cat(scores), torch.cat(targets), labels, partners_of(clips.rows))
    return {f"val_{k}": found[k] for k in ("top1", "within_pairs") if k in found}
