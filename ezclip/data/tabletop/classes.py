"""The classes of Tabletop Motion, most of them in pairs that differ only in temporal order.

Each function samples its parameters from ``rng`` and returns the scene as a function of progress s in [0, 1]. Forwards
it shows the first class of a pair, backwards the second; a motion with one name is its own reversal. Class names are
from Something-Something v2.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from ezclip.data.tabletop.cast import UPRIGHT, Cast, standing
from ezclip.data.tabletop.scene import Camera, Placement, Scene, depth_scale
from ezclip.data.tabletop.sprites import Sprite, chest, cloth, container

Timeline = Callable[[float], Scene]
Names = tuple[str, ...]  # one class, or two that are each other's reversal
Setup = Callable[[np.random.Generator, Cast], Timeline]
MOTIONS: dict[Names, Setup] = {}


def motion(*names: str) -> Callable[[Setup], Setup]:
    """Register a motion under the name of its class, or the names of its class and the reversed class."""

    def register(setup: Setup) -> Setup:
        MOTIONS[names] = setup
        return setup

    return register


def _arm(sprite: Sprite, x: float, y: float, scale: float) -> Placement:
    return Placement(sprite, x, y, scale=scale, moving=True, shadow=False)


def _grip(fist: Sprite, sprite: Sprite, x: float, y: float, scale: float) -> Placement:
    """The fist from above, gripping the top of a thing that stands at (x, y)."""
    return _arm(fist, x, y - (sprite.height - 8) * scale, scale)


@motion("Moving something closer to something", "Moving something away from something")
def closer(rng: np.random.Generator, cast: Cast) -> Timeline:
    """One thing moves along the table towards another, which stands still."""
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


@motion("Moving something and something closer to each other", "Moving something and something away from each other")
def together(rng: np.random.Generator, cast: Cast) -> Timeline:
    """Two things move along the table until they nearly touch."""
    a, b = cast.things(2)
    y = rng.uniform(132, 172)
    middle = 112 + rng.uniform(-12, 12)
    far, near = rng.uniform(48, 58), rng.uniform(17, 21) * depth_scale(y)
    return lambda s: Scene([standing(t, middle + side * (far + (near - far) * s), y) for t, side in ((a, -1), (b, 1))])


def _drive(rng: np.random.Generator, cast: Cast, side: int) -> Timeline:
    """A fist on the thing's left (side -1) or right (1) pushes it to the opposite side; backwards, it pulls it."""
    (mover,) = cast.things(1)
    fist = cast.hand("left" if side < 0 else "right")
    y = rng.uniform(132, 172)
    scale = depth_scale(y)
    start, end = 112 + side * rng.uniform(26, 44), 112 - side * rng.uniform(26, 44)
    gap = side * (mover.width / 2 + fist.width / 2 - 2) * scale

    def timeline(s: float) -> Scene:
        x = start + (end - start) * s
        return Scene([standing(mover, x, y), _arm(fist, x + gap, y - 4 * scale, scale)])

    return timeline


motion("Pushing something from left to right", "Pulling something from right to left")(partial(_drive, side=-1))
motion("Pushing something from right to left", "Pulling something from left to right")(partial(_drive, side=1))


@motion("Turning the camera left while filming something", "Turning the camera right while filming something")
def turn_left(rng: np.random.Generator, cast: Cast) -> Timeline:
    """The camera pans left, so a still object drifts right in the picture."""
    (goal,) = cast.things(1)
    x, y = 112 + rng.uniform(-20, 20), rng.uniform(128, 166)
    zoom = rng.uniform(1.25, 1.6)
    right, left = x + rng.uniform(24, 40), x - rng.uniform(24, 40)
    height = 112 + rng.uniform(-8, 12)
    return lambda s: Scene([standing(goal, x, y)], Camera(right + (left - right) * s, height, zoom))


@motion("Turning the camera upwards while filming something", "Turning the camera downwards while filming something")
def turn_up(rng: np.random.Generator, cast: Cast) -> Timeline:
    """The camera tilts up, so a still object sinks in the picture."""
    (goal,) = cast.things(1)
    x, y = 112 + rng.uniform(-26, 26), rng.uniform(122, 146)
    zoom = rng.uniform(1.45, 1.8)
    low, high = y + rng.uniform(12, 28), y - rng.uniform(46, 62)
    return lambda s: Scene([standing(goal, x, y)], Camera(112 + 0.5 * (x - 112), low + (high - low) * s, zoom))


