"""Trains the compact CLIP that ships: contrastive, from scratch, on captioned stills of Tabletop."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from ezclip.checkpoints.catalog import BACKBONE
from ezclip.checkpoints.store import load_backbone, save_backbone
from ezclip.config import PretrainConfig
from ezclip.data.tabletop.scene import CANVAS
from ezclip.data.tabletop.stills import stills, wide_stills, zero_shot_prompts
from ezclip.errors import ConfigError
from ezclip.files import write_atomically, write_json
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import trimmed
from ezclip.progress import Progress, Steps, within
from ezclip.text.tokens import tokenize
from ezclip.training.device import Readings, check_finite, compile_vision, start_accelerator
from ezclip.training.grow import grow
from ezclip.training.losses import in_batch_kl
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.records import claimed
from ezclip.training.step import gather
from ezclip.training.views import WEIGHTS, WithHeads, auxiliary, crops, cut, draw_pairs, look_by_place
from ezclip.types import Document, stored_size
from ezclip.video.transforms import resize_short_side, to_device, view

_WORKERS, _CHUNK = 2, 1000  # processes that draw stills, and how many of them each draws at a time
DRAWN = 0.1  # fraction of the work after which the stills are drawn
STATE, _STILLS = "state.pt", "stills.npz"  # what a run resumes from; removed at its end
CANVAS_PER_VIEW = 5  # sides of stored canvases in halves of a view's side


def pretrain(config: PretrainConfig, *, resume: bool = False) -> Steps[Document]:
    """Draw the stills, train, test and write backbone.safetensors, pretrain.json and metrics.jsonl into ``config.out``.

    Equal captions in a batch are positives of each other. Several processes each draw all stills, and the loss is that
    of the global batch. In steps with pairs, a batch has half as many scenes, with two views of each; captions belong
    to the first views of half of these.

    Args:
        config: the recipe.
        resume: continue from the saved state in ``config.out``, if any. Step s sees the same views in any case.

    Returns:
        What pretrain.json holds: the configuration, wall seconds, and the zero-shot accuracies in [0, 1].

    Raises:
        ConfigError: a batch size that cannot be shared; another process trains into ``config.out``; a loss or gradient
            that is not finite.
    """
    accelerator = start_accelerator(config.precision)
    out = Path(config.out)
    with claimed(out) if accelerator.is_main_process else nullcontext():
        return (yield from _pretrain(config, accelerator, out, resume))


def _pretrain(config: PretrainConfig, accelerator: Accelerator, out: Path, resume: bool) -> Steps[Document]:
    device, main, world = accelerator.device, accelerator.is_main_process, accelerator.num_processes
    if config.batch_size % (4 * world if config.pairs else world):
        raise ConfigError(
            f"batch_size {config.batch_size} is not a multiple of {world} processes, or with pairs of four times as "
            "many; change one."
        )
    torch.manual_seed(config.seed)
    start = time.monotonic()
    saved = out / STATE
    state = torch.load(saved, weights_only=True) if resume and saved.is_file() else None
    drawn = yield from within(_stills(config, out if main else None, kept=resume), 0.0, DRAWN)
    names, ids = np.unique(drawn.captions, return_inverse=True)
    tokens, _ = tokenize(names.tolist())

    if config.init:
        backbone = grow(load_backbone(Path(config.init) / BACKBONE), config.name, architecture(config))
    else:
        backbone = build_backbone(config.name, architecture(config))
    model = build_ezclip(backbone, "clip", num_frames=1).train()
    torch.nn.init.constant_(model.logit_scale, float(np.log(1 / 0.07)))  # CLIP's initial value, also with init
    compile_vision(model, config.compile)
    for parameter in model.parameters():
        parameter.requires_grad_()
    if config.pairs:
        look_by_place(model)
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
    readings, shown = Readings(device, config.log_every), ""
    rank = accelerator.process_index
    with (out / "metrics.jsonl").open("a" if first else "w") if main else nullcontext() as metrics:
        for step, rows in enumerate(_batches(len(drawn.captions), config), 1):
            if step <= first:
                continue
            rng = np.random.default_rng([config.seed, step, rank])
            share = config.pairs if step <= 0.7 * config.steps else config.pairs / 3
            paired = np.random.default_rng([config.seed, step]).random() < share
            own = rows[rank::world]
            if paired:
                own = own[: len(own) // 2]
                scenes = torch.from_numpy(drawn.pictures[own])
                pairs = draw_pairs(scenes, drawn.windows[own], model.image_size, rng)
                views, own = pairs.pixels, own[: len(own) // 2]  # those with captions
            else:
                scenes, pairs = torch.from_numpy(drawn.pictures[own]), None
                views = cut(scenes, crops(drawn.windows[own], rng), model.image_size)
            pixels, label = model.normalise(to_device(views, device)), to_device(torch.from_numpy(ids[own]), device)
            texts = to_device(trimmed(tokens[ids[own]]), device)
            further: dict[str, Tensor] = {}
            if config.pairs:
                images, texts, seen = wrapped(pixels, texts, paired)
                further = auxiliary(pixels, seen, pairs)
            else:
                images, texts = wrapped(pixels.unsqueeze(1), texts)
                images = images[:, 0]
            images, texts = gather(images[: len(own)].float()), gather(texts.float())
            label = accelerator.gather(label)
            assert isinstance(label, Tensor)
            cosine = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
            of_images, of_texts = in_batch_kl(model.logit_scale.exp() * cosine, label)
            contrastive = (of_images + of_texts) / 2
            loss = sum((WEIGHTS[name] * value for name, value in further.items()), contrastive)
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(parameters, 1.0)
            assert norm is not None
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            with torch.no_grad():
                model.logit_scale.clamp_(max=float(np.log(100)))
            if not paired:
                further = {name: value for name, value in further.items() if name == "thumbnails"}
            readings.add(step, {"loss": loss, "contrastive": contrastive, "gradient_norm": norm, **further})
            saves = step % config.save_every == 0
            if readings.due(step) or saves or step == config.steps:
                for number, values in readings.read():
                    check_finite(number, values)
                    shown = "".join(f", {name} {value:.3f}" for name, value in values.items())
                    if metrics is not None:
                        metrics.write(json.dumps({"step": number} | values) + "\n")
                        metrics.flush()
            if main and saves:
                write_atomically(saved, partial(torch.save, _state(step, trained, optimiser, schedule)))
            done = DRAWN + (1 - DRAWN) * step / config.steps
            yield Progress(done, f"pretraining, step {step} of {config.steps}{shown}")

    model.eval()
    if config.logit_scale is not None:
        torch.nn.init.constant_(model.logit_scale, float(np.log(config.logit_scale)))
    result = {
        "config": json.loads(json.dumps(config, default=vars)),
        "seconds": round(time.monotonic() - start, 1),
        "zero_shot": zero_shot(model, seed=config.seed + 999_983, count=config.test_stills),
    }
    if main:
        save_backbone(Backbone(config.name, backbone.config, backbone.clip), out / BACKBONE)
        write_json(out / "pretrain.json", result)
        for name in (STATE, _STILLS):
            (out / name).unlink(missing_ok=True)
    return result


@torch.inference_mode()
def zero_shot(model: EZCLIP, *, seed: int, count: int) -> dict[str, float]:
    """Top-1 accuracy for the colour and for the kind of the thing in ``count`` single-object stills, each in [0, 1]."""
    drawn = list(stills(count, seed, only_single=True))
    pictures = np.stack([np.asarray(picture) for picture, _, _ in drawn])
    device = model.logit_scale.device
    chunks = view(pictures, model.image_size).unsqueeze(1).split(100)
    images = torch.cat([model.encode_video(model.normalise(to_device(c, device))) for c in chunks])  # (count, 1, E)
    accuracy = {}
    for position, (what, sentences) in enumerate(zero_shot_prompts().items()):
        best = model.logits(images, model.encode_text(tokenize(sentences)[0].to(device))).argmax(dim=1).tolist()
        right = [name.split()[position] in sentences[b].split() for (_, _, name), b in zip(drawn, best)]
        accuracy[what] = sum(right) / count
    return accuracy


def architecture(config: PretrainConfig) -> Document:
    """open_clip's model configuration of the configured sizes."""
    s = config.sizes
    vision = dict(image_size=s.image_size, layers=s.layers, width=s.width, head_width=64, patch_size=s.patch_size)
    heads = s.text_width // 64
    text = dict(context_length=77, vocab_size=49408, width=s.text_width, heads=heads, layers=s.text_layers)
    return {"embed_dim": s.embed_dim, "quick_gelu": False, "vision_cfg": vision, "text_cfg": text}


