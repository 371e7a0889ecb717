"""The objects of a clip, and their placement on the table."""

from dataclasses import dataclass

import numpy as np

from ezclip.data.tabletop.scene import Placement, depth_scale
from ezclip.data.tabletop.sprites import COLOURS, THINGS, Sprite, thing
from ezclip.data.tabletop.surfaces import patterned


@dataclass
class Cast:
    """Samples the objects of a clip, all of different kinds.

    Attributes:
        rng: the clip's source of randomness.
        kinds: names of things to sample from.
        patterned: fraction of the things that are textured with surfaces.
    """

    rng: np.random.Generator
    kinds: tuple[str, ...] = tuple(THINGS)
    patterned: float = 0.0

    def things(self, count: int, preferred: tuple[str, ...] = ()) -> list[Sprite]:
        """``count`` things of different kinds and colours, limited to ``preferred`` kinds if the cast has any."""
        kinds = self.rng.permutation([k for k in preferred if k in self.kinds] or self.kinds)[:count]
        colours = self.rng.permutation(list(COLOURS))[:count]
        sprites = [thing(kind, colour, self.rng) for kind, colour in zip(kinds, colours, strict=True)]
        if not self.patterned:
            return sprites
        return [patterned(sprite, self.rng) if self.rng.random() < self.patterned else sprite for sprite in sprites]

    def colour(self) -> str:
        """A random colour."""
        return str(self.rng.choice(list(COLOURS)))


def standing(sprite: Sprite, x: float, y: float, *, lift: float = 0.0, moving: bool = True) -> Placement:
    """A thing on the table, scaled by its distance."""
    return Placement(sprite, x, y, lift=lift, scale=depth_scale(y), moving=moving)
