"""Trains the compact CLIP that ships: contrastive, from scratch, on captioned stills of Tabletop."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
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
from ezclip.files import write_json
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.progress import Progress, Steps, within
from ezclip.text.tokens import tokenize
from ezclip.training.losses import in_batch_kl
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.types import Document, stored_size
from ezclip.video.transforms import resize_short_side, view

_WORKERS, _CHUNK = 2, 1000  # processes that draw stills, and how many of them each draws at a time
DRAWN = 0.1  # fraction of the work after which the stills are drawn


def pretrain(config: PretrainConfig) -> Steps[Document]:
    """Draw the stills, train, test and write backbone.safetensors, pretrain.json and metrics.jsonl into ``config.out``.

    Equal captions in a batch are positives of each other.

    Returns:
        What pretrain.json holds: the configuration, wall seconds, and the zero-shot accuracies in [0, 1].
    """
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
    if config.compile:
        model.vision.compile()
    parameters = [p.requires_grad_() for p in model.parameters()]
    optimiser = adamw(
        [{"params": parameters, "lr": config.lr}], weight_decay=config.weight_decay, betas=(0.9, 0.98), eps=1e-6
    )
    schedule = warmup_cosine(optimiser, warmup=max(1, int(config.warmup * config.steps)), steps=config.steps)
    with (out / "metrics.jsonl").open("w") as metrics:
        for step, rows in enumerate(_batches(len(captions), config)):
            pixels = model.normalise(_random_crops(pictures[rows], config.sizes.image_size))
            label = torch.from_numpy(ids[rows])
            with torch.autocast("cpu", torch.bfloat16):
                images = model.vision(pixels.unsqueeze(1))[:, 0]
                texts = model.encode_text(tokens[label])
            cosine = F.normalize(images.float(), dim=-1) @ F.normalize(texts.float(), dim=-1).T
            of_images, of_texts = in_batch_kl(model.logit_scale.exp() * cosine, label)
            loss = (of_images + of_texts) / 2
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            with torch.no_grad():
                model.logit_scale.clamp_(max=float(np.log(100)))
            share = DRAWN + (1 - DRAWN) * (step + 1) / config.steps
            yield Progress(share, f"pretraining, step {step + 1} of {config.steps}: loss {loss.item():.3f}")
            metrics.write(json.dumps({"step": step, "loss": loss.item()}) + "\n")

    model.eval()
    if config.logit_scale is not None:
        torch.nn.init.constant_(model.logit_scale, float(np.log(config.logit_scale)))
    result = {
        "config": json.loads(json.dumps(config, default=vars)),
        "seconds": round(time.monotonic() - start, 1),
        "zero_shot": zero_shot(model, seed=config.seed + 999_983, count=config.test_stills),
    }
    save_backbone(Backbone(config.name, backbone.config, backbone.clip), out / BACKBONE)
    write_json(out / "pretrain.json", result)
    return result


@torch.inference_mode()
def zero_shot(model: EZCLIP, *, seed: int, count: int) -> dict[str, float]:
    """Top-1 accuracy for the colour and for the kind of the thing in ``count`` single-object stills, each in [0, 1]."""
    drawn = list(stills(count, seed, only_single=True))
    pictures = np.stack([np.asarray(picture) for picture, _, _ in drawn])
    pixels = model.normalise(view(pictures, model.image_size))
    images = torch.cat([model.vision(chunk.unsqueeze(1)) for chunk in pixels.split(100)])  # (count, 1, E)
    accuracy = {}
    for position, (what, sentences) in enumerate(zero_shot_prompts().items()):
        best = model.logits(images, model.encode_text(tokenize(sentences)[0])).argmax(dim=1).tolist()
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
        for planes, lines in pool.map(_draw_chunk, jobs):
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


def _random_crops(planes: np.ndarray, size: int) -> Tensor:
    """A crop of each picture at its own random place, drawn from torch's generator."""
    room = planes.shape[-1] - size + 1
    places = torch.randint(room, (len(planes), 2)).tolist()
    crops = [plane[:, y : y + size, x : x + size] for plane, (y, x) in zip(planes, places, strict=True)]
    return torch.from_numpy(np.stack(crops))
