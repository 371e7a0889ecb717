"""The objects of a clip, and their placement on the table."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ezclip.data.tabletop.scene import Placement, depth_scale
from ezclip.data.tabletop.sprites import COLOURS, THINGS, UNSEEN_THINGS, Sprite, arm, hand, thing
from ezclip.data.tabletop.surfaces import patterned
from ezclip.data.tabletop.things import WIDE_THINGS

WIDE = tuple(THINGS | WIDE_THINGS)
UPRIGHT = ("bottle", "cone", "mug", "can", "candle", "jar", "trophy")  # things that can be tipped over
_DRAWERS = THINGS | UNSEEN_THINGS | WIDE_THINGS


@dataclass
class Cast:
    """Samples the objects of a clip, all of different kinds.

    Attributes:
        rng: the clip's source of randomness.
        kinds: names of things to sample from.
        patterned: fraction of the things that are textured with surfaces.
        reach: draws a hand from a direction.
    """

    rng: np.random.Generator
    kinds: tuple[str, ...] = tuple(THINGS)
    patterned: float = 0.0
    reach: Callable[[str, np.random.Generator], Sprite] = hand

    def things(self, count: int, preferred: tuple[str, ...] = ()) -> list[Sprite]:
        """``count`` things of different kinds and colours, limited to ``preferred`` kinds if the cast has any."""
        kinds = self.rng.permutation([k for k in preferred if k in self.kinds] or self.kinds)[:count]
        colours = self.rng.permutation(list(COLOURS))[:count]
        sprites = [thing(_DRAWERS[kind], kind, colour, self.rng) for kind, colour in zip(kinds, colours, strict=True)]
        if not self.patterned:
            return sprites
        return [patterned(sprite, self.rng) if self.rng.random() < self.patterned else sprite for sprite in sprites]

    def hand(self, direction: str) -> Sprite:
        """A hand that reaches in from ``direction``: "left", "right" or "above"."""
        return self.reach(direction, self.rng)

    def colour(self) -> str:
        """A random colour."""
        return str(self.rng.choice(list(COLOURS)))


def wide_cast(rng: np.random.Generator, patterned: float) -> Cast:
    """A cast of the wider world: all named things but the unseen ones, and hands of many looks."""
    return Cast(rng, WIDE, patterned, arm)


def standing(sprite: Sprite, x: float, y: float, *, lift: float = 0.0, moving: bool = True) -> Placement:
    """A thing on the table, scaled by its distance."""
    return Placement(sprite, x, y, lift=lift, scale=depth_scale(y), moving=moving)
