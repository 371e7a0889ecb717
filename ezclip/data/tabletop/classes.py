"""The classes of Tabletop Motion, in pairs that differ by the order of time alone.

Each function draws its choices from ``rng`` and returns the scene as a function of progress s in [0, 1]. Run forwards
it shows the pair's first class, run backwards the second. Names are those of Something-Something-v2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ezclip.data.tabletop.scene import Camera, Placement, Scene, depth_scale
from ezclip.data.tabletop.sprites import COLOURS, THINGS, Sprite, cloth, container, hand, thing

Timeline = Callable[[float], Scene]


@dataclass
class Cast:
    """Draws the things that take part in a clip, no two of one kind.

    Attributes:
        rng: the clip's source of randomness.
        kinds: names of things to draw from.
    """

    rng: np.random.Generator
    kinds: tuple[str, ...] = tuple(THINGS)

    def things(self, count: int) -> list[Sprite]:
        """``count`` things of different kinds and colours."""
        kinds = self.rng.permutation(self.kinds)[:count]
        colours = self.rng.permutation(list(COLOURS))[:count]
        return [thing(kind, colour, self.rng) for kind, colour in zip(kinds, colours, strict=True)]

    def colour(self) -> str:
        """Any colour."""
        return str(self.rng.choice(list(COLOURS)))


Setup = Callable[[np.random.Generator, Cast], Timeline]
PAIRS: dict[tuple[str, str], Setup] = {}


def pair(forwards: str, backwards: str) -> Callable[[Setup], Setup]:
    """Register the setup of a pair of classes under its two names."""

    def register(setup: Setup) -> Setup:
        PAIRS[forwards, backwards] = setup
        return setup

    return register


def standing(sprite: Sprite, x: float, y: float, *, lift: float = 0.0, moving: bool = True) -> Placement:
    """A thing on the table, sized by its distance."""
    return Placement(sprite, x, y, lift=lift, scale=depth_scale(y), moving=moving)


def _arm(sprite: Sprite, x: float, y: float, scale: float) -> Placement:
    return Placement(sprite, x, y, scale=scale, moving=True, shadow=False)


@pair("Moving something closer to something", "Moving something away from something")
def closer(rng: np.random.Generator, cast: Cast) -> Timeline:
    """One thing moves along the table up to another, which stays."""
    mover, goal = cast.things(2)
    side = rng.choice([-1, 1])
    y = rng.uniform(132, 172)
    goal_x = 112 - side * rng.uniform(28, 40)
    far, near = rng.uniform(84, 100), rng.uniform(34, 40) * depth_scale(y)
    drift = rng.uniform(-12, 12)
    return lambda s: Scene(
        [
            standing(goal, goal_x, y, moving=False),
            standing(mover, goal_x + side * (far + (near - far) * s), y + drift * (1 - s)),
        ]
    )


@pair(
    "Moving something and something closer to each other",
    "Moving something and something away from each other",
)
def together(rng: np.random.Generator, cast: Cast) -> Timeline:
    """Two things move along the table until they nearly touch."""
    a, b = cast.things(2)
    y = rng.uniform(132, 172)
    middle = 112 + rng.uniform(-12, 12)
    far, near = rng.uniform(48, 58), rng.uniform(17, 21) * depth_scale(y)
    return lambda s: Scene([standing(t, middle + side * (far + (near - far) * s), y) for t, side in ((a, -1), (b, 1))])


@pair("Pushing something from left to right", "Pulling something from right to left")
def push(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A fist on the thing's left drives it to the right; backwards it draws the thing to the left."""
    (mover,) = cast.things(1)
    fist = hand("left", rng)
    y = rng.uniform(132, 172)
    scale = depth_scale(y)
    start, end = 112 - rng.uniform(26, 44), 112 + rng.uniform(26, 44)
    gap = (mover.width / 2 + fist.width / 2 - 2) * scale

    def timeline(s: float) -> Scene:
        x = start + (end - start) * s
        return Scene([standing(mover, x, y), _arm(fist, x - gap, y - 4 * scale, scale)])

    return timeline


