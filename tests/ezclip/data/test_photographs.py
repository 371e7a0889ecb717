"""Motions rendered from photographs: geometry by hand, limits of the random draws, readable files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ezclip.data.photographs import (
    MARGIN,
    PAIRS,
    SIDE,
    Track,
    camera_frames,
    cut_out,
    draw_camera,
    draw_clips,
    draw_thing,
    read_photographs,
    thing_frames,
)
from ezclip.data.tabletop.cast import Cast
from ezclip.data.tabletop.classes import MOTIONS, PARTNER
from ezclip.errors import UserError
from tests.conftest import write_video


def centre_of_light(frames: np.ndarray) -> np.ndarray:
    """Centroid of the brightness of each frame in pixels from its upper left corner, (T, 2) x and y."""
    light = frames.astype(float).sum(axis=-1)
    at = np.arange(SIDE) + 0.5
    total = light.sum(axis=(1, 2))
    return np.stack([(light.sum(axis=1) @ at) / total, (light.sum(axis=2) @ at) / total], axis=1)


def spot(x: int, y: int) -> np.ndarray:
    """A dark photograph of 300 x 200 with a bright square of 8 pixels around (x, y)."""
    image = np.zeros((200, 300, 3), np.uint8)
    image[y - 4 : y + 4, x - 4 : x + 4] = 255
    return image


def test_a_pan_to_the_left_moves_the_contents_to_the_right() -> None:
    """The window of 128 pixels is shown twice as large, so 40 pixels of pan are 80 in the frame."""
    frames = camera_frames(spot(150, 90), Track((180, 100, 128), (140, 100, 128)), 5)
    centres = centre_of_light(frames)
    assert centres[:, 0] == pytest.approx([68, 88, 108, 128, 148], abs=0.3)
    assert centres[:, 1] == pytest.approx([108] * 5, abs=0.3)


def test_zooming_in_moves_the_contents_outwards_by_equal_factors() -> None:
    centres = centre_of_light(camera_frames(spot(160, 100), Track((150, 100, 160), (150, 100, 40)), 3))
    assert centres[:, 0] == pytest.approx([128 + 10 * 256 / side for side in (160, 80, 40)], abs=0.5)
    assert centres[:, 1] == pytest.approx([128] * 3, abs=0.5)


def test_a_thing_is_where_its_track_says_and_covers_what_is_behind() -> None:
    thing = Image.new("RGBA", (64, 64), (255, 255, 255, 255))
    track = Track((160, 80, 20), (100, 80, 40))
    frames = thing_frames(np.zeros((SIDE, SIDE, 3), np.uint8), thing, track, 3)
    assert centre_of_light(frames) == pytest.approx(np.array([[160, 80], [130, 80], [100, 80]]), abs=0.51)
    assert [(frame > 0).all(axis=-1).sum() for frame in frames] == [20**2, 28**2, 40**2]  # 28 = 20 * sqrt(2)


def test_one_frame_shows_the_middle() -> None:
    assert Track((0, 0, 10), (20, 40, 40)).squares(1)[0] == pytest.approx([10, 20, 20])


@pytest.mark.parametrize(("width", "height"), [(64, 64), (768, 512), (100, 700)])
def test_camera_tracks_stay_in_the_photograph(width: int, height: int) -> None:
    for seed in range(200):
        for axis in (0, 1, 2):
            track = draw_camera(axis, width, height, np.random.default_rng(seed))
            at = track.squares(9)
            assert (at[:, :2] >= at[:, 2:] / 2 - 1e-9).all()
            assert (at[:, :2] + at[:, 2:] / 2 <= np.array([width, height]) + 1e-9).all()
            moved = (at[-1] - at[0]) / at[0, 2]
            assert moved[axis] <= -0.37  # left, up, or a smaller window: nearer
            assert moved[[i for i in range(3) if i != axis]] == pytest.approx([0, 0])


def test_thing_tracks_stay_in_what_models_see() -> None:
    for seed in range(200):
        for axis in (0, 1, 2):
            at = draw_thing(axis, np.random.default_rng(seed)).squares(9)
            low, high = at[:, :2] - at[:, 2:] / 2, at[:, :2] + at[:, 2:] / 2
            assert low.min() >= MARGIN * SIDE - 1e-9 and high.max() <= SIDE - MARGIN * SIDE + 1e-9
            moved = at[-1] - at[0]
            assert moved[0] <= -0.35 * SIDE if axis == 0 else moved[1] <= -0.35 * SIDE if axis == 1 else moved[2] > 0
            assert np.count_nonzero(np.abs(moved) > 1e-9) == 1


def test_a_cut_out_is_one_textured_shape() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    shape = np.asarray(cut_out(noise, np.random.default_rng(1)))
    assert shape[..., :3].std() > 20
    assert 0.3 < (shape[..., 3] == 255).mean() < 0.8 and shape[0, 0, 3] == 0


def test_same_seed_same_clips() -> None:
    photograph, other = np.random.default_rng(0).integers(0, 256, (2, 80, 100, 3)).astype(np.uint8)
    one, again, another = (draw_clips(photograph, other, 4, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one.shape == (len(PAIRS), 4, SIDE, SIDE, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert all(not np.array_equal(a, b) for a, b in zip(one, another, strict=True))
    assert all(not np.array_equal(clip, clip[::-1]) for clip in one)


def test_names_mean_the_directions_of_tabletop() -> None:
    rng = np.random.default_rng(0)
    for pair in PAIRS:
        names = next(names for names in MOTIONS if pair.tabletop[0] in names)
        start, end = (MOTIONS[names](rng, Cast(rng))(s) for s in (0.0, 1.0))
        if pair.tabletop[0] == names[1]:
            start, end = end, start
        if pair.moves == "camera":
            change = (end.camera.x - start.camera.x, end.camera.y - start.camera.y, start.camera.zoom - end.camera.zoom)
            assert change[pair.axis] < 0  # a higher zoom is a smaller window
        else:
            (a, *_), (b, *_) = start.placements, end.placements
            moved = (b.x - a.x, (b.y - b.lift) - (a.y - a.lift), a.scale - b.scale)
            assert moved[pair.axis] < 0
    twins = [pair for pair in PAIRS if PARTNER[pair.tabletop[0]] != pair.tabletop[1]]
    assert [pair.name for pair in twins] == ["thing left, right"]  # reversed pushing is pulling


def test_pictures_and_frames_of_videos_are_read(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    Image.fromarray(np.full((600, 1200, 3), 90, np.uint8)).save(tmp_path / "below" / "wide.png")
    Image.fromarray(np.zeros((20, 90, 3), np.uint8)).save(tmp_path / "small.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    write_video(tmp_path / "film.mp4", size=(128, 96))
    photographs, skipped = read_photographs([str(tmp_path)], 3, 60)
    assert [p.image.shape for p in photographs] == [(384, 768, 3), *[(96, 128, 3)] * 3]
    assert len({p.source for p in photographs}) == 2
    assert sorted(name for name, _ in skipped) == ["broken.jpg", "small.jpg"]
    some, _ = read_photographs([str(tmp_path / "below" / "wide.png")] * 9, 1, 4)
    assert len(some) == 4
    with pytest.raises(UserError, match="No photograph or video can be used.*broken.jpg"):
        read_photographs([str(tmp_path / "broken.jpg")], 1, 60)
