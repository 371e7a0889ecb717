"""What two models are said to differ in."""

import pytest

from ezclip import Predictor
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.studies.frames import differ
from tests.conftest import TINY, make_model


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (("prompts", "here"), ("ezclip", "here"), "the two differ by the motion loss alone"),
        (("prompts", ""), ("ezclip", "here"), "the two differ by the motion loss alone"),
        (("ezclip", "here"), ("ezclip", "here"), "two models of the same variant"),
        (("ezclip", "here"), ("ezclip", "there"), "the two differ by the clips that they were trained on alone"),
        (
            ("base", "here"),
            ("motion", "there"),
            "the two differ by the motion loss and the clips that they were trained on",
        ),
    ],
)
def test_what_two_models_differ_in(
    backbone: Backbone, first: tuple[str, str], second: tuple[str, str], told: str
) -> None:
    pair = [Predictor(make_model(backbone, variant), variant, data=data) for variant, data in (first, second)]
    assert differ(*pair) == told
    other = Predictor(make_model(build_backbone("another", TINY), "ezclip"), "other")
    assert differ(pair[0], other) == "the two stand on different backbones"