@dataclass(frozen=True)
class _Drawn:
    """Stills, or with pairs whole canvases."""

    pictures: np.ndarray  # uint8 (stills, 3, H, H)
    windows: np.ndarray  # float64 (stills, 3), x and y of the centre and side of what the captions are about
    captions: list[str]


def _draw_chunk(arguments: tuple[int, int, PretrainConfig]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    count, seed, config = arguments
    if config.pairs:
        size = CANVAS_PER_VIEW * config.sizes.image_size // 2
        canvases, windows, captions = zip(*wide_stills(count, seed, config.surfaces), strict=True)
        planes = resize_short_side(np.stack(canvases), size)
        return planes.numpy(), np.array(windows) * (size / CANVAS), list(captions)
    size = stored_size(config.sizes.image_size)
    pictures, captions, _ = zip(*stills(count, seed), strict=True)
    planes = resize_short_side(np.stack([np.asarray(picture) for picture in pictures]), size)
    return planes.numpy(), np.tile([size / 2, size / 2, size], (count, 1)), list(captions)


def _stills(config: PretrainConfig, out: Path | None, *, kept: bool) -> Steps[_Drawn]:
    """Draw the stills and keep them in the folder ``out``, or read those that were ``kept`` there."""
    key = str([config.seed, config.stills, config.sizes.image_size, config.surfaces, bool(config.pairs)])
    if out is not None and kept and (out / _STILLS).is_file():
        with np.load(out / _STILLS) as held:
            if str(held["key"]) == key:
                return _Drawn(held["pictures"], held["windows"], held["captions"].tolist())
    starts = range(0, config.stills, _CHUNK)
    jobs = [(min(_CHUNK, config.stills - i), config.seed * 1_000_003 + i, config) for i in starts]
    chunks: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        for chunk in (pool.map if len(jobs) > 1 else map)(_draw_chunk, jobs):
            chunks.append(chunk)
            count = min(len(chunks) * _CHUNK, config.stills)
            yield Progress(count / config.stills, f"drawing stills, {count} of {config.stills}")
    pictures, windows, captions = zip(*chunks, strict=True)
    drawn = _Drawn(np.concatenate(pictures), np.concatenate(windows), [c for chunk in captions for c in chunk])
    if out is not None:
        write_atomically(out / _STILLS, partial(_save_stills, drawn, key))
    return drawn


def _save_stills(drawn: _Drawn, key: str, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, key=key, pictures=drawn.pictures, windows=drawn.windows, captions=np.array(drawn.captions))


def _state(step: int, trained: WithHeads, optimiser: Any, schedule: Any) -> Document:
    parts = {"trained": trained, "optimiser": optimiser, "schedule": schedule}
    return {"step": step} | {name: part.state_dict() for name, part in parts.items()}


def _batches(count: int, config: PretrainConfig) -> Iterator[np.ndarray]:
    """Row numbers of each step: one shuffled pass after another."""
    rng = np.random.default_rng(config.seed)
    order = np.empty(0, np.int64)
    for _ in range(config.steps):
        if len(order) < config.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: config.batch_size]
        order = order[config.batch_size :]
