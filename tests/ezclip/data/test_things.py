"""The wider world: named things that can be told apart, hands of many looks, and places."""

from itertools import combinations

import numpy as np
import pytest

from ezclip.data.tabletop.cast import WIDE
from ezclip.data.tabletop.sprites import COLOURS, SIZE, THINGS, UNSEEN_THINGS, Sprite, arm, hand, thing
from ezclip.data.tabletop.stills.scenes import stills, zero_shot_prompts
from ezclip.data.tabletop.stills.wide import wide_stills
from ezclip.data.tabletop.surfaces import backdrop, place
from ezclip.data.tabletop.things import WIDE_THINGS


def draw(name: str, colour: str, seed: int) -> Sprite:
    return thing((THINGS | WIDE_THINGS)[name], name, colour, np.random.default_rng(seed))


def test_at_least_sixty_named_things_and_none_of_the_unseen() -> None:
    assert len(set(WIDE)) == len(WIDE) >= 60
    assert set(THINGS) < set(WIDE) and not set(UNSEEN_THINGS) & set(WIDE)
    prompts = zero_shot_prompts(WIDE)
    assert len(prompts["shape"]) == len(WIDE) and len(prompts["colour"]) == len(COLOURS)
    assert {"an apple on a table", "a bag on a table"} < set(prompts["shape"])


def test_silhouettes_differ() -> None:
    silhouettes = {}
    for name in WIDE:
        sprite = draw(name, "red", 0)
        silhouettes[name] = np.asarray(sprite.image)[..., 3] > 128
        assert sprite.name == f"red {name}" and sprite.image.size == (SIZE, SIZE)
        assert sprite.foot > 0.8 * SIZE and sprite.width > 0.3 * SIZE and silhouettes[name].sum() > 400
    overlap = {
        (a, b): (silhouettes[a] & silhouettes[b]).sum() / (silhouettes[a] | silhouettes[b]).sum()
        for a, b in combinations(WIDE, 2)
    }
    assert max(overlap.values()) < 0.9, max(overlap, key=overlap.__getitem__)


@pytest.mark.parametrize("name", WIDE)
def test_the_named_colour_is_the_most_common_hue(name: str) -> None:
    """Among the strong colours of a picture, a blue thing has more blue than red, and a red one more red than blue."""
    for colour, strong, weak in (("red", 0, 2), ("blue", 2, 0)):
        pixels = np.asarray(draw(name, colour, 1).image, int)
        pixels = pixels[pixels[..., 3] > 128]
        assert (pixels[:, strong] > pixels[:, weak] + 40).mean() > 0.25


@pytest.mark.parametrize("direction", ["left", "right", "above"])
def test_arms_come_from_their_side_and_reach_as_far_as_the_hand_of_the_benchmark(direction: str) -> None:
    usual = hand(direction, np.random.default_rng(0))
    pictures = set()
    for seed in range(12):
        sprite = arm(direction, np.random.default_rng(seed))
        alpha = np.asarray(sprite.image)[..., 3] > 128
        edge = {"left": alpha[:, 0], "right": alpha[:, -1], "above": alpha[0]}[direction]
        assert edge.any() and sprite.image.size == usual.image.size
        tip = {"left": sprite.right - usual.right, "right": sprite.left - usual.left, "above": sprite.foot - usual.foot}
        assert abs(tip[direction]) <= 3
        pictures.add(sprite.image.tobytes())
    assert len(pictures) == 12


def test_places_are_pictures_of_their_own() -> None:
    drawn = [np.asarray(place(np.random.default_rng(seed), 96)) for seed in range(30)]
    assert all(p.shape == (96, 96, 3) and p.dtype == np.uint8 and p.std() > 5 for p in drawn)
    assert len({p.tobytes() for p in drawn}) == 30
    one, again = (np.asarray(backdrop(np.random.default_rng(9), 96)) for _ in range(2))
    assert np.array_equal(one, again)


def test_stills_of_the_wider_world_show_its_things() -> None:
    captions = " ".join(caption for *_, caption in wide_stills(150, 3, 0.5))
    assert sum(f" {name}" in captions for name in WIDE) > 30
    assert not any(f" {name}" in captions for name in UNSEEN_THINGS)
    names = {name.split()[1] for *_, name in stills(200, 4, only_single=True, kinds=WIDE)}
    assert len(names) > 50
    assert {name.split()[1] for *_, name in stills(40, 4, only_single=True)} <= set(THINGS)
