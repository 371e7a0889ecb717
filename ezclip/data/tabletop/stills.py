"""Captioned still scenes for pretraining: nothing moves, as CLIP knows nothing of motion.

The captions hold the nouns and place words of the class names (something, left, right, up, down, closer, away, into,
out of, camera, covered ...), each with what a single picture shows of it.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from ezclip.data.tabletop.classes import Cast, standing
from ezclip.data.tabletop.scene import Camera, Placement, Scene, compose, depth_scale, table
from ezclip.data.tabletop.sprites import COLOURS, THINGS, Sprite, cloth, container, hand

Still = tuple[list[Placement], Camera, list[str]]
_TABLES = 48  # tables drawn at a time; each serves many stills
_CENTRE = Camera()


def _name(sprite: Sprite, rng: np.random.Generator) -> str:
    """Mostly "a red mug"; now and then only its colour, its kind, or "something"."""
    colour, kind = sprite.name.split()
    choices = [f"a {colour} {kind}", f"something {colour}", f"a {kind}", "something"]
    return str(rng.choice(choices, p=[0.7, 0.1, 0.12, 0.08])).replace("a orange", "an orange")


def single(rng: np.random.Generator) -> Still:
    """One thing anywhere, near or far, left or right."""
    (sprite,) = Cast(rng).things(1)
    x, y = 112 + rng.uniform(-50, 50), rng.uniform(104, 176)
    zoom = rng.uniform(0.8, 1.9)
    camera = Camera(112 + (x - 112) * rng.uniform(0.2, 1), 112 + (y - 30 - 112) * rng.uniform(0.2, 1), zoom)
    name = _name(sprite, rng)
    captions = [name, f"{name} on a table", f"a photo of {name}"]
    if zoom > 1.5:
        captions += [f"{name} close to the camera", f"the camera close to {name}"]
    if zoom < 1.0:
        captions += [f"{name} far away from the camera", f"the camera away from {name}"]
    seen = (x - camera.x) * zoom
    if abs(seen) > 22:
        captions += [f"{name} on the {'left' if seen < 0 else 'right'}"] * 2
    return [standing(sprite, x, y)], camera, captions


def two(rng: np.random.Generator) -> Still:
    """Two things side by side, close or far."""
    a, b = Cast(rng).things(2)
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


def held(rng: np.random.Generator) -> Still:
    """A fist beside a thing, or holding it up or down on the table."""
    (sprite,) = Cast(rng).things(1)
    side = str(rng.choice(["left", "right", "above"]))
    fist, name = hand(side, rng), _name(sprite, rng)
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
    gap = (sprite.width / 2 + fist.width / 2 - 2) * scale
    captions = [f"a hand {'left' if sign < 0 else 'right'} of {name}", f"a hand from the {side} at {name}"]
    return (
        [standing(sprite, x, y), Placement(fist, x + sign * gap, y - 4 * scale, scale=scale, shadow=False)],
        _CENTRE,
        captions,
    )


def covered(rng: np.random.Generator) -> Still:
    """A cloth above a thing, or lying over it."""
    (sprite,) = Cast(rng).things(1)
    sheet = cloth(Cast(rng).colour(), rng)
    x, y = 112 + rng.uniform(-34, 34), rng.uniform(138, 174)
    lift = float(rng.choice([0.0, rng.uniform(46, 80)]))
    over = Placement(sheet, x + rng.uniform(-16, 16) * (lift > 0), y + 2, lift=lift, scale=1.12 * depth_scale(y))
    colour, name = sheet.name.split()[0], _name(sprite, rng)
    article = "an" if colour == "orange" else "a"
    captions = (
        [f"{article} {colour} cloth above {name}", f"{name} uncovered, below a cloth", f"{name} and a cloth"]
        if lift
        else [f"{article} {colour} cloth on a table", f"something covered with {article} {colour} cloth"]
    )
    return [standing(sprite, x, y), over], _CENTRE, captions


def bowl(rng: np.random.Generator) -> Still:
    """A thing in a bowl, above it, or beside it."""
    (sprite,) = Cast(rng).things(1)
    colour, name = Cast(rng).colour(), _name(sprite, rng)
    back, front = container(colour, rng)
    x, y = 112 + rng.uniform(-26, 26), rng.uniform(146, 176)
    size, scale = 1.1 * depth_scale(y), 0.74 * depth_scale(y)
    lift, aside = 8 * size, 0.0
    article = "an" if colour == "orange" else "a"
    captions = [f"{name} in {article} {colour} bowl", f"{name} put into a bowl"]
    if rng.random() < 0.6:
        lift, aside = rng.uniform(50, 64), float(rng.choice([0, -1, 1])) * rng.uniform(26, 44)
        captions = [f"{name} above {article} {colour} bowl", f"{name} taken out of a bowl"]
    placements = [
        Placement(back, x, y - 23 * size, scale=size, shadow=False),
        Placement(sprite, x + aside, y, lift=lift, scale=scale, shadow=False),
        Placement(front, x, y, scale=size),
    ]
    return placements, _CENTRE, captions


_KINDS: list[tuple[Callable[[np.random.Generator], Still], float]] = [
    (single, 0.45),
    (two, 0.2),
    (held, 0.15),
    (covered, 0.08),
    (bowl, 0.12),
]


def stills(count: int, seed: int, *, only_single: bool = False) -> Iterator[tuple[Image.Image, str, str]]:
    """Draw still scenes.

    Args:
        count: how many.
        seed: any non-negative integer.
        only_single: one thing in each, as the test of colours and shapes needs it.

    Yields:
        The picture (FRAME x FRAME), a caption, and the first thing's name, for example "red mug".
    """
    rng = np.random.default_rng(seed)
    tables: list[Image.Image] = []
    for i in range(count):
        if i % (_TABLES * 8) == 0:
            tables = [table(rng) for _ in range(_TABLES)]
        kind = 0 if only_single else rng.choice(len(_KINDS), p=[p for _, p in _KINDS])
        placements, camera, captions = _KINDS[kind][0](rng)
        frame, _ = compose(tables[rng.integers(_TABLES)], Scene(placements, camera))
        lit = np.asarray(frame, np.float32) * rng.uniform(0.8, 1.15) + rng.normal(0, 2.5, (*frame.size, 1))
        named = next(p.sprite.name for p in placements if p.sprite.name.split()[-1] in THINGS)
        yield Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)), str(rng.choice(captions)), named


def zero_shot_prompts() -> dict[str, list[str]]:
    """Sentences for the test of what a backbone knows: one for each colour, one for each kind of thing."""
    return {
        "colour": [f"something {colour} on a table" for colour in COLOURS],
        "shape": [f"a {kind} on a table" for kind in THINGS],
    }
