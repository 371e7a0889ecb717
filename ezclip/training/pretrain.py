"""Trains the compact CLIP that ships: contrastive, from scratch, on captioned stills of Tabletop."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.checkpoints.catalog import BACKBONE
from ezclip.checkpoints.store import load_backbone, save_backbone
from ezclip.config import PretrainConfig
from ezclip.data.tabletop.stills import stills, zero_shot_prompts
from ezclip.errors import ConfigError
from ezclip.files import write_json
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import trimmed
from ezclip.progress import Progress, Steps, within
from ezclip.text.tokens import tokenize
from ezclip.training.device import Readings, compile_vision, start_accelerator
from ezclip.training.losses import in_batch_kl
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.step import gather
from ezclip.types import Document, stored_size
from ezclip.video.transforms import resize_short_side, to_device, view

_WORKERS, _CHUNK = 2, 1000  # processes that draw stills, and how many of them each draws at a time
DRAWN = 0.1  # fraction of the work after which the stills are drawn


def pretrain(config: PretrainConfig) -> Steps[Document]:
    """Draw the stills, train, test and write backbone.safetensors, pretrain.json and metrics.jsonl into ``config.out``.

    Equal captions in a batch are positives of each other. Several processes each draw all stills, and the loss is that
    of the global batch.

    Returns:
        What pretrain.json holds: the configuration, wall seconds, and the zero-shot accuracies in [0, 1].
    """
    accelerator = start_accelerator("bf16")
    device, main, world = accelerator.device, accelerator.is_main_process, accelerator.num_processes
    if config.batch_size % world:
        raise ConfigError(f"batch_size {config.batch_size} is not a multiple of {world} processes; change one.")
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    start = time.monotonic()
    pictures, captions = yield from within(_draw(config), 0.0, DRAWN)
    names, ids = np.unique(captions, return_inverse=True)
    tokens, _ = tokenize(names.tolist())

    backbone = load_backbone(Path(config.init) / BACKBONE) if config.init else _fresh(config)
    model = build_ezclip(backbone, "clip", num_frames=1).train()
    torch.nn.init.constant_(model.logit_scale, float(np.log(1 / 0.07)))  # CLIP's initial value, also with init
    compile_vision(model, config.compile)
    parameters = [p.requires_grad_() for p in model.parameters()]
    optimiser = adamw(
        [{"params": parameters, "lr": config.lr}], weight_decay=config.weight_decay, betas=(0.9, 0.98), eps=1e-6
    )
    schedule = warmup_cosine(optimiser, warmup=max(1, int(config.warmup * config.steps)), steps=config.steps)
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    readings, shown = Readings(device, config.log_every), ""
    own = slice(accelerator.process_index, None, world)
    with (out / "metrics.jsonl").open("w") if main else nullcontext() as metrics:
        for step, rows in enumerate(_batches(len(captions), config), 1):
            label = torch.from_numpy(ids[rows])
            crops = _random_crops(pictures, rows, config.sizes.image_size, own)
            pixels = model.normalise(to_device(crops, device)).unsqueeze(1)
            images, texts = wrapped(pixels, to_device(trimmed(tokens[label[own]]), device))
            label = to_device(torch.cat([label[i::world] for i in range(world)]), device)  # in the order of ``gather``
            images, texts = gather(images[:, 0].float()), gather(texts.float())
            cosine = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
            of_images, of_texts = in_batch_kl(model.logit_scale.exp() * cosine, label)
            loss = (of_images + of_texts) / 2
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            with torch.no_grad():
                model.logit_scale.clamp_(max=float(np.log(100)))
            readings.add(step - 1, {"loss": loss})
            if readings.due(step) or step == config.steps:
                for number, values in readings.read():
                    shown = f": loss {values['loss']:.3f}"
                    if metrics is not None:
                        metrics.write(json.dumps({"step": number} | values) + "\n")
            share = DRAWN + (1 - DRAWN) * step / config.steps
            yield Progress(share, f"pretraining, step {step} of {config.steps}{shown}")

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


def _fresh(config: PretrainConfig) -> Backbone:
    s = config.sizes
    vision = dict(image_size=s.image_size, layers=s.layers, width=s.width, head_width=64, patch_size=s.patch_size)
    heads = s.text_width // 64
    text = dict(context_length=77, vocab_size=49408, width=s.text_width, heads=heads, layers=s.text_layers)
    architecture = {"embed_dim": s.embed_dim, "quick_gelu": False, "vision_cfg": vision, "text_cfg": text}
    return build_backbone(config.name, architecture)


def _draw_chunk(arguments: tuple[int, int, int]) -> tuple[np.ndarray, list[str]]:
    count, seed, size = arguments
    drawn = list(stills(count, seed))
    planes = resize_short_side(np.stack([np.asarray(picture) for picture, _, _ in drawn]), size)
    return planes.numpy(), [caption for _, caption, _ in drawn]


def _draw(config: PretrainConfig) -> Steps[tuple[np.ndarray, list[str]]]:
    """All stills, uint8 (stills, 3, H, H) a little larger than the model's view, and their captions."""
    size = stored_size(config.sizes.image_size)
    starts = range(0, config.stills, _CHUNK)
    jobs = [(min(_CHUNK, config.stills - i), config.seed * 1_000_003 + i, size) for i in starts]
    pictures = np.empty((config.stills, 3, size, size), np.uint8)
    captions: list[str] = []
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        for planes, lines in (pool.map if len(jobs) > 1 else map)(_draw_chunk, jobs):
            pictures[len(captions) : len(captions) + len(lines)] = planes
            captions += lines
            yield Progress(len(captions) / config.stills, f"drawing stills, {len(captions)} of {config.stills}")
    return pictures, captions


def _batches(count: int, config: PretrainConfig) -> Iterator[np.ndarray]:
    """Row numbers of each step: one shuffled pass after another."""
    rng = np.random.default_rng(config.seed)
    order = np.empty(0, np.int64)
    for _ in range(config.steps):
        if len(order) < config.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: config.batch_size]
        order = order[config.batch_size :]


def _random_crops(pictures: np.ndarray, rows: np.ndarray, size: int, own: slice) -> Tensor:
    """A crop of each of one's ``own`` rows at its own random place, all places drawn from torch's generator."""
    room = pictures.shape[-1] - size + 1
    places = torch.randint(room, (len(rows), 2)).tolist()
    pairs = zip(rows[own], places[own], strict=True)
    return torch.from_numpy(np.stack([pictures[row, :, y : y + size, x : x + size] for row, (y, x) in pairs]))
