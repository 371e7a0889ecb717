"""Versions of a clip that separate moving from static content."""

import numpy as np

from ezclip.data.tabletop.render import render
from ezclip.data.tabletop.scene import BACKGROUND, MOVING, STILL
from ezclip.data.tabletop.static_bias import MOTIONS_OF_THINGS, VERSIONS, donor

PAIR, SEED = ("Opening something", "Closing something"), 3
CLIP = render(PAIR, SEED)
MOVES = CLIP.masks == MOVING
DRAWN = {name: version(PAIR, SEED) for name, version in VERSIONS.items()}


def test_the_background_keeps_all_but_what_moves() -> None:
    background = DRAWN["background_only"]
    assert not (background.masks == MOVING).any()
    assert np.array_equal(background.masks[~MOVES], CLIP.masks[~MOVES])
    still = CLIP.masks == STILL
    assert (background.images[still] == CLIP.images[still]).mean() > 0.9  # some edges lose the shadow of what moves


def test_stripes_stand_still_behind_the_pixels_that_move() -> None:
    stripes, still = DRAWN["stripes"], DRAWN["still_stripes"]
    assert np.array_equal(stripes.images[MOVES], CLIP.images[MOVES])
    never = ~MOVES.any(axis=0)
    assert never.any() and not np.ptp(stripes.images[:, never].astype(int), axis=0).any()
    assert (stripes.masks[~MOVES] == BACKGROUND).all()
    assert any(np.array_equal(still.images[0], frame) for frame in stripes.images)
    assert not np.ptp(still.images.astype(int), axis=0).any()


def test_a_conflicting_foreground_stands_behind() -> None:
    conflicting, stripes = DRAWN["conflicting_foreground"], DRAWN["stripes"]
    assert np.array_equal(conflicting.images[MOVES], CLIP.images[MOVES])
    stands = conflicting.masks == STILL
    assert stands.any() and np.array_equal(conflicting.images[~stands], stripes.images[~stands])
    assert not np.array_equal(conflicting.images[stands], stripes.images[stands])


def test_an_action_swap_has_two_clips() -> None:
    other, seed = donor(PAIR, SEED)
    swapped, behind = DRAWN["action_swap"], render(other, seed, foreground=False)
    assert other in MOTIONS_OF_THINGS and other != PAIR
    assert np.array_equal(swapped.images[MOVES], CLIP.images[MOVES])
    assert np.array_equal(swapped.images[~MOVES], behind.images[~MOVES])


def test_motions_of_the_camera_have_no_versions() -> None:
    assert len(MOTIONS_OF_THINGS) == 14
    assert not any("amera left" in name or "your camera" in name for names in MOTIONS_OF_THINGS for name in names)
    assert ("Moving something towards the camera", "Moving something away from the camera") in MOTIONS_OF_THINGS
