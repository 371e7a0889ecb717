"""Clips and sentences of each training step, determined by the seed and the step."""

import logging
import os
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from ezclip.config import TrainConfig
from ezclip.data.augmentation import Augmentation, resize_and_colour
from ezclip.data.dataset import CachedFrames, Clips, DecodedFrames, Item, open_cache
from ezclip.data.manifest import Row, read_rows
from ezclip.errors import ConfigError
from ezclip.model.text import trim_padding
from ezclip.progress import Steps
from ezclip.text.templates import (
    NAME_ONLY,
    TEMPLATES,
    VARIED,
    describe,
    descriptions,
    fill,
    shipped_descriptions,
    varied_texts,
)
from ezclip.text.tokens import tokenize
from ezclip.types import stored_size
from ezclip.video.transforms import to_device

log = logging.getLogger(__name__)


def steps_per_epoch(config: TrainConfig, count: int) -> int:
    """Number of full batches per epoch; the remaining clips are drawn in other epochs."""
    return max(1, count // config.batch_size)


def class_sentences(text: str, labels: list[str]) -> list[list[str]]:
    """For each label the sentences to draw from in training: name, templates, description, or all of these."""
    if text == VARIED:
        return [varied_texts(label) for label in labels]
    templates = {"names": NAME_ONLY, "templates": TEMPLATES}
    if text in templates or "{}" in text:
        return [fill(label, templates.get(text, (text,))) for label in labels]
    sentences = describe(labels, shipped_descriptions(labels) if text == "shipped" else descriptions(text))
    if cut := tokenize(sentences)[1]:
        log.warning("truncated to 77 tokens: %s", "; ".join(sentence[:60] for sentence in cut))
    return [[sentence] for sentence in sentences]


def draw_tokens(
    config: TrainConfig, sentences: list[list[str]], step: int, batch: "Batch", length: int = 77, delay: int = 0
) -> Tensor:
    """Draw the texts of a step, L at most ``length``: (C, L), one per class, for the contrastive loss "classes"; (B,
    L), one per clip, for "in_batch", as in the release.

    Before step ``delay``, varied texts are class names.
    """
    if config.text == VARIED and step < delay:
        sentences = [choices[:1] for choices in sentences]
    if config.contrastive == "in_batch":
        pairs = zip(batch.targets.tolist(), batch.seeds, strict=True)
        texts = [random.Random(f"text/{seed}").choice(sentences[target]) for target, seed in pairs]
    else:
        rng = random.Random(f"{config.seed}/{step}")
        texts = [rng.choice(choices) for choices in sentences]
    return trim_padding(tokenize(texts, length)[0])


def make_clips(
    config: TrainConfig, rows: Sequence[Row], labels: list[str], image_size: int, *, training: bool
) -> Steps[Clips]:
    """The clips of ``rows`` for training or validation; with a cache, they are decoded once into it."""
    size = stored_size(image_size)
    frames: CachedFrames | DecodedFrames = DecodedFrames(rows, size)
    if config.cache:
        frames = yield from open_cache(rows, config.cache, T=config.num_frames, size=size)
    kind = config.augmentation if training else "none"
    augment = Augmentation(kind, image_size, flip=config.flip, jitter_frames=config.jitter_frames)
    sampling = config.sampling if training else "centres"
    return Clips(rows, labels, frames, augment, T=config.num_frames, sampling=sampling, seed=config.seed)


def validation_clips(config: TrainConfig, labels: list[str], image_size: int) -> Steps[Clips | None]:
    """The validation set, or None; its labels must be among the training labels."""
    if config.validation is None:
        return None
    rows = read_rows(config.validation)
    if unknown := sorted({row.label for row in rows} - set(labels)):
        raise ConfigError(f"The validation clips have {len(unknown)} labels not in training, first {unknown[0]!r}.")
    return (yield from make_clips(config, rows, labels, image_size, training=False))


class BatchSampler:
    """The batches of one process from step ``first`` on: lists of (epoch, index).

    The permutation of each epoch is drawn from (seed, epoch), so step s does not depend on where a run starts.
    """

    def __init__(self, config: TrainConfig, count: int, first: int, steps: int, rank: int = 0, world: int = 1):
        if config.batch_size % world:
            raise ConfigError(f"batch_size {config.batch_size} is not a multiple of {world} processes; change one.")
        self.config, self.count, self.first, self.steps = config, count, first, steps
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.steps - self.first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield this process's share of each global batch."""
        size, epoch_steps = self.config.batch_size, steps_per_epoch(self.config, self.count)
        order, order_epoch = np.empty(0, np.int64), -1
        for step in range(self.first, self.steps):
            epoch, position = divmod(step, epoch_steps)
            if epoch != order_epoch:
                order, order_epoch = np.random.default_rng([self.config.seed, epoch]).permutation(self.count), epoch
            rows = np.resize(order[position * size :], size)
            yield [(epoch, int(i)) for i in rows[self.rank :: self.world]]


def make_loader(clips: Clips, config: TrainConfig, accelerator: Accelerator, first: int, steps: int) -> DataLoader:
    """Load the batches of one process from step ``first`` on with ``config.workers`` workers."""
    sampler = BatchSampler(config, len(clips), first, steps, accelerator.process_index, accelerator.num_processes)
    return DataLoader(
        clips,
        batch_sampler=sampler,
        num_workers=min(config.workers, os.cpu_count() or 1),
        collate_fn=collate,
        pin_memory=accelerator.device.type == "cuda",
        persistent_workers=config.workers > 0,
    )


class Batch(NamedTuple):
    """A batch of ``Item``."""

    frames: Tensor  # uint8 (B, T, 3, H, W), each clip in the upper left corner
    sizes: Tensor  # int64 (B, 2), height and width of each clip
    colours: Tensor | None  # float32 (B, n, 5), see ``Augmentation``
    seeds: list[int]
    targets: Tensor  # int64 (B,)
    unreadable: list[tuple[str, str]]


def collate(items: Sequence[Item]) -> Batch:
    """Collate items into a batch; their crops may differ in size until they are resized on the device."""
    sizes = torch.tensor([item.frames.shape[-2:] for item in items])
    frames = torch.zeros(len(items), *items[0].frames.shape[:2], *sizes.amax(0).tolist(), dtype=torch.uint8)
    for slot, item in zip(frames, items, strict=True):
        slot[..., : item.frames.shape[-2], : item.frames.shape[-1]] = item.frames
    colours = [item.colours for item in items if item.colours is not None]
    unreadable = [video for item in items for video in item.unreadable]
    targets = torch.tensor([item.target for item in items])
    return Batch(
        frames, sizes, torch.stack(colours) if colours else None, [item.seed for item in items], targets, unreadable
    )


def views_of(batch: Batch, image_size: int, device: torch.device) -> Tensor:
    """The model's input, uint8 (B, T, 3, S, S), with resizing and colour jitter applied on the device."""
    frames = to_device(batch.frames, device)
    if batch.colours is None:
        return frames
    return resize_and_colour(frames, to_device(batch.sizes, device), to_device(batch.colours, device), image_size)


def mix_clips(views: Tensor, targets: Tensor, C: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mix clips with their neighbours by MixUp (alpha 0.8) or CutMix (alpha 1), each in half of the batches.

    Args:
        views: uint8 (B, T, 3, S, S).
        targets: (B,) int64.
        C: number of classes.
        seed: random seed; all clips of a batch share one draw.

    Returns:
        Mixed views, uint8 (B, T, 3, S, S), and targets (B, C) whose rows sum to 1.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(int(rng.integers(2**63)))
        mix = v2.MixUp(alpha=0.8, num_classes=C) if rng.random() < 0.5 else v2.CutMix(alpha=1.0, num_classes=C)
        clips, shares = mix(tv_tensors.Video(views.float()), targets.to(views.device))
    return clips.as_subclass(Tensor).round().to(torch.uint8), shares
