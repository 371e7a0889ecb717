"""Grad-ECLIP by hand, and an identity of its parts."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ezclip.explanation.grad_eclip import value_relevance
from ezclip.explanation.gradients import cosine
from ezclip.explanation.maps import explain
from ezclip.explanation.trace import hooked, probabilities
from ezclip.model.backbone import Backbone
from tests.conftest import make_model

Q, GRADIENT = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, -0.5]]])  # (B, H, d)
V = torch.tensor([[[[2.0, 1.0], [0.0, 4.0], [5.0, 5.0]]]])  # (B, H, N, d)


def test_one_head_by_hand() -> None:
    K = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]]])
    torch.testing.assert_close(value_relevance(Q, K, V, GRADIENT), torch.tensor([[1.5, -1.0, 0.0]]))
    equal = torch.ones(1, 1, 3, 2)
    torch.testing.assert_close(value_relevance(Q, equal, V, GRADIENT), torch.tensor([[1.5, -2.0, 2.5]]))


def test_minmax_is_over_the_whole_clip() -> None:
    K = torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]], [[[0.0, 1.0], [-1.0, 0.0]]]])  # cosines 1, .7071 | 0, -1
    ones = torch.ones(2, 1, 2, 2)
    relevance = value_relevance(Q.expand(2, -1, -1), K, ones, torch.tensor([[[0.5, 0.5]]]).expand(2, -1, -1))
    torch.testing.assert_close(relevance, torch.tensor([[1.0, (1 + 2**-0.5) / 2], [0.5, 0.0]]))


def test_attention_times_weights_is_gradient_times_output(backbone: Backbone, pixels: Tensor) -> None:
    model, text, tensors = make_model(backbone, "ezclip"), torch.ones(32), []

    def watch(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        tensors.extend([*qkv, output])

    with hooked([(model.vision.blocks[-1].mix, watch)]):
        cosine(model, pixels[:1].clone().requires_grad_(), text).sum().backward()
    q, k, v, o = tensors
    model.zero_grad(set_to_none=True)
    g = o.grad[:, :, 0]
    w = torch.einsum("bhd,bhnd->bhn", g, v)
    torch.testing.assert_close((probabilities(q, k)[:, :, 0] * w).sum(), (g * o[:, :, 0]).sum(), atol=1e-7, rtol=1e-4)
    attribution = explain(model, pixels[:1], np.arange(8.0), name="m", method="grad-eclip", text=text)
    expected = value_relevance(q[:, :, 0], k[:, :, 1:17], v[:, :, 1:17], g).clamp_min(0)
    np.testing.assert_allclose(attribution.heat.reshape(8, 16), expected.detach(), rtol=1e-3, atol=1e-7)
    prompt = float(w[:, :, 17].detach().sum(dim=1).mean())
    assert float(attribution.note.split("weight ")[1].split(";")[0]) == pytest.approx(prompt, rel=0.02)
