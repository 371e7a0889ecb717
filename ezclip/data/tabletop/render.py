"""Renders a clip from a motion and a seed; the clip of the partner class has the same frames in reverse order."""

from dataclasses import dataclass, replace

import numpy as np

from ezclip.data.tabletop.cast import Cast, standing, wide_cast
from ezclip.data.tabletop.classes import MOTIONS, Names
from ezclip.data.tabletop.families import FAMILIES, ORDINARY
from ezclip.data.tabletop.scene import CANVAS, FRAME, Placement, Scene, compose
from ezclip.data.tabletop.surfaces import backdrop

NUM_FRAMES = 40  # 8 segments of 5: an odd number, so that segment centres are symmetric in time
FPS = 20


@dataclass(frozen=True, eq=False)
class Rendered:
    """A clip with ground-truth masks.

    Attributes:
        images: uint8 (NUM_FRAMES, FRAME, FRAME, 3).
        masks: uint8 (NUM_FRAMES, FRAME, FRAME): 0 background, 1 other objects, 2 moving objects.
    """

    images: np.ndarray
    masks: np.ndarray

    def reversed(self) -> "Rendered":
        """The twin: the same frames in reverse order."""
        return Rendered(self.images[::-1], self.masks[::-1])


def render(
    names: Names, seed: int, family: str | None = None, *, foreground: bool = True, surfaces: bool = False
) -> Rendered:
    """Draw a clip of a motion's first class; reversed, it is a clip of the second class, if there is one.

    Scene, things, distractors, light, camera jitter, speed and pauses depend only on ``seed``.

    Args:
        names: a key of ``classes.MOTIONS``.
        seed: any non-negative integer.
        family: a key of ``families.FAMILIES`` for an out-of-distribution clip, or None.
        foreground: whether to draw the moving things; nothing else changes without them.
        surfaces: whether to show the wider world: a surface or a place, its things, most of them textured, its arms.
    """
    rng = np.random.default_rng(seed)
    style = FAMILIES[family] if family else ORDINARY
    background = backdrop(rng, CANVAS) if surfaces else style.backdrop(rng)
    timeline = MOTIONS[names](rng, wide_cast(rng, patterned=0.7) if surfaces else Cast(rng, style.things))
    bystanders = _crowd(rng) if style.crowd else _distractors(rng)
    time = np.linspace(-1, 1, NUM_FRAMES)
    light = rng.uniform(0.6, 1.15) + rng.uniform(-0.1, 0.1) * time  # brightness and its drift
    tint = 1 + rng.uniform(-0.08, 0.08, 3)
    jitter = _smooth(rng, NUM_FRAMES) * rng.uniform(0, 1.6) + rng.normal(0, 1, (NUM_FRAMES, 2)) * style.shake
    grain = rng.normal(0, rng.uniform(1, 5), (FRAME + 16, FRAME + 16, 1)).astype(np.float32)
    corners = rng.integers(0, 16, (NUM_FRAMES, 2))

    images = np.empty((NUM_FRAMES, FRAME, FRAME, 3), np.uint8)
    masks = np.empty((NUM_FRAMES, FRAME, FRAME), np.uint8)
    for t, s in enumerate(progress(rng, style.span)):
        scene = timeline(s)
        camera = replace(scene.camera, x=scene.camera.x + jitter[t, 0], y=scene.camera.y + jitter[t, 1])
        extras = [replace(p, x=p.x + speed * time[t]) for p, speed in bystanders]
        actors = [p for p in scene.placements if foreground or not p.moving]
        frame, masks[t] = compose(background, Scene([*extras, *actors], camera))
        r, c = corners[t]
        pixels = np.asarray(frame, np.float32) * (light[t] * tint) + grain[r : r + FRAME, c : c + FRAME]
        images[t] = np.clip(pixels, 0, 255)
    if style.look is not None:
        images = style.look(images, rng)
    return Rendered(images, masks)


def progress(rng: np.random.Generator, span: tuple[float, float]) -> np.ndarray:
    """Progress s of the motion in each frame: a pause, a motion with random easing, a pause."""
    start, end = rng.uniform(0, 0.18), 1 - rng.uniform(0, 0.18)
    s = np.clip((np.arange(NUM_FRAMES) / (NUM_FRAMES - 1) - start) / (end - start), 0, 1)
    ease = rng.uniform(0, 0.6)
    eased = (1 - ease) * s + ease * s * s * (3 - 2 * s)
    return np.clip(span[0] + (span[1] - span[0]) * eased, 0, 1)


Bystander = tuple[Placement, float]  # a distractor and its displacement during half of the clip, in canvas pixels


def _distractors(rng: np.random.Generator) -> list[Bystander]:
    """Up to two distractors near the table's far edge."""
    count = int(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2]))
    xs = rng.permutation([50, 112, 174])[:count] + rng.uniform(-14, 14, count)
    things = Cast(rng).things(count)
    return [(standing(sprite, x, rng.uniform(100, 108), moving=False), 0.0) for sprite, x in zip(things, xs)]


def _crowd(rng: np.random.Generator) -> list[Bystander]:
    """Seven things on the far half of the table; three of them move across it."""
    xs = rng.permutation(np.linspace(34, 190, 7)) + rng.uniform(-8, 8, 7)
    ys = np.sort(rng.uniform(94, 122, 7))
    speeds = rng.permutation([0, 0, 0, 0, -1, 1, 1]) * rng.uniform(14, 34)
    things = Cast(rng).things(7)
    return [(standing(sprite, x, y, moving=False), v) for sprite, x, y, v in zip(things, xs, ys, speeds)]


def _smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two smooth curves around zero, (n, 2)."""
    steps = rng.normal(0, 1, (n + 8, 2))
    return np.stack([np.convolve(steps[:, i], np.ones(9) / 3, "valid") for i in range(2)], axis=1)
