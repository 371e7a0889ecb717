"""Writes Tabletop Motion clips to disk: mp4 files in class folders, a manifest and optional masks."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ezclip.data.manifest import MANIFEST
from ezclip.data.tabletop.classes import MOTIONS, PARTNER, Names
from ezclip.data.tabletop.families import FAMILIES
from ezclip.data.tabletop.plain import plain_pair, render_plain
from ezclip.data.tabletop.render import FPS, Rendered, render
from ezclip.data.tabletop.scene import FRAME
from ezclip.data.tabletop.static_bias import MOTIONS_OF_THINGS, VERSIONS
from ezclip.data.tabletop.truth import INDEX
from ezclip.errors import ConfigError
from ezclip.files import sha256_of, write_atomically, write_json
from ezclip.progress import Progress, Steps
from ezclip.types import Document
from ezclip.video.encode import write_mp4

Split = Literal["train", "val", "ood", "static"]
SPLITS: tuple[Split, ...] = get_args(Split)
WIDER_WORLD = "wider_world"  # family of the clips with ``surfaces``
SHEET = "contact_sheet.png"
SHEET_FRAMES = [2, 10, 20, 30, 37]  # frames of each clip on the contact sheet
_COLUMNS, _CELL = 3, (FRAME * len(SHEET_FRAMES) + 12, FRAME + 34)
EXAMPLE = ("Opening something", 1)  # class and scene of the last clip in each row of the static split's contact sheet


@dataclass(frozen=True)
class Job:
    """A clip to draw and, if its class has a partner, its twin."""

    folder: Path
    split: Split
    names: Names
    number: int
    seed: int
    family: str | None
    masks: bool
    surfaces: bool = False
    plain: bool = False


def clip_seed(seed: int, split: str, motion: int, number: int) -> int:
    """The seed of a clip and its twin, distinct for each split, motion and number."""
    return int(np.random.SeedSequence([seed, SPLITS.index(split), motion, number]).generate_state(1)[0])


def synthesise(
    out: str | Path,
    *,
    clips_per_class: int,
    split: Split,
    seed: int,
    masks: bool = False,
    surfaces: float = 0.0,
    plain: int = 0,
    motions: int | None = None,
    workers: int | None = None,
) -> Steps[Path]:
    """Draw a split of the benchmark.

    Twins have the same number in their two class folders. In "ood" the families alternate; "static" has each scene in
    all versions of ``static_bias``, which the manifest lists as families, and no camera motions.

    Args:
        out: output folder, for ``SPLIT/<label>/<number>.mp4``, ``SPLIT/manifest.jsonl`` and a contact sheet.
        clips_per_class: at least 1.
        split: one of ``SPLITS``.
        seed: of the whole split, not negative.
        masks: also write ``<number>.masks.npz``.
        surfaces: fraction of the clips that show the wider world, see ``render``, for "train" and "val" only.
        plain: number of further clips by ``render_plain`` of each class that allows them, for the same splits.
        motions: draw only this number of motions; None draws all.
        workers: number of processes; None uses one per core.

    Returns:
        The path of the manifest.

    Raises:
        ConfigError: a number is out of range or the split is unknown.
    """
    if not 0 <= surfaces <= 1 or plain < 0 or ((surfaces or plain) and split not in ("train", "val")):
        raise ConfigError(
            f"surfaces {surfaces} and plain {plain} of split {split!r}: 0 to 1 and at least 0 are allowed, and only of "
            "train and val."
        )
    if clips_per_class < 1 or seed < 0 or split not in SPLITS:
        raise ConfigError(
            f"clips per class {clips_per_class}, seed {seed}, split {split!r}: at least 1 clip, a seed from 0, and one "
            f"of {', '.join(SPLITS)} are allowed."
        )
    folder = Path(out) / split
    selected = list(MOTIONS_OF_THINGS if split == "static" else MOTIONS)[:motions]
    jobs = [_job(folder, split, seed, names, number, masks) for names in selected for number in range(clips_per_class)]
    jobs = [replace(job, surfaces=(job.number + 1) * surfaces // 1 > job.number * surfaces // 1) for job in jobs]
    further = [names for names in selected if plain_pair(names)]
    numbers = range(clips_per_class, clips_per_class + plain)
    added = [_job(folder, split, seed, names, number, masks) for names in further for number in numbers]
    jobs += [replace(job, surfaces=True, plain=True) for job in added]
    rows: list[Document] = []
    total = sum(map(len, selected)) * clips_per_class + sum(map(len, further)) * plain
    for job_rows in _run(jobs, workers):
        rows += job_rows
        yield Progress(len(rows) / total, f"drawing {split}, clip {len(rows)} of {total}")
    rows.sort(key=lambda row: row["path"])
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(folder / MANIFEST, lambda p: p.write_text(text, encoding="utf-8"))
    _contact_sheet(jobs).save(folder / SHEET)
    return folder / MANIFEST


def redraw(out: str | Path, *, split: Split, seed: int, label: str, number: int) -> Path:
    """Draw one clip of a split, its twin and their masks, with paths as in ``synthesise``; returns the clip's path."""
    rows = draw(_job(Path(out) / split, split, seed, _names_of(label), number, masks=True))
    return Path(out) / split / next(row["path"] for row in rows if row["label"] == label)


