"""Heat against ground-truth masks, by hand."""

import numpy as np
import pytest

from ezclip.explanation.faithfulness import heat_shares, patch_fractions
from ezclip.types import Attribution, Preprocessing


def test_shares_of_heat_by_hand() -> None:
    masks = np.zeros((1, 256, 256), np.uint8)
    masks[:, 16:128, 16:128] = 2  # the visible square is 16..240, so this is its upper left quarter
    masks[:, 128:240, 128:240] = 1
    assert patch_fractions(masks, 2, Preprocessing(224))[2, 0].tolist() == [[1, 0], [0, 0]]
    heat = np.array([[[3.0, 0.5], [0.5, 0.0]]])
    shares = heat_shares(Attribution(heat, None, np.zeros(1), "rollout", "m", Preprocessing(224)), masks)
    assert shares.heat == pytest.approx((0.25, 0.0, 0.75)) and shares.area == pytest.approx((0.5, 0.25, 0.25))
