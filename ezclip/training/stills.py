"""The data of pretraining: stills that are drawn once and stored, and their views in each step."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ezclip.config import PretrainConfig
from ezclip.data.tabletop.scene import CANVAS
from ezclip.data.tabletop.stills.scenes import stills
from ezclip.data.tabletop.stills.wide import wide_stills
from ezclip.files import write_atomically
from ezclip.progress import Progress, Steps
from ezclip.training.views import Pairs, crops, cut, draw_pairs
from ezclip.types import stored_size
from ezclip.video.transforms import resize_short_side

STILLS = "stills.npz"  # file of stored stills in the folder of the run; deleted at its end
_WORKERS, _CHUNK = 2, 1000  # processes that draw stills, and stills per task
CANVAS_PER_VIEW = 5  # side of stored canvases, in half sides of a view


@dataclass(frozen=True)
class Stills:
    """Captioned stills, or whole canvases if training uses pairs."""

    pictures: np.ndarray  # uint8 (stills, 3, H, H)
    windows: np.ndarray  # float64 (stills, 3), centre x and y, and side of the square that the caption describes
    captions: list[str]


@dataclass
class Views(Dataset):
    """One process's views of each step, counting from 1; a step's views depend on the seed, step and process alone.

    Attributes:
        caption_ids: caption of each still, as a row of ``StepRunner.tokens``.
        batches: rows of the stills of each step, over all processes.
    """

    config: PretrainConfig
    data: Stills
    caption_ids: Tensor
    batches: Sequence[np.ndarray]
    rank: int
    world: int

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Pairs | None]:
        """Views, uint8 (B, 3, S, S), captions (C,) of the first C of them, and the pairs if the step trains on them."""
        config, data, size = self.config, self.data, self.config.sizes.image_size
        rng = np.random.default_rng([config.seed, step, self.rank])
        share = config.pairs if step <= 0.7 * config.steps else config.pairs / 3
        rows = self.batches[step - 1][self.rank :: self.world]
        if np.random.default_rng([config.seed, step]).random() < share:
            rows = rows[: len(rows) // 2]
            pairs = draw_pairs(torch.from_numpy(data.pictures[rows]), data.windows[rows], size, rng)
            return pairs.pixels, self.caption_ids[rows[: len(rows) // 2]], pairs
        views = cut(torch.from_numpy(data.pictures[rows]), crops(data.windows[rows], rng), size)
        return views, self.caption_ids[rows], None


def is_wide(config: PretrainConfig) -> bool:
    """Whether the stills are those of the wider world."""
    return bool(config.surfaces or config.pairs)


def _draw_chunk(arguments: tuple[int, int, PretrainConfig]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    count, seed, config = arguments
    size = stored_size(config.sizes.image_size)
    whole = np.tile([size / 2, size / 2, size], (count, 1))
    if not is_wide(config):
        pictures, captions, _ = zip(*stills(count, seed), strict=True)
        planes = resize_short_side(np.stack([np.asarray(picture) for picture in pictures]), size)
        return planes.numpy(), whole, list(captions)
    canvases, windows, captions = zip(*wide_stills(count, seed, config.surfaces), strict=True)
    if config.pairs:
        size = CANVAS_PER_VIEW * config.sizes.image_size // 2
        planes = resize_short_side(np.stack(canvases), size)
        return planes.numpy(), np.array(windows) * (size / CANVAS), list(captions)
    planes = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2)
    return cut(planes, np.array(windows), size).numpy(), whole, list(captions)


def load_stills(config: PretrainConfig, out: Path | None, *, reuse: bool) -> Steps[Stills]:
    """Draw the stills and save them to ``out``; with ``reuse``, read matching ones from there instead."""
    key = str([config.seed, config.stills, config.sizes.image_size, config.surfaces, bool(config.pairs)])
    if out is not None and reuse and (out / STILLS).is_file():
        with np.load(out / STILLS) as file:
            if str(file["key"]) == key:
                return Stills(file["pictures"], file["windows"], file["captions"].tolist())
    starts = range(0, config.stills, _CHUNK)
    jobs = [(min(_CHUNK, config.stills - i), config.seed * 1_000_003 + i, config) for i in starts]
    chunks: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        for chunk in (pool.map if len(jobs) > 1 else map)(_draw_chunk, jobs):
            chunks.append(chunk)
            count = min(len(chunks) * _CHUNK, config.stills)
            yield Progress(count / config.stills, f"drawing stills, {count} of {config.stills}")
    pictures, windows, captions = zip(*chunks, strict=True)
    data = Stills(np.concatenate(pictures), np.concatenate(windows), [c for chunk in captions for c in chunk])
    if out is not None:
        write_atomically(out / STILLS, partial(_save_stills, data, key))
    return data


def _save_stills(data: Stills, key: str, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, key=key, pictures=data.pictures, windows=data.windows, captions=np.array(data.captions))


def batches_of(count: int, config: PretrainConfig) -> Iterator[np.ndarray]:
    """Row indices of each step, from one shuffled pass after another."""
    rng = np.random.default_rng(config.seed)
    order = np.empty(0, np.int64)
    for _ in range(config.steps):
        if len(order) < config.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: config.batch_size]
        order = order[config.batch_size :]
