"""Videos of classes in one plane."""

import torch

from ezclip.studies.classes import class_study
from tests.ezclip.evaluation.test_classwise import evaluation


def test_models_of_other_widths_are_compared_without_a_map() -> None:
    truth = [0, 0, 1, 1, 2]
    pair = [evaluation("first", [1, 1, 1, 1, 2], truth), evaluation("second", [0, 1, 1, 2, 2], truth)]
    for e, width in zip(pair, (4, 6)):
        e.frames = torch.randn(5, 2, width, generator=torch.Generator().manual_seed(0))
    study = class_study(None, pair, [])
    assert study.comparison is not None and study.class_map is None
    assert study.as_json()["comparison"]["overall"]["n"] == 5
    pair[0].frames = pair[1].frames
    assert class_study(None, pair, []).class_map is not None
    assert class_study(None, pair[:1], []).comparison is None
