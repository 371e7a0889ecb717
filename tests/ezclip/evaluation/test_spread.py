"""Spread of frame embeddings beyond a static copy."""

import pytest
import torch

from ezclip.evaluation.metrics import frame_spread


def test_spread_beyond_a_frozen_copy() -> None:
    torch.manual_seed(0)
    frames = torch.randn(6, 8, 16)
    still = frames[:, :1].expand_as(frames)
    spread = frame_spread(frames, still, "released", unit=True)
    assert spread.frozen.mean == pytest.approx(0, abs=1e-9)
    assert spread.real.mean == pytest.approx(spread.beyond.mean) and spread.real.mean > 0
    same = frame_spread(frames, frames, "paper", unit=False)
    assert same.beyond.mean == 0 and same.real == same.frozen
