"""Contrastive pretraining of the shipped compact CLIP, from scratch, on captioned stills of Tabletop."""

import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from ezclip.checkpoints.catalog import BACKBONE
from ezclip.checkpoints.store import load_backbone, save_backbone
from ezclip.config import PretrainConfig
from ezclip.data.tabletop.cast import WIDE
from ezclip.data.tabletop.sprites import THINGS
from ezclip.data.tabletop.stills.scenes import stills, zero_shot_prompts
from ezclip.errors import ConfigError
from ezclip.files import write_atomically, write_json
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import trim_padding
from ezclip.progress import Progress, Steps, rescale
from ezclip.text.tokens import tokenize
from ezclip.training.device import MetricBuffer, check_finite, compile_vision, start_accelerator
from ezclip.training.grow import grow
from ezclip.training.losses import in_batch_kl
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.records import lock_folder
from ezclip.training.sentences import learn_sentences
from ezclip.training.step import gather
from ezclip.training.stills import STILLS, Views, batches_of, is_wide, load_stills
from ezclip.training.views import (
    WEIGHTS,
    Pairs,
    WithHeads,
    add_ramps,
    auxiliary_losses,
    init_directional_heads,
)
from ezclip.types import Document
from ezclip.video.transforms import to_device, view

DRAWING_SHARE, SENTENCES_SHARE = 0.1, 0.1  # fractions of the progress bar for drawing stills and for sentences
STATE = "state.pt"  # file to resume from; deleted at the end of a run


def pretrain(config: PretrainConfig, *, resume: bool = False) -> Steps[Document]:
    """Draw stills, train, test and write backbone.safetensors, pretrain.json and metrics.jsonl into ``config.out``.

    Equal captions in a batch are positives of each other. Every process draws all stills, and the loss is computed over
    the global batch. In steps with pairs, a batch has half as many scenes, with two views of each; only the first views
    of half of the scenes have captions.

    Args:
        config: training configuration.
        resume: continue from the saved state in ``config.out``, if any; step s uses the same views in either case.

    Returns:
        The content of pretrain.json: configuration, wall seconds, zero-shot accuracies in [0, 1], and what
            ``learn_sentences`` returns.

    Raises:
        ConfigError: the batch size is not divisible among the processes; another process trains into ``config.out``; a
            loss or gradient is not finite.
    """
    accelerator = start_accelerator(config.precision)
    out = Path(config.out)
    with lock_folder(out) if accelerator.is_main_process else nullcontext():
        return (yield from _pretrain(config, accelerator, out, resume))


