"""Patch tokens of high norm: by hand, and in the outputs of the blocks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ezclip.checkpoints.identity import Identity
from ezclip.evaluation.tokens import Layer, Prompt, Tokens, measure_tokens, patch_norms, summarise_layer
from ezclip.explanation.trace import block_inputs
from ezclip.model.backbone import Backbone
from ezclip.predictor import Encoded, Predictor
from ezclip.types import Clip
from tests.conftest import make_model


def test_a_layer_by_hand() -> None:
    """Two frames of 2 x 2 patches; two of the eight norms are above 30."""
    layer = summarise_layer(torch.tensor([[1.0, 2, 3, 4], [40, 5, 31, 6]]), 30.0)
    assert layer == Layer(4.5, 40.0, (1, 0, 0), 2, [(1, 0, 0), (1, 1, 0)])
    assert layer.ratio == pytest.approx(40 / 4.5)
    unknown = summarise_layer(torch.tensor([[1.0, 2, 3, 4], [40, 5, 31, 6]]), None)
    assert unknown.high is None and unknown.places == [] and unknown.at == (1, 0, 0)


def test_when_the_prompt_is_a_register() -> None:
    plain, more = (
        summarise_layer(torch.tensor([[1.0, 1, 1, 2]]), None),
        summarise_layer(torch.tensor([[1.0, 1, 1, 3]]), None),
    )
    assert Tokens([plain], [Prompt(0.3, 0.2, more)]).register is True
    assert Tokens([plain], [Prompt(0.1, 0.2, more)]).register is False, "less than an even share of the attention"
    assert Tokens([more], [Prompt(0.3, 0.2, plain)]).register is False, "without it, norms are smaller"
    like = summarise_layer(torch.tensor([[1.0, 1, 1, 2.3]]), None)
    assert Tokens([plain], [Prompt(0.3, 0.2, like)]).register is False, "hardly more without it"
    assert Tokens([plain], [None]).register is None
    counted = replace(plain, high=0), replace(more, high=0)
    assert Tokens([counted[0]], [Prompt(0.3, 0.2, counted[1])]).register is False, "nothing is above the threshold"


def test_norms_of_what_the_blocks_return(backbone: Backbone, pixels: Tensor) -> None:
    model = make_model(backbone, "ezclip")
    norms, N = patch_norms(model, pixels[:1]), model.vision.grid**2
    second = block_inputs(model, pixels[:1])[1]  # which the first block returned
    assert norms.shape == (len(model.vision.blocks), 8, N)
    assert torch.allclose(norms[0], second[:, 1:].norm(dim=-1))


def test_without_prompts_nothing_reaches_the_patches_from_them(backbone: Backbone) -> None:
    """Other prompts change the norms, but not the norms "without" prompts."""
    model = make_model(backbone, "ezclip")
    images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    clip = Clip("c", images, np.arange(8), np.arange(8.0), 8)
    predictor = Predictor(model, Identity("x", backbone="ViT-B-16/openai"))
    first = measure_tokens(predictor, Encoded(model, clip))
    for block in model.vision.blocks:
        block.prompt.embedding.data.mul_(-3)
    second = measure_tokens(predictor, Encoded(model, clip))
    assert all(p and 0 < p.attention < 1 and p.even == 1 / (2 + model.vision.grid**2) for p in first.prompts)
    assert first.layers[-1].largest != second.layers[-1].largest and first.layers[-1].high is not None
    assert [p and p.without.largest for p in first.prompts] == [p and p.without.largest for p in second.prompts]
