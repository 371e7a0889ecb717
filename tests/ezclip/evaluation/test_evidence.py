"""Measures of evidence, by hand."""

import math

import pytest
import torch

from ezclip.evaluation.evidence import (
    MEANING,
    annotate,
    opposite_text,
    order_values,
    relative_gain,
    single_frame_values,
    single_frames,
)
from ezclip.evaluation.metrics import accuracies
from ezclip.model.spread import curvature


@pytest.mark.parametrize(
    ("points", "degrees"), [([[0, 0], [1, 0], [1, 1]], 90), ([[0], [1], [2]], 0), ([[0], [1], [0]], 180)]
)
def test_curvature_by_hand(points: list[list[int]], degrees: float) -> None:
    assert float(curvature(torch.tensor([points]).double())) == pytest.approx(degrees)


def test_curvature_of_independent_points_and_of_a_clip_and_its_reverse() -> None:
    points = torch.randn(200, 8, 512, generator=torch.Generator().manual_seed(0))
    assert float(curvature(points).mean()) == pytest.approx(120, abs=0.5)
    torch.testing.assert_close(curvature(points), curvature(points.flip(1)))


def test_curvature_leaves_out_steps_of_length_zero() -> None:
    clips = torch.tensor([[[0.0, 0], [1, 0], [1, 1], [1, 1]], [[0, 0], [1, 0], [1, 0], [2, 0]]])
    right_angle, undefined = curvature(clips).tolist()
    assert right_angle == pytest.approx(90) and math.isnan(undefined)
    assert annotate({"curvature": undefined})["curvature"]["value"] is None


def test_tomatos_ratios() -> None:
    assert relative_gain(0.40, 0.25, 0.1) == pytest.approx(0.6)  # kappa
    assert relative_gain(0.40, 0.32, 0.1) == pytest.approx(0.25)  # tau
    assert relative_gain(0.40, 0.10, 0.1) is None and relative_gain(0.05, 0.4, 0.1) is None
    accuracy_by_order = {
        "as it is": {"top1": 0.40},
        "reversed": {"top1": 0.15, "opposite_text_v2t": 0.75},
        "static": {"top1": 0.25},
        "shuffled": {"top1": 0.32},
    }
    assert order_values(accuracy_by_order, 10) == pytest.approx(
        {
            "reverse_drop": 0.25,
            "multi_frame_gain": 0.6,
            "frame_order_sensitivity": 0.25,
            "opposite_text_v2t": 0.75,
        }
    )


def test_opposite_texts() -> None:
    # clip A: its label also wins for its reverse; clip B: blind to order, so each text ties between the two videos
    forward, reverse = torch.tensor([[0.9, 0.2], [0.6, 0.4]]), torch.tensor([[0.3, 0.5], [0.6, 0.4]])
    assert opposite_text(forward, reverse) == (0.75, 0.75)
    # one direction always wins: both videos get the same text, but each text retrieves its video
    forward, reverse = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.8, 0.2]])
    assert opposite_text(forward, reverse) == (0.5, 1.0)


def test_single_frames() -> None:
    # two clips of two frames, right only in the first frame of the first clip
    scores = torch.tensor([[[0.6, 0.4], [0.3, 0.7]], [[0.8, 0.2], [0.9, 0.1]]])
    assert single_frame_values(single_frames(scores, torch.tensor([0, 1]))) == pytest.approx(
        {
            "mean_frame": 0.25,
            "most_confident_frame": 0.0,  # 0.7 and 0.9
            "any_frame": 0.5,
            "frame_information_disparity": (0.15 + 0.05) / 2,
        }
    )


def test_chiral_accuracy_is_within_pairs() -> None:
    scores = torch.tensor([[0.3, 0.2], [0.1, 0.4], [0.2, 0.5]])  # two clips forward, one in reverse
    measures = accuracies(scores, torch.tensor([0, 0, 1]), ["open", "close"], {"open": "close", "close": "open"})
    assert measures["within_pairs"] == pytest.approx(2 / 3)


def test_each_measure_has_one_line_and_a_reference() -> None:
    for name, (meaning, reference) in MEANING.items():
        assert annotate({name: 0.5})[name] == {"value": 0.5, "meaning": meaning, "reference": reference}
        assert meaning and reference and "\n" not in meaning + reference
