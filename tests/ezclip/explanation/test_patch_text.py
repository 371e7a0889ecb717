"""Patch-text similarity against the equation."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.explanation.maps import explain
from ezclip.explanation.trace import block_inputs
from ezclip.model.backbone import Backbone
from tests.conftest import make_model


@torch.no_grad()
def test_every_patch_through_its_own_value(backbone: Backbone, pixels: Tensor) -> None:
    model, text = make_model(backbone, "ezclip"), torch.linspace(-1, 1, 32)
    attribution = explain(model, pixels[:1], np.arange(8.0), name="m", method="patch-text", text=text)
    x, last = block_inputs(model, pixels[:1])[-1], model.vision.blocks[-1]
    v = F.linear(last.ln_1(x), last.attn.in_proj_weight[128:], last.attn.in_proj_bias[128:])  # D = 64
    y = last.adapter(last.attn.out_proj(v) + x)
    y = y + last.mlp(last.ln_2(y))
    cosines = F.cosine_similarity(model.vision.ln_post(y[:, 1:]) @ model.vision.proj, text, dim=-1)
    np.testing.assert_allclose(attribution.heat.reshape(8, 16), cosines - cosines.min(), atol=1e-6)