@pair("Turning the camera left while filming something", "Turning the camera right while filming something")
def turn(rng: np.random.Generator, cast: Cast) -> Timeline:
    """The camera swings to the left, so that a thing that stands still wanders to the right of the picture."""
    (goal,) = cast.things(1)
    x, y = 112 + rng.uniform(-20, 20), rng.uniform(128, 166)
    zoom = rng.uniform(1.25, 1.6)
    right, left = x + rng.uniform(24, 40), x - rng.uniform(24, 40)
    height = 112 + rng.uniform(-8, 12)
    return lambda s: Scene([standing(goal, x, y)], Camera(right + (left - right) * s, height, zoom))


@pair("Covering something with something", "Uncovering something")
def cover(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A cloth comes down from above until it hides a thing."""
    (hidden,) = cast.things(1)
    sheet = cloth(cast.colour(), rng)
    x, y = 112 + rng.uniform(-30, 30), rng.uniform(138, 172)
    lift, aside = rng.uniform(64, 80), rng.uniform(-26, 26)

    def timeline(s: float) -> Scene:
        draped = Placement(
            sheet, x + aside * (1 - s), y + 2, lift=lift * (1 - s), scale=1.12 * depth_scale(y), moving=True
        )
        return Scene([standing(hidden, x, y, moving=False), draped])

    return timeline


@pair("Moving something up", "Moving something down")
def lift(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand from above raises a thing off the table."""
    (mover,) = cast.things(1)
    fist = hand("above", rng)
    x, y = 112 + rng.uniform(-36, 36), rng.uniform(140, 176)
    scale, height = depth_scale(y), rng.uniform(54, 72)

    def timeline(s: float) -> Scene:
        grip = y - height * s - (mover.height - 8) * scale
        return Scene([standing(mover, x, y, lift=height * s), _arm(fist, x, grip, scale)])

    return timeline


@pair("Approaching something with your camera", "Moving away from something with your camera")
def approach(rng: np.random.Generator, cast: Cast) -> Timeline:
    """The camera comes nearer to a thing that stands still."""
    (goal,) = cast.things(1)
    x, y = 112 + rng.uniform(-30, 30), rng.uniform(134, 168)
    wide, tight = rng.uniform(0.76, 0.86), rng.uniform(1.7, 2.1)

    def timeline(s: float) -> Scene:
        zoom = wide * (tight / wide) ** s
        camera = Camera(112 + (x - 112) * s, 112 + (y - 22 - 112) * s, zoom)
        return Scene([standing(goal, x, y)], camera)

    return timeline


@pair("Putting something into something", "Taking something out of something")
def put_into(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand carries a thing over a bowl and lowers it in."""
    (mover,) = cast.things(1)
    fist = hand("above", rng)
    back, front = container(cast.colour(), rng)
    x, y = 112 + rng.uniform(-26, 26), rng.uniform(150, 178)
    aside, height = rng.choice([-1, 1]) * rng.uniform(30, 46), rng.uniform(52, 62)
    bowl = 1.1 * depth_scale(y)
    scale = 0.74 * depth_scale(y)

    def timeline(s: float) -> Scene:
        over = min(s / 0.5, 1.0)  # first sideways, then down
        down = max((s - 0.4) / 0.6, 0.0)
        mx, raised = x + aside * (1 - over), height * (1 - down) + 8 * bowl
        grip = y - raised - (mover.height - 8) * scale
        return Scene(
            [
                Placement(back, x, y - 23 * bowl, scale=bowl, shadow=False),
                Placement(mover, mx, y, lift=raised, scale=scale, moving=True, shadow=False),
                _arm(fist, mx, grip, scale),
                Placement(front, x, y, scale=bowl),
            ]
        )

    return timeline


LABELS: list[str] = [name for names in PAIRS for name in names]
PARTNER: dict[str, str] = {a: b for x, y in PAIRS for a, b in ((x, y), (y, x))}
