"""Surfaces: natural image statistics, determinism, and motions over them in the named directions."""

import json
from pathlib import Path

import numpy as np
import pytest

from ezclip.data.photographs import PAIRS
from ezclip.data.tabletop.classes import MOTIONS
from ezclip.data.tabletop.generate import synthesise
from ezclip.data.tabletop.plain import plain_pair, render_plain
from ezclip.data.tabletop.render import NUM_FRAMES, render
from ezclip.data.tabletop.scene import CANVAS
from ezclip.data.tabletop.stills.wide import wide_stills
from ezclip.data.tabletop.surfaces import surface
from ezclip.errors import ConfigError
from ezclip.progress import finish


def amplitude_slope(picture: np.ndarray) -> float:
    """Exponent of the frequency in the amplitude spectrum, between 1/64 and 1/4 cycles per pixel."""
    grey = picture.astype(float).mean(axis=-1)
    n = len(grey)
    window = np.hanning(n)[:, None] * np.hanning(n)
    spectrum = np.abs(np.fft.fft2((grey - grey.mean()) * window))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    bands = np.geomspace(1 / 64, 1 / 4, 9)
    means = [spectrum[(frequency >= a) & (frequency < b)].mean() for a, b in zip(bands[:-1], bands[1:])]
    return float(np.polyfit(np.log(np.sqrt(bands[1:] * bands[:-1])), np.log(means), 1)[0])


def test_spectra_fall_as_those_of_photographs() -> None:
    """About -1 in photographs (Field 1987)."""
    slopes = [amplitude_slope(np.asarray(surface(np.random.default_rng(seed), 128))) for seed in range(60)]
    assert -1.7 < np.median(slopes) < -0.8


def test_same_seed_same_surface() -> None:
    one, again, other = (np.asarray(surface(np.random.default_rng(seed), 96)) for seed in (3, 3, 4))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert one.shape == (96, 96, 3) and one.dtype == np.uint8


def test_seven_motions_can_be_plain() -> None:
    """The motions of the six pairs; pushing and pulling share one."""
    pairs = {names: pair for names in MOTIONS if (pair := plain_pair(names))}
    assert set(pairs.values()) == set(PAIRS)
    assert sum(pair.name == "thing left, right" for pair in pairs.values()) == 2 and len(pairs) == 7


@pytest.mark.parametrize("names", [n for n in MOTIONS if (p := plain_pair(n)) and p.moves == "things"])
def test_plain_things_go_where_the_name_says(names: tuple[str, ...]) -> None:
    pair = plain_pair(names)
    assert pair is not None
    clip = render_plain(pair, names, 5)
    moving = clip.masks == 2
    rows, columns = (np.array([np.nonzero(mask)[axis].mean() for mask in moving[[0, -1]]]) for axis in (0, 1))
    change = (columns[1] - columns[0], rows[1] - rows[0], moving[0].sum() - moving[-1].sum())
    expected = -1 if names[0] == pair.tabletop[0] else 1
    assert np.sign(change[pair.axis]) == expected and abs(change[pair.axis]) > 30
    assert clip.images.shape == (NUM_FRAMES, 128, 128, 3)


@pytest.mark.slow
def test_surfaces_change_the_picture_and_not_the_motion() -> None:
    names = ("Moving something up", "Moving something down")
    ordinary, over = render(names, 3), render(names, 3, surfaces=True)
    assert np.abs(ordinary.images.astype(int) - over.images).mean() > 5
    up = [np.nonzero(over.masks[i] == 2)[0].mean() for i in (0, -1)]
    assert up[1] < up[0] - 5


def test_half_of_a_split_is_over_surfaces(tmp_path: Path) -> None:
    options = {"split": "val", "seed": 2, "motions": 1, "workers": 1}
    manifest = finish(synthesise(tmp_path, clips_per_class=5, surfaces=0.4, **options))
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [row["family"] for row in rows[:5]] == [None, None, "wider_world", None, "wider_world"]
    plain = finish(synthesise(tmp_path / "plain", clips_per_class=5, **options))
    same = [(manifest.parent / r["path"]).read_bytes() == (plain.parent / r["path"]).read_bytes() for r in rows[:5]]
    assert same == [True, True, False, True, False]
    with pytest.raises(ConfigError, match="only of train and val"):
        finish(synthesise(tmp_path, clips_per_class=1, split="ood", seed=0, surfaces=0.5))


def test_plain_clips_are_added_where_the_motion_allows_them(tmp_path: Path) -> None:
    options = {"split": "train", "seed": 2, "motions": 3, "workers": 1, "clips_per_class": 1, "masks": True}
    manifest = finish(synthesise(tmp_path, plain=2, **options))
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    added = [row for row in rows if row["family"] == "wider_world"]
    labels = ("Pulling something from right to left", "Pushing something from left to right")
    assert [(row["label"], Path(row["path"]).stem) for row in added] == [
        (label, number) for label in labels for number in ("00001", "00002")
    ]
    assert len(rows) == 6 + len(added), "one clip of each class of the three motions"
    plain = finish(synthesise(tmp_path / "without", **options))
    for row in map(json.loads, plain.read_text().splitlines()):
        assert (manifest.parent / row["path"]).read_bytes() == (plain.parent / row["path"]).read_bytes()
    with pytest.raises(ConfigError, match="plain 1 of split 'ood'"):
        finish(synthesise(tmp_path, clips_per_class=1, split="ood", seed=0, plain=1))


def test_windows_of_wide_stills_lie_on_the_canvas() -> None:
    drawn = list(wide_stills(12, 1, 0.5))
    for (canvas, (x, y, side), caption), (again, *_) in zip(drawn, wide_stills(12, 1, 0.5), strict=True):
        assert np.array_equal(canvas, again) and canvas.shape == (CANVAS, CANVAS, 3) and caption
        assert side / 2 - 1e-9 <= min(x, y) and max(x, y) <= CANVAS - side / 2 + 1e-9
    assert any("patterned" in caption for _, _, caption in drawn)
