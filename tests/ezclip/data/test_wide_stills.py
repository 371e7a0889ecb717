"""Captions and looks of the wider world's stills."""

from dataclasses import replace

import numpy as np
import pytest

from ezclip.data.tabletop.cast import Cast
from ezclip.data.tabletop.scene import CANVAS, VIEW, Camera, Placement
from ezclip.data.tabletop.stills.wide import LOOKS, look, place, places, without_colours
from ezclip.data.tabletop.surfaces import PATTERNED

MIDDLE = Camera()


def at(x: float, y: float) -> Placement:
    """A thing whose middle is this far from the middle of the window, in sides of the window."""
    (sprite,) = Cast(np.random.default_rng(0)).things(1)
    # the lift takes the foot, on row 184, where things have their full size of 50, to 25 below the middle
    return Placement(sprite, CANVAS / 2 + x * VIEW, 184, lift=184 - 25 - CANVAS / 2 - y * VIEW)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (-0.4, 0.0, "at the far left, halfway up"),
        (-0.1, -0.3, "on the left, high up"),
        (0.0, 0.3, "in the middle, low down"),
        (0.2, 0.05, "on the right, halfway up"),
        (0.25, 0.11, "at the far right, low down"),
    ],
)
def test_places(x: float, y: float, words: str) -> None:
    assert place(at(x, y), MIDDLE, detailed=True) == words
    assert place(at(x, y), MIDDLE, detailed=False) == words.partition(",")[0]
    # zoomed in by 2 about its own middle, every thing is in the middle
    near = Camera(CANVAS / 2 + x * VIEW, CANVAS / 2 + y * VIEW, 2.0)
    assert place(at(x, y), near, detailed=True) == "in the middle, halfway up"


def test_captions_of_places_name_what_is_there() -> None:
    left, right = at(-0.3, 0), at(0.1, 0)
    right = replace(right, sprite=replace(right.sprite, name=f"{PATTERNED} thing"))
    hand = replace(left, sprite=replace(left.sprite, name="hand"))
    rng = np.random.default_rng(0)
    captions = {places([hand, left, right], MIDDLE, rng).split(",")[0] for _ in range(200)}
    assert f"a {PATTERNED} thing on the right" in captions and "something at the far left" in captions
    assert not any("hand" in caption or "far right" in caption for caption in captions)
    assert places([hand], MIDDLE, rng) == "something on a table"


def test_colours_that_cannot_be_seen() -> None:
    assert without_colours("an orange mug on the left and a red apple") == "a mug on the left and an apple"
    assert without_colours("something blue on a table") == "something on a table"
    assert without_colours("covering something with a pink cloth") == "covering something with a cloth"


def test_looks() -> None:
    picture, rng = np.full((32, 32, 3), (200, 40, 40), np.uint8), np.random.default_rng(0)
    picture[8:24, 8:24] = (40, 40, 200)
    drawn = [look(picture, "a red mug", rng) for _ in range(300)]
    grey = [image for image, caption in drawn if caption == "a mug"]
    assert all(image.dtype == np.uint8 and image.shape == picture.shape for image, _ in drawn)
    assert len(grey) == pytest.approx(300 * (LOOKS["sketch"] + LOOKS["grey"]), abs=15)
    assert all((image[..., :1] == image).all() for image in grey)
    assert sum(np.array_equal(image, picture) for image, _ in drawn) == pytest.approx(300 * LOOKS["plain"], abs=25)
    assert sum(image.mean() < 60 for image, _ in drawn) > 20
