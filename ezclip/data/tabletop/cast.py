"""The objects of a clip, and their placement on the table."""

from dataclasses import dataclass

import numpy as np

from ezclip.data.tabletop.scene import Placement, depth_scale
from ezclip.data.tabletop.sprites import COLOURS, THINGS, Sprite, thing
from ezclip.data.tabletop.surfaces import patterned


@dataclass
class Cast:
    """Draws the objects of a clip, no two of one kind.

    Attributes:
        rng: the clip's source of randomness.
        kinds: names of things to draw from.
        patterned: share of the things that are textured with surfaces.
    """

    rng: np.random.Generator
    kinds: tuple[str, ...] = tuple(THINGS)
    patterned: float = 0.0

    def things(self, count: int, among: tuple[str, ...] = ()) -> list[Sprite]:
        """``count`` things of different kinds and colours, of the kinds in ``among`` where the cast has them."""
        kinds = self.rng.permutation([k for k in among if k in self.kinds] or self.kinds)[:count]
        colours = self.rng.permutation(list(COLOURS))[:count]
        drawn = [thing(kind, colour, self.rng) for kind, colour in zip(kinds, colours, strict=True)]
        if not self.patterned:
            return drawn
        return [patterned(one, self.rng) if self.rng.random() < self.patterned else one for one in drawn]

    def colour(self) -> str:
        """Any colour."""
        return str(self.rng.choice(list(COLOURS)))


def standing(sprite: Sprite, x: float, y: float, *, lift: float = 0.0, moving: bool = True) -> Placement:
    """A thing on the table, sized by its distance."""
    return Placement(sprite, x, y, lift=lift, scale=depth_scale(y), moving=moving)
