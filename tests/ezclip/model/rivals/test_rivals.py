"""Modules of rivals against their equations in plain torch; tests/ezclip/checkpoints has parity with official code."""

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.errors import CheckpointError, UserError
from ezclip.explanation.maps import explain
from ezclip.explanation.methods import METHODS, MapSettings
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace, compute_trace
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.rivals.build import build_rival, unfreeze
from ezclip.text.tokens import tokenize
from ezclip.types import Attribution, Rival

SETTINGS: dict[str, tuple[Rival, dict[str, int]]] = {
    "actionclip": ("actionclip", {"positions": 77, "layers": 2}),
    "a5": ("a5", {"layers": 1, "heads": 2, "prefix": 5, "postfix": 3}),
    "vificlip": ("vificlip", {}),
    "prompted": ("vificlip", {"vision_tokens": 3, "vision_depth": 2, "text_tokens": 4, "text_depth": 2}),
}


@pytest.fixture(params=SETTINGS)
def model(request: pytest.FixtureRequest, backbone: Backbone) -> EZCLIP:
    return make(request.param, backbone)


def make(name: str, backbone: Backbone) -> EZCLIP:
    torch.manual_seed(2)
    method, settings = SETTINGS[name]
    model = build_rival(method, backbone, 8, settings).eval()
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.normal_(std=0.3)
    return model


def reference(frames: Tensor, module: FrameTransformer, eps: float) -> Tensor:
    """blocks(c + p) with torch's attention."""
    x = frames + module.positions[: frames.shape[1]]
    for block in module.blocks:
        y = F.layer_norm(x, x.shape[-1:], block.ln_1.weight, block.ln_1.bias, eps)  # pyright: ignore
        x = x + block.attn(y, y, y, need_weights=False)[0]  # pyright: ignore
        y = F.layer_norm(x, x.shape[-1:], block.ln_2.weight, block.ln_2.bias, eps)  # pyright: ignore
        y = F.linear(y, block.mlp.c_fc.weight, block.mlp.c_fc.bias)  # pyright: ignore
        x = x + F.linear(y * torch.sigmoid(1.702 * y), block.mlp.c_proj.weight, block.mlp.c_proj.bias)  # pyright: ignore
    return x


@pytest.mark.parametrize(("name", "eps", "skip", "scale"), [("actionclip", 1e-12, 1, 100), ("a5", 1e-5, 0, 1 / 0.07)])
def test_frames_by_the_equation(
    name: str, eps: float, skip: int, scale: float, backbone: Backbone, pixels: Tensor
) -> None:
    model = make(name, backbone)
    assert model.temporal is not None
    with torch.no_grad():
        c = backbone.clip.encode_image(pixels.flatten(0, 1)).unflatten(0, (2, 8))
        frames = model.encode_video(pixels)
        torch.testing.assert_close(frames, reference(c, model.temporal, eps) + skip * c, atol=1e-5, rtol=1e-5)
        assert float(model.logits(frames[:1], frames[0].mean(dim=0, keepdim=True))) == pytest.approx(scale, rel=1e-5)