def _pretrain(config: PretrainConfig, accelerator: Accelerator, out: Path, resume: bool) -> Steps[Document]:
    main, world = accelerator.is_main_process, accelerator.num_processes
    if config.batch_size % (4 * world if config.pairs else world):
        raise ConfigError(
            f"batch_size {config.batch_size} is not a multiple of {world} processes, or with pairs of four times as "
            "many; change one."
        )
    torch.manual_seed(config.seed)
    start = time.monotonic()
    state_file = out / STATE
    state = torch.load(state_file, map_location="cpu", weights_only=True) if resume and state_file.is_file() else None
    data = yield from rescale(load_stills(config, out if main else None, reuse=resume), 0.0, DRAWING_SHARE)
    captions, caption_ids = np.unique(data.captions, return_inverse=True)
    tokens, _ = tokenize(captions.tolist())

    if config.init:
        backbone = grow(load_backbone(Path(config.init) / BACKBONE), config.name, architecture(config))
    else:
        backbone = build_backbone(config.name, architecture(config))
    model = build_ezclip(backbone, "clip", num_frames=1).train()
    torch.nn.init.constant_(model.logit_scale, float(np.log(1 / 0.07)))  # CLIP's initial value, also with init
    compile_vision(model, config.compile)
    for parameter in model.parameters():
        parameter.requires_grad_()
    if config.ramps:
        init_directional_heads(model, add_ramps(model))
    trained = WithHeads(model)
    parameters = [*(trained if config.pairs else model).parameters()]
    optimiser = adamw(
        [{"params": parameters, "lr": config.lr}], weight_decay=config.weight_decay, betas=(0.9, 0.98), eps=1e-6
    )
    schedule = warmup_cosine(optimiser, warmup=max(1, int(config.warmup * config.steps)), steps=config.steps)
    wrapped, optimiser = accelerator.prepare(trained if config.pairs else model, optimiser)
    first = 0
    if state is not None:
        first = int(state["step"])
        trained.load_state_dict(state["trained"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    buffer, progress_text = MetricBuffer(accelerator.device, config.log_every), ""
    training_end = 1 - SENTENCES_SHARE if config.sentences else 1.0
    runner = StepRunner(config, tokens, model, wrapped, accelerator, optimiser, schedule, buffer)
    batches = list(batches_of(len(data.captions), config))
    views = Views(config, data, torch.from_numpy(caption_ids), batches, accelerator.process_index, world)
    loader = DataLoader(
        views,
        batch_size=None,
        sampler=range(first + 1, config.steps + 1),
        num_workers=min(config.workers, os.cpu_count() or 1),
        pin_memory=accelerator.device.type == "cuda",
    )
    with (out / "metrics.jsonl").open("a" if first else "w") if main else nullcontext() as metrics:
        for step, batch in enumerate(loader, first + 1):
            runner.run(step, *batch)
            saves = step % config.save_every == 0
            if buffer.due(step) or saves or step == config.steps:
                for number, values in buffer.read():
                    check_finite(number, values)
                    progress_text = "".join(f", {name} {value:.3f}" for name, value in values.items())
                    if metrics is not None:
                        metrics.write(json.dumps({"step": number} | values) + "\n")
                        metrics.flush()
            if main and saves:
                write_atomically(state_file, partial(torch.save, _state(step, trained, optimiser, schedule)))
            progress = DRAWING_SHARE + (training_end - DRAWING_SHARE) * step / config.steps
            yield Progress(progress, f"pretraining, step {step} of {config.steps}{progress_text}")

    sentences: dict[str, float] = {}
    if config.sentences:
        learning = learn_sentences(model, captions.tolist(), steps=config.sentences, seed=config.seed)
        sentences = yield from rescale(learning, training_end, 1.0)
    model.eval()
    if config.logit_scale is not None:
        torch.nn.init.constant_(model.logit_scale, float(np.log(config.logit_scale)))
    result = {
        "config": json.loads(json.dumps(config, default=vars)),
        "seconds": round(time.monotonic() - start, 1),
        "zero_shot": zero_shot(
            model,
            seed=config.seed + 999_983,
            count=config.test_stills,
            kinds=WIDE if is_wide(config) else tuple(THINGS),
        ),
        "sentences": sentences,
    }
    if main:
        save_backbone(Backbone(config.name, backbone.config, backbone.clip), out / BACKBONE)
        write_json(out / "pretrain.json", result)
        for name in (STATE, STILLS):
            (out / name).unlink(missing_ok=True)
    return result


@dataclass
class StepRunner:
    """Runs single pretraining steps, from views to metrics, without waiting for the device.

    Attributes:
        tokens: token ids of the distinct captions (captions, L).
        wrapped: ``WithHeads`` of the model if training uses pairs, otherwise the model; both prepared by Accelerate.
        buffer: keeps the metrics until they are read.
    """

    config: PretrainConfig
    tokens: Tensor
    model: EZCLIP
    wrapped: Any
    accelerator: Accelerator
    optimiser: Any
    schedule: LRScheduler
    buffer: MetricBuffer

    def run(self, step: int, views: Tensor, captions: Tensor, pairs: Pairs | None) -> None:
        """Train on this process's ``Views`` of step ``step``."""
        model, accelerator = self.model, self.accelerator
        pixels = model.normalise(to_device(views, accelerator.device))
        labels = to_device(captions, accelerator.device)
        texts = to_device(trim_padding(self.tokens[captions]), accelerator.device)
        auxiliary: dict[str, Tensor] = {}
        if self.config.pairs:
            images, texts, outputs = self.wrapped(pixels, texts, pairs is not None)
            auxiliary = auxiliary_losses(pixels, outputs, pairs)
        else:
            images, texts = self.wrapped(pixels.unsqueeze(1), texts)
            images = images[:, 0]
        images, texts = gather(images[: len(captions)].float()), gather(texts.float())
        labels = accelerator.gather(labels)
        assert isinstance(labels, Tensor)
        cosine = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
        image_loss, text_loss = in_batch_kl(model.logit_scale.exp() * cosine, labels)
        contrastive = (image_loss + text_loss) / 2
        loss = sum((WEIGHTS[name] * value for name, value in auxiliary.items()), contrastive)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_([*self.wrapped.parameters()], 1.0)
        assert norm is not None
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(100)))
        if pairs is None:
            auxiliary = {name: value for name, value in auxiliary.items() if name == "thumbnails"}
        self.buffer.add(step, {"loss": loss, "contrastive": contrastive, "gradient_norm": norm, **auxiliary})


@torch.inference_mode()
def zero_shot(model: EZCLIP, *, seed: int, count: int, kinds: tuple[str, ...] = tuple(THINGS)) -> dict[str, float]:
    """Top-1 accuracy for the colour and the shape, among ``kinds``, of the thing in ``count`` single-object stills."""
    test_stills = list(stills(count, seed, only_single=True, kinds=kinds))
    pictures = np.stack([np.asarray(picture) for picture, _, _ in test_stills])
    device = model.logit_scale.device
    chunks = view(pictures, model.image_size).unsqueeze(1).split(100)
    images = torch.cat([model.encode_video(model.normalise(to_device(c, device))) for c in chunks])  # (count, 1, E)
    accuracy = {}
    for position, (attribute, sentences) in enumerate(zero_shot_prompts(kinds).items()):
        best = model.logits(images, model.encode_text(tokenize(sentences)[0].to(device))).argmax(dim=1).tolist()
        correct = [name.split()[position] in sentences[b].split() for (_, _, name), b in zip(test_stills, best)]
        accuracy[attribute] = sum(correct) / count
    return accuracy


def architecture(config: PretrainConfig) -> Document:
    """open_clip's model configuration for the configured sizes."""
    s = config.sizes
    vision = dict(image_size=s.image_size, layers=s.layers, width=s.width, head_width=64, patch_size=s.patch_size)
    heads = s.text_width // 64
    text = dict(context_length=77, vocab_size=49408, width=s.text_width, heads=heads, layers=s.text_layers)
    return {"embed_dim": s.embed_dim, "quick_gelu": False, "vision_cfg": vision, "text_cfg": text}


def _state(step: int, trained: WithHeads, optimiser: Any, schedule: Any) -> Document:
    parts = {"trained": trained, "optimiser": optimiser, "schedule": schedule}
    return {"step": step} | {name: part.state_dict() for name, part in parts.items()}
