"""A pair of classes and a seed become the frames of a clip; its twin is the same frames in reverse."""

from dataclasses import dataclass, replace

import numpy as np

from ezclip.data.tabletop.classes import PAIRS, Cast, standing
from ezclip.data.tabletop.families import FAMILIES
from ezclip.data.tabletop.scene import FRAME, Placement, Scene, compose, table
from ezclip.data.tabletop.sprites import THINGS, UNSEEN_THINGS

NUM_FRAMES = 40  # 8 segments of 5: an odd number, so that segment centres are symmetric in time
FPS = 20


@dataclass(frozen=True, eq=False)
class Rendered:
    """A clip with its truth.

    Attributes:
        images: uint8 (NUM_FRAMES, FRAME, FRAME, 3).
        masks: uint8 (NUM_FRAMES, FRAME, FRAME): 0 background, 1 still thing, 2 what moves.
    """

    images: np.ndarray
    masks: np.ndarray

    def reversed(self) -> "Rendered":
        """The twin: the same frames, last first."""
        return Rendered(self.images[::-1], self.masks[::-1])


def render(pair: tuple[str, str], seed: int, family: str | None = None) -> Rendered:
    """Draw a clip of the pair's first class; its reverse is one of the second.

    Scene, things, distractor, light, camera jitter, speed and pauses come from ``seed`` alone.

    Args:
        pair: a key of ``classes.PAIRS``.
        seed: any non-negative integer.
        family: a key of ``families.FAMILIES`` for an out-of-distribution clip, or None.
    """
    rng = np.random.default_rng(seed)
    background = table(rng)
    cast = Cast(rng, tuple(UNSEEN_THINGS) if family == "unseen_objects" else tuple(THINGS))
    timeline = PAIRS[pair](rng, cast)
    distractors = _distractors(rng)
    light = 1 + rng.uniform(-0.12, 0.12) + rng.uniform(-0.08, 0.08) * np.linspace(-1, 1, NUM_FRAMES)
    jitter = _smooth(rng, NUM_FRAMES) * rng.uniform(0, 1.6)
    grain = rng.normal(0, rng.uniform(1, 4), (FRAME + 16, FRAME + 16, 1)).astype(np.float32)
    corners = rng.integers(0, 16, (NUM_FRAMES, 2))

    images = np.empty((NUM_FRAMES, FRAME, FRAME, 3), np.uint8)
    masks = np.empty((NUM_FRAMES, FRAME, FRAME), np.uint8)
    for t, s in enumerate(_progress(rng)):
        scene = timeline(s)
        camera = scene.camera
        moved = replace(camera, x=camera.x + jitter[t, 0], y=camera.y + jitter[t, 1])
        frame, masks[t] = compose(background, Scene([*distractors, *scene.placements], moved))
        r, c = corners[t]
        lit = np.asarray(frame, np.float32) * light[t] + grain[r : r + FRAME, c : c + FRAME]
        images[t] = np.clip(lit, 0, 255)
    if family is not None:
        images = FAMILIES[family](images, rng)
    return Rendered(images, masks)


def _progress(rng: np.random.Generator) -> np.ndarray:
    """Progress s of the motion in each frame: a pause, a more or less eased run, a pause."""
    start, end = rng.uniform(0, 0.18), 1 - rng.uniform(0, 0.18)
    s = np.clip((np.arange(NUM_FRAMES) / (NUM_FRAMES - 1) - start) / (end - start), 0, 1)
    ease = rng.uniform(0, 0.6)
    return (1 - ease) * s + ease * s * s * (3 - 2 * s)


def _distractors(rng: np.random.Generator) -> list[Placement]:
    """Up to two things near the table's far edge that take no part."""
    count = int(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2]))
    xs = rng.permutation([50, 112, 174])[:count] + rng.uniform(-14, 14, count)
    return [
        standing(sprite, x, rng.uniform(100, 108), moving=False)
        for sprite, x in zip(Cast(rng).things(count), xs, strict=True)
    ]


def _smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two smooth curves around zero, (n, 2)."""
    steps = rng.normal(0, 1, (n + 8, 2))
    return np.stack([np.convolve(steps[:, i], np.ones(9) / 3, "valid") for i in range(2)], axis=1)