def redraw_images(split: Split, seed: int, label: str, number: int) -> np.ndarray:
    """The frames of one clip of a split before encoding, uint8 (n, H, W, 3)."""
    names = _names_of(label)
    clip = _render(_job(Path(), split, seed, names, number, masks=False))
    return (clip if label == names[0] else clip.reversed()).images


def _names_of(label: str) -> Names:
    return next(names for names in MOTIONS if label in names)


def _job(folder: Path, split: Split, seed: int, names: Names, number: int, masks: bool) -> Job:
    families: list[str] = {"ood": list(FAMILIES), "static": list(VERSIONS)}.get(split, [])
    scene = number // len(VERSIONS) if split == "static" else number
    scene_seed = clip_seed(seed, split, list(MOTIONS).index(names), scene)
    return Job(folder, split, names, number, scene_seed, families[number % len(families)] if families else None, masks)


def _render(job: Job) -> Rendered:
    """The clip of the motion's first class."""
    if job.split == "static" and job.family:
        return VERSIONS[job.family](job.names, job.seed)
    pair = plain_pair(job.names)
    if pair and job.surfaces and (job.plain or job.seed % 2):
        return render_plain(pair, job.names, job.seed)
    return render(job.names, job.seed, job.family, surfaces=job.surfaces)


def _contact_sheet(jobs: list[Job]) -> Image.Image:
    """Five frames of one clip per motion or, for splits with families, of three clips per family."""
    if jobs[0].family:
        families = dict.fromkeys(job.family for job in jobs)
        groups = [[job for job in jobs if job.family == family] for family in families]
        examples = [group[i * len(group) // 3] for group in groups for i in range(3)]
    else:
        examples = [next(job for job in jobs if job.names == names) for names in dict.fromkeys(j.names for j in jobs)]
    width, height = _CELL
    sheet = Image.new("RGB", (_COLUMNS * width, -(-len(examples) // _COLUMNS) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, job in enumerate(examples):
        x, y = i % _COLUMNS * width, i // _COLUMNS * height
        images = _render(job).images[SHEET_FRAMES]
        sheet.paste(Image.fromarray(np.concatenate(list(images), axis=1)), (x, y + 30))
        pen.text((x + 2, y), f"{job.family}: {job.names[0]}" if job.family else job.names[0], fill="black", font=font)
        pen.text((x + 2, y + 14), f"backwards: {job.names[1]}" if len(job.names) > 1 else "", fill="grey", font=font)
    return sheet


def example_pictures(sheet: Image.Image) -> dict[str, np.ndarray]:
    """The middle frame of each version of ``EXAMPLE``, uint8 (FRAME, FRAME, 3), cut from the static split's sheet."""
    width, height = _CELL
    x = (_COLUMNS - 1) * width + len(SHEET_FRAMES) // 2 * FRAME
    tops = {version: row * height + 30 for row, version in enumerate(VERSIONS)}
    return {version: np.asarray(sheet.crop((x, y, x + FRAME, y + FRAME)).convert("RGB")) for version, y in tops.items()}


def _run(jobs: list[Job], workers: int | None) -> Iterator[list[Document]]:
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(jobs) < 32:
        yield from map(draw, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, jobs, chunksize=8)


def draw(job: Job) -> list[Document]:
    """Write a clip and its twin, if there is one, and return their manifest rows."""
    clip = _render(job)
    return [_write(job, label, twin) for label, twin in zip(job.names, (clip, clip.reversed()))]


def _write(job: Job, label: str, clip: Rendered) -> Document:
    relative = f"{label.replace(' ', '_')}/{job.number:05d}.mp4"
    _save(job.folder / relative, clip, masks=job.masks)
    return {
        "path": relative,
        "label": label,
        "partner": PARTNER.get(label),
        "split": job.split,
        "family": WIDER_WORLD if job.surfaces else job.family,
        "seed": job.seed,
    }


def _save(path: Path, clip: Rendered, *, masks: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, clip.images, fps=FPS, every_frame_intra=True)
    if masks:
        np.savez_compressed(path.with_suffix(".masks.npz"), masks=clip.masks)


@dataclass(frozen=True)
class SampleClip:
    """A clip that belongs to no split; the family may be ``WIDER_WORLD``."""

    name: str
    label: str
    family: str | None
    seed: int


def write_samples(out: str | Path, samples: Sequence[SampleClip]) -> list[Path]:
    """Draw clips with masks as <name>.mp4, and the index by file hash that locates the masks of a copied clip."""
    paths = [Path(out) / f"{sample.name}.mp4" for sample in samples]
    index: dict[str, Document] = {}
    for path, sample in zip(paths, samples):
        names, surfaces = _names_of(sample.label), sample.family == WIDER_WORLD
        family = None if surfaces else sample.family
        clip = _render(Job(Path(out), "val", names, 0, sample.seed, family, masks=True, surfaces=surfaces))
        _save(path, clip if sample.label == names[0] else clip.reversed())
        entry = {"clip": path.name, "label": sample.label, "family": sample.family, "seed": sample.seed}
        index[sha256_of(path)] = entry
    write_json(Path(out) / INDEX, index)
    return paths
