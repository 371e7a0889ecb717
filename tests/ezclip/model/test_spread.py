"""The curvature of a path of frame embeddings, by hand; Var and C are tested with the losses."""

import pytest
import torch

from ezclip.model.spread import curvature


def path(*points: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([points], dtype=torch.float32)


def test_angles_between_successive_steps() -> None:
    assert curvature(path((1, 0), (2, 0), (5, 0))).item() == pytest.approx(0, abs=0.05)
    assert curvature(path((1, 0), (2, 0), (2, 3))).item() == pytest.approx(90)
    assert curvature(path((1, 0), (2, 0), (2, 3), (2, 1))).item() == pytest.approx((90 + 180) / 2, abs=0.05)
    both = torch.cat([path((1, 0), (2, 0), (3, 1)), path((1, 0), (2, 0), (1, 0))])
    assert curvature(both).tolist() == pytest.approx([45, 180], abs=0.05)


def test_independent_embeddings_turn_by_120_degrees() -> None:
    frames = torch.randn(4, 64, 4096, generator=torch.Generator().manual_seed(0))
    assert curvature(frames).tolist() == pytest.approx([120] * 4, abs=0.5)


def test_steps_of_no_length_have_no_angle() -> None:
    assert curvature(path((1, 0), (1, 0), (2, 0), (2, 1))).item() == pytest.approx(90)
    for still in (path((1, 2), (1, 2), (1, 2)), path((1, 2), (3, 4)), path((1, 2))):
        assert curvature(still).isnan().all()
