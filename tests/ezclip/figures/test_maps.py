"""Colours of maps."""

import numpy as np

from ezclip.figures.maps import CMAP, DIFFERENCE, colour_values, shared_limit
from ezclip.types import Attribution, Preprocessing


def test_zero_of_a_signed_map_is_the_middle_of_its_colours() -> None:
    values = np.array([[[0.5, -1.0], [0.0, 1.0]]], np.float32)
    signed = Attribution(values.clip(0), None, np.zeros(1), "motion-only", "m", Preprocessing(32), signed=values)
    scaled, cmap = colour_values(signed, 1.0)
    assert cmap == DIFFERENCE and scaled.tolist() == [[[0.75, 0.0], [0.5, 1.0]]]
    scaled, cmap = colour_values(Attribution(values.clip(0), None, np.zeros(1), "rollout", "m", Preprocessing(32)), 2.0)
    assert cmap == CMAP and scaled.tolist() == [[[0.25, 0.0], [0.0, 0.5]]]
    assert (
        shared_limit([Attribution(values.clip(0), None, np.zeros(1), "m", "m", Preprocessing(32), signed=-2 * values)])
        > 1.9
    )
