"""Motion-only relevance: where it must be 0, and its sign."""

import numpy as np
import pytest
from torch import Tensor

from ezclip.explanation.maps import explain
from ezclip.model.backbone import Backbone
from ezclip.types import Attribution
from tests.conftest import make_model


def motion(backbone: Backbone, variant: str, pixels: Tensor) -> Attribution:
    return explain(make_model(backbone, variant), pixels, np.arange(8.0), name="m", method="motion-only")


@pytest.mark.parametrize(("variant", "still"), [("base", False), ("base", True), ("ezclip", True)])
def test_nothing_where_frames_exchange_nothing_or_nothing_moves(
    backbone: Backbone, pixels: Tensor, variant: str, still: bool
) -> None:
    clip = pixels[:1, :1].expand(-1, 8, -1, -1, -1) if still else pixels[:1]
    attribution = motion(backbone, variant, clip)
    assert attribution.signed is not None and not attribution.signed.any() and not attribution.heat.any()


def test_is_the_map_minus_that_of_each_frame_held_still(backbone: Backbone, pixels: Tensor) -> None:
    attribution, model = motion(backbone, "ezclip", pixels[:1]), make_model(backbone, "ezclip")
    assert attribution.signed is not None and attribution.signed.min() < 0 < attribution.signed.max()
    assert np.array_equal(attribution.heat, attribution.signed.clip(0))
    clip = explain(model, pixels[:1], np.arange(8.0), name="m", method="rollout").heat
    still = explain(model, pixels[:1, 5:6].expand(-1, 8, -1, -1, -1), np.arange(8.0), name="m", method="rollout").heat
    np.testing.assert_allclose(attribution.signed[5], clip[5] - still[5], atol=1e-7)
