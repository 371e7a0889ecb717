"""LeGrad by hand, and on a model against gradients of the full forward pass."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.legrad import mean_positive_gradient
from ezclip.explanation.maps import explain
from ezclip.explanation.trace import block_inputs, hooked, probabilities
from ezclip.model.backbone import Backbone
from tests.conftest import make_model


def test_one_head_by_hand() -> None:
    gradient = torch.tensor([[[[0.3, -0.2, 0.6], [0.0, 0.4, -0.1], [0.2, 0.2, 0.1]]]])  # queries cls, p1, p2
    torch.testing.assert_close(mean_positive_gradient(gradient, 2), torch.tensor([[0.2, 0.7 / 3]]))
    prompt = F.pad(gradient, (0, 1, 0, 1), value=9.0)  # the prompt's row and column are ignored
    torch.testing.assert_close(mean_positive_gradient(prompt, 2), torch.tensor([[0.2, 0.7 / 3]]))


def test_two_blocks_above_the_first_add_nothing_to_it(backbone: Backbone, pixels: Tensor) -> None:
    model, text = make_model(backbone, "base"), torch.linspace(-1, 1, 32)
    inputs, expected = block_inputs(model, pixels[:1]), torch.zeros(8, 16)
    for block, x in zip(model.vision.blocks, inputs):
        maps: list[Tensor] = []

        def whole(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor, maps: list[Tensor] = maps) -> Tensor:
            maps.append(p := probabilities(*qkv[:2]))
            p.retain_grad()
            return p @ qkv[2]

        with hooked([(block.mix, whole)]):
            frames = model.vision.ln_post(block(x.clone().requires_grad_()).mean(dim=1)) @ model.vision.proj
        F.cosine_similarity(frames.mean(dim=0), text, dim=0).backward()
        expected += maps[0].grad[:, :, :, 1:].clamp_min(0).mean(dim=(1, 2))
    model.zero_grad(set_to_none=True)
    attribution = explain(model, pixels[:1], np.arange(8.0), name="m", method="legrad", text=text)
    np.testing.assert_allclose(attribution.heat.reshape(8, 16), expected, rtol=1e-4, atol=1e-8)
