"""Spread of frame embeddings beyond a static copy."""

import pytest
import torch

from ezclip.evaluation.metrics import frame_spread, shared_variance


def test_spread_beyond_a_static_copy() -> None:
    torch.manual_seed(0)
    frames = torch.randn(6, 8, 16)
    still = frames[:, :1].expand_as(frames)
    spread = frame_spread(frames, still, "released", unit=True)
    assert spread.static.mean == pytest.approx(0, abs=1e-9)
    assert spread.real.mean == pytest.approx(spread.beyond.mean) and spread.real.mean > 0
    same = frame_spread(frames, frames, "paper", unit=False)
    assert same.beyond.mean == 0 and same.real == same.static


def test_shared_variance() -> None:
    """Deviations from a clip's mean are +-(0.5, -0.5), so their squares sum to 1; a still clip has none."""
    moving = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    still = torch.tensor([[1.0, 0.0], [5.0, 0.0]])
    assert shared_variance(torch.stack([moving, 4 * moving])) == pytest.approx(1)
    assert shared_variance(torch.stack([moving, moving.flip(0)])) == pytest.approx(0)
    assert shared_variance(torch.stack([moving, still])) == pytest.approx(4 * 0.25**2 / 0.5)
    assert shared_variance(torch.stack([still, still])) == 0
    torch.manual_seed(0)
    assert shared_variance(torch.randn(400, 8, 64)) == pytest.approx(1 / 400, rel=0.1)
