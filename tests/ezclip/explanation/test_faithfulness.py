"""Deletion and insertion of space-time patches."""

import numpy as np
import pytest
import torch

from ezclip.explanation.faithfulness import Curves, Faithfulness, measure, measure_maps
from ezclip.explanation.trace import hooked
from ezclip.model.backbone import Backbone
from ezclip.progress import Watch, finish
from tests.conftest import make_model


def test_deletion_and_insertion_meet_at_their_ends(backbone: Backbone, pixels: torch.Tensor) -> None:
    clip = pixels[:1]
    model = make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heat = np.random.default_rng(0).random((8, 4, 4)).astype(np.float32)
    watch = Watch(measure(model, clip, heat, texts, 3, 1))
    shares = [step.fraction for step in watch]
    faithfulness = watch.result
    assert shares and shares == sorted(shares)
    with torch.no_grad():
        whole = float(model.logits(model.encode_video(clip), texts).softmax(dim=-1)[0, 1])
        logit = float(model.logits(model.encode_video(clip), texts)[0, 1])
    for curves, value in ((faithfulness.score, whole), (faithfulness.logit, logit)):
        assert curves.deletion[0] == pytest.approx(value, abs=1e-5) == curves.insertion[-1]
        assert curves.deletion[-1] == curves.insertion[0]
        assert curves.random.shape == (16, 7) and len(np.unique(curves.random[:, 3])) == 16
    both = torch.cat([texts, texts[[1, 2, 0]]])[[0, 3, 1, 4, 2, 5]]
    doubled = finish(measure(model, clip, heat, both, 3, 1))
    with torch.no_grad():
        turned = float(model.logits(model.encode_video(clip), texts[[1, 2, 0]]).softmax(dim=-1)[0, 1])
    assert doubled.score.deletion[0] == pytest.approx((whole + turned) / 2, abs=1e-5), "the mean over a class's texts"


def test_masks_by_hand(backbone: Backbone, pixels: torch.Tensor) -> None:
    """The middle level: the 64 hottest of 128 patches replaced by the clip's mean colour, or the only ones left."""
    clip, model = pixels[:1], make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heat = np.arange(128.0).reshape(8, 4, 4)  # hottest last
    measured = finish(measure(model, clip, heat, texts, 3, 1))
    last = torch.arange(8)[None, :, None, None, None] >= 4
    mean = clip.mean(dim=(1, 3, 4), keepdim=True)
    with torch.no_grad():
        without, alone = (
            float(model.logits(model.encode_video(torch.where(mask, clip, mean)), texts)[0, 1])
            for mask in (~last, last)
        )
    assert measured.logit.deletion[3] == pytest.approx(without, abs=1e-4)
    assert measured.logit.insertion[3] == pytest.approx(alone, abs=1e-4)
    turned = finish(measure(model, clip, -heat, texts, 3, 1))
    assert np.allclose(turned.logit.deletion, measured.logit.insertion[::-1], atol=1e-4)


def test_maps_measured_together_are_those_measured_alone(backbone: Backbone, pixels: torch.Tensor) -> None:
    """Even for equal patches, whose order is random; the random orders are measured once."""
    clip, model = pixels[:1], make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heats = [np.arange(128.0).reshape(8, 4, 4), np.arange(128).reshape(8, 4, 4) // 40, np.zeros((8, 4, 4))]
    watch = Watch(measure_maps(model, clip, heats, texts, 3, 1, orders=4))
    assert len(list(watch)) == -(-(2 + 5 * (2 * 3 + 4)) // 8), "batches of eight"
    for heat, together in zip(heats, watch.result, strict=True):
        alone = finish(measure(model, clip, heat, texts, 3, 1, orders=4))
        for name in ("deletion", "insertion", "random"):
            np.testing.assert_allclose(getattr(together.logit, name), getattr(alone.logit, name), atol=1e-4)


@pytest.mark.parametrize(("batch", "passes"), [(8, 11 * [8] + [4]), (32, [32, 32, 28])])
def test_a_clip_passes_92_times_in_full_batches(
    backbone: Backbone, pixels: torch.Tensor, batch: int, passes: list[int]
) -> None:
    """The full and the blank clip once, then five levels of 16 random orders and of both directions of the map."""
    model, batches = make_model(backbone, "ezclip"), []
    with hooked([(model.vision.blocks[0], lambda module, inputs, output: batches.append(len(inputs[0]) // 8))]):
        finish(measure(model, pixels[:1], np.ones((8, 4, 4)), torch.randn(3, 32), 3, 1, batch=batch))
    assert batches == passes and sum(batches) == 92


def test_gains_and_their_interval_by_hand() -> None:
    levels = np.array([0, 0.5, 1])
    random = np.array([[1, 0.4, 0], [1, 0.8, 0]])  # areas 0.45 and 0.65
    curves = Curves(levels, np.array([1, 0.2, 0]), np.array([0, 0.9, 1]), random)  # areas 0.35 and 0.7
    half = 12.7062047 * 0.1  # t of one degree of freedom times 0.141421 / sqrt(2)
    assert curves.deletion_gain == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    assert curves.insertion_gain == pytest.approx((0.15, 0.15 - half, 0.15 + half))
    assert curves.srg == pytest.approx(0.35) == curves.deletion_gain.value + curves.insertion_gain.value
    assert curves.insertion_gain.low < 0 < curves.insertion_gain.value


def test_other_orders_fall_into_the_interval(backbone: Backbone, pixels: torch.Tensor) -> None:
    """The gain over other random orders lies in the interval about as often as its level promises."""
    clip, model = pixels[:1], make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heat = np.random.default_rng(0).random((8, 4, 4))
    measured = [finish(measure(model, clip, heat, texts, 3, 1, batch=32, seed=seed)).logit for seed in range(12)]
    mean = np.mean([curves.deletion_gain.value for curves in measured])
    assert sum(c.deletion_gain.low <= mean <= c.deletion_gain.high for c in measured) >= 9
    assert len({curves.srg for curves in measured}) == 1, "no random order has a part in it"


@pytest.mark.parametrize(("blank", "told"), [(0.4, False), (0.6, True)])
def test_a_blank_clip_with_a_high_score_gives_a_warning(blank: float, told: bool) -> None:
    score = Curves(np.array([0.0, 1]), np.array([1, blank]), np.array([blank, 1]), np.array([[1, blank]]))
    warning = Faithfulness(score, score).warning
    assert bool(warning) == told and ("already scores 60.0%" in warning) == told