@motion("Moving something towards the camera", "Moving something away from the camera")
def towards(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A thing moves from the far edge of the table to the front and grows."""
    (mover,) = cast.things(1)
    x, drift = 112 + rng.uniform(-30, 30), rng.uniform(-16, 16)
    far, near = rng.uniform(98, 108), rng.uniform(176, 190)
    largest = rng.uniform(1.2, 1.6)

    def timeline(s: float) -> Scene:
        y = far + (near - far) * s
        return Scene([Placement(mover, x + drift * s, y, scale=0.5 + (largest - 0.5) * s, moving=True)])

    return timeline


@motion("Covering something with something", "Uncovering something")
def cover(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A cloth descends from above until it hides a thing."""
    (hidden,) = cast.things(1)
    sheet = cloth(cast.colour(), rng)
    x, y = 112 + rng.uniform(-30, 30), rng.uniform(138, 172)
    lift, offset = rng.uniform(64, 80), rng.uniform(-26, 26)

    def timeline(s: float) -> Scene:
        placement = Placement(
            sheet, x + offset * (1 - s), y + 2, lift=lift * (1 - s), scale=1.12 * depth_scale(y), moving=True
        )
        return Scene([standing(hidden, x, y, moving=False), placement])

    return timeline


@motion("Moving something up", "Moving something down")
def lift(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand from above raises a thing off the table."""
    (mover,) = cast.things(1)
    fist = cast.hand("above")
    x, y = 112 + rng.uniform(-36, 36), rng.uniform(140, 176)
    scale, height = depth_scale(y), rng.uniform(54, 72)

    def timeline(s: float) -> Scene:
        return Scene([standing(mover, x, y, lift=height * s), _grip(fist, mover, x, y - height * s, scale)])

    return timeline


@motion("Approaching something with your camera", "Moving away from something with your camera")
def approach(rng: np.random.Generator, cast: Cast) -> Timeline:
    """The camera approaches a still object."""
    (goal,) = cast.things(1)
    x, y = 112 + rng.uniform(-30, 30), rng.uniform(134, 168)
    wide, tight = rng.uniform(0.76, 0.86), rng.uniform(1.7, 2.1)

    def timeline(s: float) -> Scene:
        zoom = wide * (tight / wide) ** s
        return Scene([standing(goal, x, y)], Camera(112 + (x - 112) * s, 112 + (y - 22 - 112) * s, zoom))

    return timeline


@motion("Putting something into something", "Taking something out of something")
def put_into(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand carries a thing over a bowl and lowers it into the bowl."""
    (mover,) = cast.things(1)
    fist = cast.hand("above")
    back, front = container(cast.colour(), rng)
    x, y = 112 + rng.uniform(-26, 26), rng.uniform(150, 178)
    offset, height = rng.choice([-1, 1]) * rng.uniform(30, 46), rng.uniform(52, 62)
    bowl_scale = 1.1 * depth_scale(y)
    scale = 0.74 * depth_scale(y)

    def timeline(s: float) -> Scene:
        sideways = min(s / 0.5, 1.0)  # first sideways, then down
        down = max((s - 0.4) / 0.6, 0.0)
        mover_x, lift = x + offset * (1 - sideways), height * (1 - down) + 8 * bowl_scale
        return Scene(
            [
                Placement(back, x, y - 23 * bowl_scale, scale=bowl_scale, shadow=False),
                Placement(mover, mover_x, y, lift=lift, scale=scale, moving=True, shadow=False),
                _grip(fist, mover, mover_x, y - lift, scale),
                Placement(front, x, y, scale=bowl_scale),
            ]
        )

    return timeline


@motion("Putting something behind something", "Pulling something from behind of something")
def behind(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand moves a thing along the table until it is hidden behind another."""
    mover, screen = cast.things(2)
    fist = cast.hand("above")
    side, y = rng.choice([-1, 1]), rng.uniform(150, 176)
    screen_x = 112 - side * rng.uniform(4, 24)
    start = screen_x + side * rng.uniform(62, 80)
    mover_y = y - rng.uniform(12, 18)
    scale = 0.8 * depth_scale(mover_y)

    def timeline(s: float) -> Scene:
        x = start + (screen_x - start) * s
        return Scene(
            [
                Placement(mover, x, mover_y, scale=scale, moving=True),
                _grip(fist, mover, x, mover_y, scale),
                Placement(screen, screen_x, y, scale=1.35 * depth_scale(y)),
            ]
        )

    return timeline


@motion("Opening something", "Closing something")
def opening(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand lifts the lid of a chest."""
    body, lid = chest(cast.colour(), rng)
    fist = cast.hand("above")
    x, y = 112 + rng.uniform(-30, 30), rng.uniform(146, 176)
    scale = rng.uniform(1.0, 1.2) * depth_scale(y)
    hinge = x - (body.width / 2 - 1) * scale
    rim = y - (body.height - 10) * scale
    open_angle = rng.uniform(75, 100)

    def timeline(s: float) -> Scene:
        turn = np.radians(open_angle * s)
        reach = 0.92 * lid.width * scale
        tip_x, tip_y = hinge + reach * np.cos(turn), rim - reach * np.sin(turn) - 6 * scale
        return Scene(
            [
                Placement(body, x, y, scale=scale),
                Placement(lid, hinge, rim, scale=scale, angle=-open_angle * s, moving=True, shadow=False),
                _arm(fist, tip_x, tip_y, 0.8 * scale),
            ]
        )

    return timeline


@motion("Tipping something over", "Putting something upright on the table")
def tip(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A fist pushes the upper left of a thing, which falls onto its right side."""
    (mover,) = cast.things(1, (*UPRIGHT, "box"))
    fist = cast.hand("left")
    corner, y = 112 + rng.uniform(-20, 20), rng.uniform(146, 176)
    scale = 1.1 * depth_scale(y)
    tipped = replace(mover, pivot=mover.right - 4)

    def timeline(s: float) -> Scene:
        turn = np.radians(90 * s)
        dx, dy = -0.9 * mover.width, -0.75 * mover.height  # where the fist touches the upright thing
        touch_x = corner + scale * (np.cos(turn) * dx - np.sin(turn) * dy)
        touch_y = y + scale * (np.sin(turn) * dx + np.cos(turn) * dy)
        return Scene(
            [
                Placement(tipped, corner, y, scale=scale, angle=90 * s, moving=True),
                _arm(fist, touch_x - fist.width / 2 * scale, touch_y + fist.height / 2 * scale, scale),
            ]
        )

    return timeline


@motion("Moving something and something so they pass each other")
def pass_each_other(rng: np.random.Generator, cast: Cast) -> Timeline:
    """Two things swap places, one passing in front of the other."""
    a, b = cast.things(2)
    y, gap = rng.uniform(128, 152), rng.uniform(18, 24)
    middle, far = 112 + rng.uniform(-10, 10), rng.uniform(46, 58)
    return lambda s: Scene(
        [standing(a, middle - far * (1 - 2 * s), y), standing(b, middle + far * (1 - 2 * s), y + gap)]
    )


@motion("Poking something so lightly that it doesn't or almost doesn't move")
def poke(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A fist comes from the side, touches a thing and retreats."""
    (goal,) = cast.things(1)
    side = rng.choice([-1, 1])
    fist = cast.hand("left" if side < 0 else "right")
    x, y = 112 - side * rng.uniform(0, 34), rng.uniform(136, 174)
    scale, far = depth_scale(y), rng.uniform(40, 60)
    touch = (goal.width / 2 + fist.width / 2) * scale

    def timeline(s: float) -> Scene:
        return Scene(
            [
                standing(goal, x, y, moving=False),
                _arm(fist, x + side * (touch + far * abs(1 - 2 * s)), y - 4 * scale, scale),
            ]
        )

    return timeline


@motion("Holding something")
def hold(rng: np.random.Generator, cast: Cast) -> Timeline:
    """A hand from above holds a thing in the air; only the camera moves."""
    (goal,) = cast.things(1)
    fist = cast.hand("above")
    x, y, height = 112 + rng.uniform(-36, 36), rng.uniform(140, 176), rng.uniform(16, 60)
    scale = depth_scale(y)
    scene = Scene([standing(goal, x, y, lift=height), _grip(fist, goal, x, y - height, scale)])
    return lambda _: scene


LABELS: list[str] = [name for names in MOTIONS for name in names]
PAIRS: list[Names] = [names for names in MOTIONS if len(names) == 2]
PARTNER: dict[str, str] = {a: b for x, y in PAIRS for a, b in ((x, y), (y, x))}
