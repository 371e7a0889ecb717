"""Deletion and insertion of space-time patches."""

import numpy as np
import pytest
import torch

from ezclip.explanation.faithfulness import Faithfulness, measure
from ezclip.model.backbone import Backbone
from ezclip.progress import Watch, finish
from tests.conftest import make_model


def test_deletion_and_insertion_meet_at_their_ends(backbone: Backbone, pixels: torch.Tensor) -> None:
    clip = pixels[:1]
    model = make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heat = np.random.default_rng(0).random((8, 4, 4)).astype(np.float32)
    watch = Watch(measure(model, clip, heat, texts, 3, 1))
    shares = [step.share for step in watch]
    found = watch.result
    assert shares and shares == sorted(shares)
    with torch.no_grad():
        whole = float(model.logits(model.encode_video(clip), texts).softmax(dim=-1)[0, 1])
    assert found.deletion[0] == pytest.approx(whole, abs=1e-5) == found.insertion[-1]
    assert found.deletion[-1] == pytest.approx(found.insertion[0], abs=1e-5)
    assert found.random_deletion.shape == (4, 9)
    both = torch.cat([texts, texts[[1, 2, 0]]])[[0, 3, 1, 4, 2, 5]]
    doubled = finish(measure(model, clip, heat, both, 3, 1))
    with torch.no_grad():
        turned = float(model.logits(model.encode_video(clip), texts[[1, 2, 0]]).softmax(dim=-1)[0, 1])
    assert doubled.deletion[0] == pytest.approx((whole + turned) / 2, abs=1e-5), "the mean over a class's texts"
    worst = Faithfulness(found.levels, np.ones(9), np.zeros(9), np.zeros((2, 9)), np.ones((2, 9)))
    assert worst.deletion_gain == -1 and worst.insertion_gain == -1
