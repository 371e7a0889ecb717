"""The losses against numbers worked out by hand."""

import math

import pytest
import torch

from ezclip.errors import ConfigError
from ezclip.model.spread import spread
from ezclip.training.losses import contrastive_loss, in_batch_kl, motion_loss

# One video, T = 3 frames, E = 2: e = (0, 0), (3, 0), (3, 4).
FRAMES = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]])


def test_paper_reading() -> None:
    variance, difference = spread(FRAMES, "paper")
    # Means are 2 and 4/3: variances (4+1+1)/3 = 2 and (16/9+16/9+64/9)/3 = 32/9, averaged over E.
    assert variance.item() == pytest.approx((2 + 32 / 9) / 2)
    # One interior frame: |(3, 4) - (0, 0)| / 2 = 2.5, over T = 3.
    assert difference.item() == pytest.approx(2.5 / 3)
    assert motion_loss(FRAMES, "paper").item() == pytest.approx(1 / (1 + (2 + 32 / 9) / 2 + 2.5 / 3))


def test_released_reading() -> None:
    variance, difference = spread(FRAMES, "released")
    assert variance.item() == pytest.approx((3 + 16 / 3) / 2)  # T - 1 below the line
    # Differences over 2, ends repeated: (3, 0), (3, 4), (0, 4) all / 2; mean of the six.
    assert difference.item() == pytest.approx((3 + 0 + 3 + 4 + 0 + 4) / 2 / 6)


def test_the_mean_over_clips_comes_after_or_before_the_reciprocal() -> None:
    still = torch.zeros_like(FRAMES)
    both = torch.cat([FRAMES, still])
    total = sum(v.item() for v in spread(FRAMES, "paper"))
    assert motion_loss(both, "paper").item() == pytest.approx((1 / (1 + total) + 1) / 2)
    total = sum(v.item() for v in spread(FRAMES, "released"))
    assert motion_loss(both, "released").item() == pytest.approx(1 / (1 + total / 2))


@pytest.mark.parametrize("reading", ["paper", "released"])
@pytest.mark.parametrize("T", [1, 2, 8])
def test_frozen_clips_have_loss_one(reading: str, T: int) -> None:
    static = torch.randn(2, 1, 5).expand(-1, T, -1)
    assert motion_loss(static, reading).item() == pytest.approx(1.0, abs=1e-6)


def test_unknown_reading() -> None:
    with pytest.raises(ConfigError, match="choose paper, released"):
        motion_loss(FRAMES, "mine")


def test_contrastive_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    assert contrastive_loss(logits, torch.tensor([1])).item() == pytest.approx(-math.log(0.75))


def test_in_batch_kl_treats_clips_of_one_class_as_positives() -> None:
    labels = torch.tensor([0, 1, 0])
    same = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
    of_videos, of_texts = in_batch_kl(10 * same + 7, labels)
    assert of_videos.item() == pytest.approx(0.0, abs=1e-6)
    assert of_texts.item() == pytest.approx(0.0, abs=1e-6)
    assert in_batch_kl(torch.eye(3) * 20, labels)[0].item() > 1.0  # 0 and 2 pushed apart


def test_calibrated_motion_loss_by_hand() -> None:
    """Two frames 2 apart in one of two dimensions: Var = 1, C = 1/2, so S = 1.5; at half the distance, S0 = 0.5."""
    frames, static = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    assert motion_loss(frames, "released") == pytest.approx(1 / 2.5)
    assert motion_loss(frames, "calibrated", static) == pytest.approx((1 + 0.25 + 0.25) / 2.5)
    assert motion_loss(frames, "calibrated", frames) == pytest.approx(1)
    still = torch.zeros_like(frames)
    assert motion_loss(frames, "calibrated", still) == pytest.approx(float(motion_loss(frames, "released")))
    with pytest.raises(ConfigError, match="static copies"):
        motion_loss(frames, "calibrated")


def test_a_deviation_of_the_position_alone_is_rewarded_by_eq_6_and_not_when_calibrated() -> None:
    """Motion in one dimension, the offset a * t in the other, which static copies share: S = M + A(a), S0 = A(a).

    d/da 1 / (1 + S) = -A' / (1 + S)^2 and d/da (1 + S0) / (1 + S) = M A' / (1 + S)^2.
    """
    a = torch.tensor(0.5, requires_grad=True)
    offset = torch.stack([torch.zeros(4), a * torch.arange(4)], dim=-1)[None]
    motion = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [5.0, 0.0]]])
    of_motion, of_offset = (sum(spread(frames, "released")).squeeze() for frames in (motion, offset))
    (slope,) = torch.autograd.grad(of_offset, a, retain_graph=True)
    squared = (1 + of_motion + of_offset.detach()) ** 2
    (released,) = torch.autograd.grad(motion_loss(motion + offset, "released"), a, retain_graph=True)
    (calibrated,) = torch.autograd.grad(motion_loss(motion + offset, "calibrated", offset), a)
    torch.testing.assert_close(released, -slope / squared)
    torch.testing.assert_close(calibrated, of_motion * slope / squared)
    assert released < 0 < calibrated
