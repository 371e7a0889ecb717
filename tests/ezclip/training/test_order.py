"""Prompts that show order: the ratio by hand, and what learning it changes."""

from typing import cast

import pytest
import torch
from accelerate import Accelerator

from ezclip.data.dataset import Clips, Item
from ezclip.model.backbone import Backbone
from ezclip.progress import finish
from ezclip.training.order import order_ratio, show_order
from tests.conftest import make_model


def test_ratio() -> None:
    """Both clips are 1 from their centre; their reversals are 2 and 0.5 away: the geometric mean is 1."""
    forward, backward = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 2.0], [2.0, 0.5]])
    assert order_ratio(forward, backward).item() == pytest.approx(1)


def test_only_prompts_learn(backbone: Backbone) -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 3, 32, 32), dtype=torch.uint8)
    clips = cast(Clips, {(0, i): Item(clip, None, 0, 0, []) for i, clip in enumerate(frames)})
    model = make_model(backbone, "ezclip")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainable = model.trainable_parameters().keys()

    def ratio() -> float:
        with torch.inference_mode():
            views = model.normalise(frames)
            return order_ratio(*(model.encode_video(v).mean(dim=1) for v in (views, views.flip(1)))).item()

    first = ratio()
    finish(show_order(model, clips, Accelerator(cpu=True), steps=10, seed=0))
    assert ratio() > 2 * first
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.endswith("prompt.embedding")}
    assert model.trainable_parameters().keys() == trainable