def test_a_name_between_learned_vectors(backbone: Backbone) -> None:
    """Each row by the definition: start, q, name, q, end."""
    model = make("a5", backbone)
    sentences = ["waving", "opening a red box"]
    tokens, _ = tokenize(sentences, model.context_length)
    assert model.context_length == 77 - 8
    table, q = backbone.text.token_embedding.weight, model.text.learned  # pyright: ignore
    with torch.no_grad():
        embeddings = model.encode_text(tokens)
        for ids, embedding in zip(tokens, embeddings, strict=True):
            n = int(ids.argmax())
            rows = q.clone()  # pyright: ignore
            rows[0] = table[ids[0]]
            rows[6 : 5 + n] = table[ids[1:n]]
            rows[5 + n + 3] = table[ids[n]]
            expected = model.text.encode_embedded(rows[None], torch.tensor([5 + n + 3]))[0]
            torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "count"),
    [
        ("actionclip", {"positions": 77, "layers": 6}, 18_953_728),
        ("a5", {"layers": 1}, 3_152_384 + 39_424 + 4_096),
        ("vificlip", {"vision_tokens": 16, "vision_depth": 9, "text_tokens": 16, "text_depth": 9}, 184_320),
        ("vificlip", {"vision_tokens": 10, "vision_depth": 12, "text_tokens": 10, "text_depth": 12}, 153_600),
    ],
)
def test_added_parameters_on_vit_b_16(method: Rival, settings: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone("B/16", open_clip.get_model_config("ViT-B-16-quickgelu"))
        model = build_rival(method, backbone, 8, settings)
    assert sum(p.numel() for p in model.trainable_parameters().values()) == count


@pytest.mark.parametrize(
    ("method", "settings", "T", "count"),
    [
        ("vificlip", {}, 32, 124_323_841),
        ("vificlip", {"vision_tokens": 16, "vision_depth": 9, "text_tokens": 16, "text_depth": 9}, 32, 184_320),
        ("actionclip", {}, 8, 168_574_465),
        ("actionclip", {"layers": 0}, 8, 149_620_737),
        ("a5", {}, 16, 3_200_000),
    ],
)
def test_trained_parameters_on_vit_b_16(method: Rival, settings: dict[str, int], T: int, count: int) -> None:
    """The counts of the official code; unfreezing leaves the added parameters unchanged."""
    with torch.device("meta"):
        backbone = build_backbone("B/16", open_clip.get_model_config("ViT-B-16-quickgelu"))
        model = build_rival(method, backbone, T, settings)
    added = model.added_parameters().keys()
    assert sum(p.numel() for p in unfreeze(model).trainable_parameters().values()) == count
    assert model.added_parameters().keys() == added


def test_order_of_frames(model: EZCLIP, pixels: Tensor) -> None:
    with torch.no_grad():
        forward, backward = (model.encode_video(p).mean(dim=1) for p in (pixels, pixels.flip(1)))
    assert ((forward - backward).abs().max() <= 1e-5) == model.order_blind == (model.variant == "vificlip")


def test_frames_are_fixed_where_order_matters(model: EZCLIP) -> None:
    three = torch.zeros(1, 3, 3, 32, 32)
    if model.order_blind:
        assert model.encode_video(three).shape == (1, 3, 32)
    else:
        with pytest.raises(ValueError, match=r"takes \(B, 8, 3, 32, 32\)"):
            model.encode_video(three)


@pytest.mark.parametrize("method", METHODS)
def test_every_map_exists_or_says_why_not(method: str, model: EZCLIP, pixels: Tensor) -> None:
    with torch.no_grad():
        text = model.encode_text(tokenize(["waving"], model.context_length)[0])[0]

    def run() -> Attribution:
        return explain(model, pixels[:1], np.arange(8.0), name="x", method=method, text=text)

    if (model.variant, method) == ("a5", "patch-text"):
        with pytest.raises(UserError, match="leaves the space of the patches"):
            run()
        return
    assert run().heat.shape == (8, 4, 4)


def test_rollout_through_the_transformer_over_frames(backbone: Backbone, pixels: Tensor) -> None:
    for name in ("actionclip", "a5"):
        result = roll_out(compute_trace(make(name, backbone), pixels[:1]))
        torch.testing.assert_close(result.weights.sum(dim=(1, 2)), torch.ones(8), atol=1e-5, rtol=0)
        assert (result.influence - torch.eye(8)).abs().max() > 0.05


def test_rollout_over_frames_by_hand() -> None:
    # T = 2, N = 1, attention within frames is the identity; one block over frames, each reading the other alone.
    A, P = torch.eye(2).expand(2, 2, 2), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    half = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    torch.testing.assert_close(roll_out(AttentionTrace([A], [None], [P])).influence, half)
    with_skip = roll_out(AttentionTrace([A], [None], [P], skip=True)).influence
    torch.testing.assert_close(with_skip, torch.tensor([[0.75, 0.25], [0.25, 0.75]]))


def test_what_rests_on_learned_tokens_is_left_out() -> None:
    # One frame: class token, one patch, one learned token. In both blocks the class token attends to both equally.
    A = torch.tensor([[[0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    trace = AttentionTrace([A, A], [None, None], learned=1, last_replaced=1)
    # top block: 1/2 class, 1/4 patch, 1/4 learned (dropped); bottom: class 1/4, patch 1/8 + 1/4
    torch.testing.assert_close(roll_out(trace, MapSettings()).weights, torch.tensor([[[0.25, 0.375]]]))


def test_settings_that_a_method_lacks_are_refused(backbone: Backbone) -> None:
    with pytest.raises(CheckpointError, match="cannot have the settings"):
        build_rival("a5", backbone, 8, {"layers": 1, "colour": 3})
    with pytest.raises(CheckpointError, match="T is 65; actionclip takes 1 to 64"):
        build_rival("actionclip", backbone, 65, {"positions": 77, "layers": 1})
