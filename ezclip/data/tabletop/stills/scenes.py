"""Captioned still scenes for pretraining: static images, like CLIP's training data.

The captions use the words of the class names (something, left, right, up, down, closer, away, into, behind, camera,
open, upright ...) as captions of photos do, for the part of a motion that one picture can show: an open chest is
"opening", a fist next to a thing may push or pull.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from ezclip.data.tabletop.cast import UPRIGHT, Cast, standing
from ezclip.data.tabletop.scene import (
    CANVAS,
    VIEW,
    Camera,
    Placement,
    Scene,
    compose,
    depth_scale,
    table,
)
from ezclip.data.tabletop.sprites import COLOURS, THINGS, Sprite, chest, cloth, container
from ezclip.data.tabletop.surfaces import backdrop

Still = tuple[list[Placement], Camera, list[str]]
Square = tuple[float, float, float]
_Scene = tuple[Image.Image, list[Placement], Camera, list[str], np.random.Generator]
_TABLES = 48  # number of tables in a batch, each used for several stills
_CENTRE = Camera()


def _name(sprite: Sprite, rng: np.random.Generator) -> str:
    """Mostly "a red mug"; sometimes only the colour, the kind, or "something"."""
    colour, kind = sprite.name.split()
    choices = [with_article(sprite.name), f"something {colour}", with_article(kind), "something"]
    return str(rng.choice(choices, p=[0.7, 0.1, 0.12, 0.08]))


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def single(cast: Cast) -> Still:
    """One thing anywhere in the picture, near or far, left or right."""
    rng = cast.rng
    (sprite,) = cast.things(1)
    x, y = 112 + rng.uniform(-50, 50), rng.uniform(104, 176)
    zoom, scale = rng.uniform(0.8, 1.9), depth_scale(y)
    limit = max(0.87 * VIEW / zoom / 2 - 27 * scale, 2)  # largest offset from the centre that keeps the thing visible
    dx, dy = rng.uniform(-limit, limit, 2)
    half = VIEW / zoom / 2
    aim_x, aim_y = np.clip([x - dx, y - 25 * scale - dy], half, CANVAS - half)
    camera = Camera(aim_x, aim_y, zoom)
    name = _name(sprite, rng)
    captions = [name, f"{name} on a table", f"a photo of {name}"]
    if zoom > 1.5:
        captions += [f"{name} close to the camera", f"the camera close to {name}"]
    if zoom < 1.0:
        captions += [f"{name} far away from the camera", f"the camera away from {name}"]
    offset_x = (x - camera.x) * zoom
    if abs(offset_x) > 18:
        side, opposite = ("left", "right") if offset_x < 0 else ("right", "left")
        captions += [f"{name} on the {side}", f"turning the camera {opposite} while filming {name}"]
    offset_y = (y - 25 * scale - camera.y) * zoom
    if abs(offset_y) > 18:
        captions += [f"turning the camera {'upwards' if offset_y > 0 else 'downwards'} while filming {name}"]
    return [standing(sprite, x, y)], camera, captions


def two(cast: Cast) -> Still:
    """Two things side by side, close or far."""
    rng = cast.rng
    a, b = cast.things(2)
    y, gap = rng.uniform(128, 174), rng.choice([rng.uniform(32, 44), rng.uniform(74, 104)])
    middle = 112 + rng.uniform(-16, 16)
    first, second = _name(a, rng), _name(b, rng)
    near = gap < 50
    captions = [
        f"{first} and {second}",
        f"{first} left of {second}",
        f"{second} to the right of {first}",
        f"{first} {'close to' if near else 'away from'} {second}",
        f"{first} and {second} {'closer to' if near else 'away from'} each other",
    ]
    return [standing(a, middle - gap / 2, y), standing(b, middle + gap / 2, y)], _CENTRE, captions


def behind(cast: Cast) -> Still:
    """One thing behind another, partly hidden."""
    rng = cast.rng
    a, b = cast.things(2)
    y = rng.uniform(150, 176)
    x, offset = 112 + rng.uniform(-24, 24), rng.choice([-1, 1]) * rng.uniform(4, 26)
    hidden_y = y - rng.uniform(12, 18)
    first, second = _name(a, rng), _name(b, rng)
    captions = [f"{first} behind {second}", f"{second} in front of {first}"]
    hidden = Placement(a, x + offset, hidden_y, scale=0.8 * depth_scale(hidden_y))
    return [hidden, Placement(b, x, y, scale=1.35 * depth_scale(y))], _CENTRE, captions


def with_hand(cast: Cast) -> Still:
    """A fist next to a thing, or holding it above or on the table."""
    rng = cast.rng
    (sprite,) = cast.things(1)
    side = str(rng.choice(["left", "right", "above"]))
    fist, name = cast.hand(side), _name(sprite, rng)
    x, y = 112 + rng.uniform(-36, 36), rng.uniform(134, 176)
    scale = depth_scale(y)
    if side == "above":
        lift = float(rng.choice([0.0, rng.uniform(34, 66)]))
        grip = Placement(fist, x, y - lift - (sprite.height - 8) * scale, scale=scale, shadow=False)
        where = "up above" if lift else "down on"
        return (
            [standing(sprite, x, y, lift=lift), grip],
            _CENTRE,
            [f"a hand holding {name}", f"{name} {where} the table", f"a hand with {name} {where} the table"],
        )
    sign = -1 if side == "left" else 1
    opposite = "right" if sign < 0 else "left"
    gap = float(rng.choice([-2.0, rng.uniform(8, 40)]))
    distance = (sprite.width / 2 + fist.width / 2 + gap) * scale
    captions = [
        f"a hand on the {side}, {name} on the {opposite}",
        f"{name} on the {opposite}, a hand on the {side}",
        f"a hand from the {side} {'poking' if gap < 0 else 'next to'} {name}",
    ]
    if gap < 0:
        captions += [f"pushing {name} from {side} to {opposite}", f"pulling {name} from {opposite} to {side}"]
    return (
        [standing(sprite, x, y), Placement(fist, x + sign * distance, y - 4 * scale, scale=scale, shadow=False)],
        _CENTRE,
        captions,
    )


def lying(cast: Cast) -> Still:
    """A thing that stands upright or has been tipped over."""
    rng = cast.rng
    (sprite,) = cast.things(1, UPRIGHT)
    angle, name = float(rng.choice([0, 90])), _name(sprite, rng)
    x, y = 112 + rng.uniform(-36, 36), rng.uniform(138, 176)
    tipped = replace(sprite, pivot=sprite.right - 4)
    captions = (
        [f"tipping {name} over", f"{name} lying on its side"]
        if angle
        else [f"{name} upright on the table", f"putting {name} upright on the table"]
    )
    return [Placement(tipped, x, y, scale=1.1 * depth_scale(y), angle=angle)], _CENTRE, captions


def lidded(cast: Cast) -> Still:
    """A chest that is open or closed."""
    rng = cast.rng
    colour = cast.colour()
    body, lid = chest(colour, rng)
    x, y = 112 + rng.uniform(-36, 36), rng.uniform(138, 176)
    scale, angle = 1.1 * depth_scale(y), float(rng.choice([0, rng.uniform(30, 100)]))
    hinge, rim = x - (body.width / 2 - 1) * scale, y - (body.height - 10) * scale
    of_colour = with_article(colour)
    state, doing = ("open", "opening") if angle else ("closed", "closing")
    captions = [f"{of_colour} chest that is {state}", f"{doing} {of_colour} chest", f"{doing} something"]
    flap = Placement(lid, hinge, rim, scale=scale, angle=-angle, shadow=False)
    return [Placement(body, x, y, scale=scale), flap], _CENTRE, captions


def covered(cast: Cast) -> Still:
    """A cloth above a thing or covering it."""
    rng = cast.rng
    (sprite,) = cast.things(1)
    sheet = cloth(cast.colour(), rng)
    x, y = 112 + rng.uniform(-34, 34), rng.uniform(138, 174)
    lift = float(rng.choice([0.0, rng.uniform(46, 80)]))
    cover = Placement(sheet, x + rng.uniform(-16, 16) * (lift > 0), y + 2, lift=lift, scale=1.12 * depth_scale(y))
    colour, name = sheet.name.split()[0], _name(sprite, rng)
    of_colour = with_article(colour)
    captions = (
        [f"{of_colour} cloth above {name}", f"uncovering {name}", f"{name} uncovered and a cloth"]
        if lift
        else [f"covering something with {of_colour} cloth", f"something covered with {of_colour} cloth"]
    )
    return [standing(sprite, x, y), cover], _CENTRE, captions


def bowl(cast: Cast) -> Still:
    """A thing in a bowl, above it or next to it."""
    rng = cast.rng
    (sprite,) = cast.things(1)
    colour, name = cast.colour(), _name(sprite, rng)
    back, front = container(colour, rng)
    x, y = 112 + rng.uniform(-26, 26), rng.uniform(146, 176)
    size, scale = 1.1 * depth_scale(y), 0.74 * depth_scale(y)
    lift, offset = 8 * size, 0.0
    of_colour = with_article(colour)
    captions = [f"{name} in {of_colour} bowl", f"{name} put into a bowl"]
    if rng.random() < 0.6:
        lift, offset = rng.uniform(50, 64), float(rng.choice([0, -1, 1])) * rng.uniform(26, 44)
        captions = [f"{name} above {of_colour} bowl", f"{name} taken out of a bowl"]
    placements = [
        Placement(back, x, y - 23 * size, scale=size, shadow=False),
        Placement(sprite, x + offset, y, lift=lift, scale=scale, shadow=False),
        Placement(front, x, y, scale=size),
    ]
    return placements, _CENTRE, captions


_KINDS: list[tuple[Callable[[Cast], Still], float]] = [
    (single, 0.42),
    (two, 0.14),
    (behind, 0.06),
    (with_hand, 0.16),
    (lying, 0.05),
    (lidded, 0.04),
    (covered, 0.05),
    (bowl, 0.08),
]


def stills(
    count: int, seed: int, *, only_single: bool = False, kinds: tuple[str, ...] = tuple(THINGS)
) -> Iterator[tuple[Image.Image, str, str]]:
    """Draw still scenes.

    Args:
        count: number of scenes.
        seed: any non-negative integer.
        only_single: draw one object per scene, for the test of colours and shapes.
        kinds: names of things to sample from.

    Yields:
        The picture (FRAME x FRAME), a caption, and the name of the first thing, for example "red mug".
    """
    scenes = draw_scenes(count, seed, 0.0, lambda rng, _: Cast(rng, kinds), only_single=only_single)
    for background, placements, camera, captions, rng in scenes:
        frame, _ = compose(background, Scene(placements, camera))
        yield Image.fromarray(light(frame, rng)), str(rng.choice(captions)), placements[0].sprite.name


def draw_scenes(
    count: int,
    seed: int,
    surfaces: float,
    make_cast: Callable[[np.random.Generator, float], Cast],
    *,
    only_single: bool = False,
) -> Iterator[_Scene]:
    """Background, placements, camera, captions and random numbers of scenes; see ``stills`` and ``wide_stills``."""
    rng = np.random.default_rng(seed)
    tables: list[Image.Image] = []
    for i in range(count):
        if i % (_TABLES * 8) == 0:
            tables = [table(rng) for _ in range(_TABLES)]
        kind = 0 if only_single else rng.choice(len(_KINDS), p=[p for _, p in _KINDS])
        over_surface = bool(surfaces) and rng.random() < surfaces
        still = _KINDS[kind][0](make_cast(rng, 0.7 if over_surface else 0.0))
        yield (backdrop(rng, CANVAS) if over_surface else tables[rng.integers(_TABLES)], *still, rng)


def light(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """The picture under light of random intensity and colour, with noise."""
    gains = rng.uniform(0.5, 1.2) * (1 + rng.uniform(-0.1, 0.1, 3))
    pixels = np.asarray(picture, np.float32) * gains + rng.normal(0, rng.uniform(1, 5), (*picture.size, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def zero_shot_prompts(kinds: tuple[str, ...] = tuple(THINGS)) -> dict[str, list[str]]:
    """Prompts of the backbone's zero-shot test: one per colour and one per kind of thing."""
    return {
        "colour": [f"something {colour} on a table" for colour in COLOURS],
        "shape": [f"{with_article(kind)} on a table" for kind in kinds],
    }
