"""Writes Tabletop Motion clips to disk: mp4 files in class folders, a manifest, and masks on request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from tqdm import tqdm

from ezclip.checkpoints.store import write_atomically
from ezclip.data.tabletop.classes import PAIRS, PARTNER
from ezclip.data.tabletop.families import FAMILIES
from ezclip.data.tabletop.render import FPS, Rendered, render
from ezclip.errors import ConfigError
from ezclip.video.encode import write_mp4

Split = Literal["train", "val", "ood"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Job:
    """One pair of twins to draw."""

    folder: str
    split: str
    pair: tuple[str, str]
    number: int
    seed: int
    family: str | None
    masks: bool


def clip_seed(seed: int, split: str, pair: int, number: int) -> int:
    """The seed of one pair of twins; those of different splits, pairs and numbers are drawn apart."""
    return int(np.random.SeedSequence([seed, SPLITS.index(split), pair, number]).generate_state(1)[0])


def synthesise(
    out: str | Path, *, clips_per_class: int, split: Split, seed: int, masks: bool = False, workers: int | None = None
) -> Path:
    """Draw a split of the benchmark.

    Twins carry the same number in their two class folders. In "ood" the families take turns.

    Args:
        out: receives ``SPLIT/<label>/<number>.mp4`` and ``SPLIT/manifest.jsonl``.
        clips_per_class: at least 1.
        split: "train", "val" or "ood".
        seed: of the whole split, not negative.
        masks: also write ``<number>.masks.npz``.
        workers: processes; None takes one for each core.

    Returns:
        The manifest's path.

    Raises:
        ConfigError: a number out of range or an unknown split.
    """
    if clips_per_class < 1 or seed < 0 or split not in SPLITS:
        raise ConfigError(
            f"clips per class {clips_per_class}, seed {seed}, split {split!r}: at least 1 clip, a seed from 0, and one "
            f"of {', '.join(SPLITS)} are allowed."
        )
    folder = Path(out) / split
    families = list(FAMILIES)
    jobs = [
        Job(
            str(folder),
            split,
            pair,
            number,
            clip_seed(seed, split, p, number),
            families[number % len(families)] if split == "ood" else None,
            masks,
        )
        for p, pair in enumerate(PAIRS)
        for number in range(clips_per_class)
    ]
    for label in PARTNER:
        (folder / label.replace(" ", "_")).mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    for twins in tqdm(_run(jobs, workers), total=len(jobs), desc=f"drawing {split}", unit="twins"):
        rows += twins
    rows.sort(key=lambda row: row["path"])
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(folder / MANIFEST, lambda p: p.write_text(text, encoding="utf-8"))
    return folder / MANIFEST


def _run(jobs: list[Job], workers: int | None) -> Iterator[list[dict]]:
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(jobs) < 32:
        yield from map(draw_twins, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw_twins, jobs, chunksize=8)


def draw_twins(job: Job) -> list[dict]:
    """Write both clips of a pair of twins and return their manifest rows."""
    forwards = render(job.pair, job.seed, job.family)
    return [_write(job, label, clip) for label, clip in zip(job.pair, (forwards, forwards.reversed()), strict=True)]


def _write(job: Job, label: str, clip: Rendered) -> dict:
    relative = Path(label.replace(" ", "_")) / f"{job.number:05d}.mp4"
    path = Path(job.folder) / relative
    write_mp4(path, clip.images, fps=FPS, every_frame_intra=True)
    if job.masks:
        np.savez_compressed(path.with_suffix(".masks.npz"), masks=clip.masks)
    return {
        "path": str(relative),
        "label": label,
        "partner": PARTNER[label],
        "split": job.split,
        "family": job.family,
        "seed": job.seed,
    }


# Sample clips of the app: file name, label, out-of-distribution family, seed.
SAMPLES: tuple[tuple[str, str, str | None, int], ...] = (
    ("1_pushing_left_to_right", "Pushing something from left to right", None, 9_000_004),
    ("2_uncovering", "Uncovering something", None, 9_000_012),
    ("3_putting_into", "Putting something into something", None, 9_000_003),
    ("4_closer_at_night", "Moving something closer to something", "night", 9_000_024),
    ("5_lifting_under_water", "Moving something up", "underwater", 9_000_015),
    ("6_pulling_unseen_thing", "Pulling something from right to left", "unseen_objects", 9_000_006),
)


def write_samples(out: str | Path) -> list[Path]:
    """Draw the app's sample clips with their masks; the seeds are its own."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, label, family, seed in SAMPLES:
        pair = next(p for p in PAIRS if label in p)
        clip = render(pair, seed, family)
        clip = clip if label == pair[0] else clip.reversed()
        write_mp4(out / f"{name}.mp4", clip.images, fps=FPS, every_frame_intra=True)
        np.savez_compressed(out / f"{name}.masks.npz", masks=clip.masks)
        paths.append(out / f"{name}.mp4")
    return paths
