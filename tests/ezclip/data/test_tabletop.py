"""Tabletop Motion: twins, determinism, masks, manifest, families."""

import json
from pathlib import Path

import numpy as np
import pytest

from ezclip.data.manifest import labels_of, partners_of, read_rows
from ezclip.data.tabletop.classes import LABELS, MOTIONS, PAIRS, PARTNER
from ezclip.data.tabletop.families import FAMILIES
from ezclip.data.tabletop.generate import clip_seed, synthesise
from ezclip.data.tabletop.render import NUM_FRAMES, render
from ezclip.data.tabletop.static_bias import MOTIONS_OF_THINGS, VERSIONS
from ezclip.data.tabletop.stills.scenes import stills
from ezclip.errors import ConfigError
from ezclip.progress import finish
from ezclip.text.labels import label_set
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres


@pytest.fixture
def folder(drawn: Path) -> Path:
    return drawn.parent


def test_class_names_are_something_somethings() -> None:
    assert len(LABELS) == len(set(LABELS)) >= 24
    assert set(LABELS) <= set(label_set("ssv2"))
    assert label_set("tabletop") == LABELS
    assert all(PARTNER[PARTNER[label]] == label for label in PARTNER)
    assert len(PARTNER) == 2 * len(PAIRS) >= 24


@pytest.mark.parametrize("T", [1, 8, 40])
def test_twins_show_the_same_frames(folder: Path, T: int) -> None:
    """The T decoded frames of twins are the same set, pixel for pixel, in reverse order."""
    assert NUM_FRAMES % T == 0 and (NUM_FRAMES // T) % 2 == 1 or T == 1
    for forwards, backwards in PAIRS:
        there, back = (
            read_clip(folder / label.replace(" ", "_") / "00000.mp4", lambda n: segment_centres(n, T))
            for label in (forwards, backwards)
        )
        if T > 1:
            assert np.array_equal(there.images, back.images[::-1])
            assert not np.array_equal(there.images, back.images)


@pytest.mark.slow
def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    finish(synthesise(tmp_path, clips_per_class=1, split="val", seed=5))
    again = {p.relative_to(tmp_path / "val"): p.read_bytes() for p in tmp_path.rglob("*.mp4")}
    assert again == {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.mp4")}


def test_seeds_of_splits_are_disjoint() -> None:
    seeds = [
        clip_seed(0, split, m, n) for split in ("train", "val", "ood") for m in range(len(MOTIONS)) for n in range(300)
    ]
    assert len(set(seeds)) == len(seeds)


def test_manifest(folder: Path) -> None:
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert [set(e) for e in entries] == [{"path", "label", "partner", "split", "family", "seed"}] * len(LABELS)
    rows = read_rows(folder)
    assert labels_of(rows) == sorted(LABELS)
    assert partners_of(rows) == PARTNER
    assert all(row.path.is_file() for row in rows)
    by_folder = [(row.path.name, row.label) for row in sorted(read_rows_without_manifest(folder), key=lambda r: r.path)]
    assert by_folder == [(row.path.name, row.label) for row in sorted(rows, key=lambda r: r.path)]


def read_rows_without_manifest(folder: Path) -> list:
    copy = folder.parent / "plain"
    copy.mkdir(exist_ok=True)
    for child in folder.iterdir():
        if child.is_dir() and not (copy / child.name).exists():
            (copy / child.name).symlink_to(child)
    return read_rows(copy)


def test_masks_mark_what_moves(folder: Path) -> None:
    label = "Pushing_something_from_left_to_right"
    masks = np.load(folder / label / "00000.masks.npz")["masks"]
    assert masks.shape == (NUM_FRAMES, 128, 128) and masks.dtype == np.uint8
    columns = [np.nonzero(mask == 2)[1].mean() for mask in (masks[0], masks[-1])]
    assert columns[1] - columns[0] > 5  # what moves goes to the right
    images = read_clip(folder / label / "00000.mp4", lambda n: [0, n - 1]).images.astype(int)
    changed = np.abs(images[0] - images[1]).max(axis=-1) > 60
    moving = (masks[0] == 2) | (masks[-1] == 2)
    assert changed[moving].mean() > 5 * changed[~moving].mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_families_change_the_picture_not_the_twins(family: str) -> None:
    pair = next(iter(PAIRS))
    plain, other = render(pair, 3), render(pair, 3, family)
    assert other.images.shape == plain.images.shape and other.images.dtype == np.uint8
    assert np.abs(other.images.astype(int) - plain.images).mean() > 1
    assert np.array_equal(other.reversed().images, other.images[::-1])


@pytest.mark.slow
def test_ood_goes_through_the_families(tmp_path: Path) -> None:
    rows = read_rows(finish(synthesise(tmp_path, clips_per_class=len(FAMILIES), split="ood", seed=1, motions=1)))
    assert {row.label for row in rows} == set(next(iter(MOTIONS)))
    assert {row.family for row in rows} == set(FAMILIES)


@pytest.mark.slow
def test_static_shows_each_scene_in_all_versions(tmp_path: Path) -> None:
    manifest = finish(synthesise(tmp_path, clips_per_class=len(VERSIONS), split="static", seed=1, workers=1))
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert {row["label"] for row in rows} == {label for names in MOTIONS_OF_THINGS for label in names}
    versions = [row for row in rows if row["label"] == "Opening something"]
    assert [row["family"] for row in versions] == list(VERSIONS) and len({row["seed"] for row in versions}) == 1


@pytest.mark.slow
def test_stills_name_what_they_show() -> None:
    drawn = list(stills(50, 2, only_single=True))
    assert all(len(name.split()) == 2 for _, _, name in drawn)
    again = list(stills(50, 2, only_single=True))
    assert [c for _, c, _ in drawn] == [c for _, c, _ in again]
    words = {word for _, caption, _ in stills(3000, 4) for word in caption.replace(",", " ").split()}
    expected = (
        "something camera left right up down closer away into out table covered uncovered each other hand behind open"
    )
    assert set(expected.split()) <= words


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 clip"):
        finish(synthesise(tmp_path, clips_per_class=0, split="val", seed=0))
    (tmp_path / "m.jsonl").write_text('{"path": "a.mp4", "label": "x"}\n{"label": "x"}\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_rows(tmp_path / "m.jsonl")
    with pytest.raises(ConfigError, match="no manifest or folder"):
        read_rows(tmp_path / "gone")
