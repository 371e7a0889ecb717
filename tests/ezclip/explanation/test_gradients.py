"""Methods that explain a label, faithfulness, projection and the truth of masks."""

import re

import numpy as np
import pytest
import torch

from ezclip.errors import UserError
from ezclip.explanation.faithfulness import Faithfulness, measure
from ezclip.explanation.gradients import cosine
from ezclip.explanation.methods import METHODS, Options, explain
from ezclip.explanation.projection import project
from ezclip.explanation.truth import heat_shares, patch_fractions
from ezclip.model.backbone import Backbone
from tests.conftest import make_model

BY_LABEL = [name for name, method in METHODS.items() if method.needs_label]


@pytest.fixture
def clip(pixels: torch.Tensor) -> torch.Tensor:
    return pixels[:1]


@pytest.fixture
def text() -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("variant", ["base", "ezclip"])
@pytest.mark.parametrize("method", BY_LABEL)
def test_observes_and_leaves_no_trace(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor, variant: str, method: str
) -> None:
    model = make_model(backbone, variant)
    before = model.encode_video(clip)
    ticks: list[float] = []
    found = explain(model, clip, np.arange(8.0), name="m", method=method, text=text, tick=ticks.append)
    assert found.heat.shape == (8, 4, 4) and found.heat.max() > 0
    assert ticks and all(0 <= t <= 1 for t in ticks)
    assert torch.equal(model.encode_video(clip), before)
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_label_methods_need_a_label(backbone: Backbone, clip: torch.Tensor) -> None:
    with pytest.raises(UserError, match="explains a label"):
        explain(make_model(backbone, "base"), clip, np.arange(8.0), name="m", method="grad-cam")


def test_integrated_gradients_are_complete(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor) -> None:
    model = make_model(backbone, "ezclip")
    found = explain(model, clip, np.arange(8.0), name="m", method="integrated-gradients", text=text)
    delta, change = (float(x) for x in re.findall(r"[-+]\d+\.\d+", found.note))
    assert abs(delta) < 0.1 * abs(change) + 0.02


def test_occlusion_is_the_fall_of_the_cosine(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor) -> None:
    model = make_model(backbone, "base")
    found = explain(model, clip, np.arange(8.0), name="m", method="occlusion", text=text)
    covered = clip.clone()
    covered[0, 3, :, 16:32, 0:16] = clip.mean(dim=(1, 3, 4))[0, :, None, None]
    with torch.no_grad():
        fall = float(cosine(model, clip, text) - cosine(model, covered, text))
    cell = found.heat[3, 2:4, 0:2]
    assert np.allclose(cell, cell[0, 0])
    assert cell[0, 0] == pytest.approx(max(fall, 0) * 3 * 64, abs=1e-3)  # summed over a patch's pixels and colours


@pytest.mark.parametrize("variant", ["base", "ezclip"])
def test_grad_cam_by_hand(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor, variant: str) -> None:
    model = make_model(backbone, variant)
    seen: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], tokens: torch.Tensor) -> None:
        if tokens.shape[1] > 16:  # not the prompts alone
            tokens.retain_grad()
            seen.append(tokens)

    handle = model.vision.blocks[-1].ln_1.register_forward_hook(watch)
    cosine(model, clip.clone().requires_grad_(), text).sum().backward()
    handle.remove()
    model.zero_grad(set_to_none=True)
    (tokens,) = seen
    A, gradient = tokens[:, 1:17], tokens.grad[:, 1:17]  # (T, N, D)
    expected = (A * gradient.mean(dim=1, keepdim=True)).sum(dim=-1).clamp_min(0)
    found = explain(model, clip, np.arange(8.0), name="m", method="grad-cam", text=text)
    np.testing.assert_allclose(found.heat.reshape(8, 16), expected.detach(), rtol=1e-3, atol=1e-7)


def test_gradient_rollout_of_base_stays_in_its_frame(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor
) -> None:
    found = explain(make_model(backbone, "base"), clip, np.arange(8.0), name="m", method="gradient-rollout", text=text)
    assert found.influence is not None
    assert np.allclose(found.influence, np.diag(np.diag(found.influence)), atol=1e-6)


def test_each_method_takes_the_settings_that_it_names(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor
) -> None:
    model = make_model(backbone, "ezclip")
    changed = {"fusion": Options(fusion="max"), "start_layer": Options(start_layer=2), "discard": Options(discard=0.5)}
    for name, method in METHODS.items():
        plain, *others = (
            explain(model, clip, np.arange(8.0), name="m", method=name, text=text, options=options).heat
            for options in (Options(), *changed.values())
        )
        assert {key for key, heat in zip(changed, others) if not np.allclose(heat, plain, atol=1e-7)} == method.takes


def test_deletion_and_insertion_meet_at_their_ends(backbone: Backbone, clip: torch.Tensor) -> None:
    model = make_model(backbone, "ezclip")
    texts = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    heat = np.random.default_rng(0).random((8, 4, 4)).astype(np.float32)
    *shares, found = measure(model, clip, heat, texts, 3, 1)
    assert isinstance(found, Faithfulness) and shares == sorted(shares)
    with torch.no_grad():
        whole = float(model.logits(model.encode_video(clip), texts).softmax(dim=-1)[0, 1])
    assert found.deletion[0] == pytest.approx(whole, abs=1e-5) == found.insertion[-1]
    assert found.deletion[-1] == pytest.approx(found.insertion[0], abs=1e-5)
    assert found.random_deletion.shape == (4, 9)
    *_, doubled = measure(model, clip, heat, torch.cat([texts, texts[[1, 2, 0]]])[[0, 3, 1, 4, 2, 5]], 3, 1)
    with torch.no_grad():
        turned = float(model.logits(model.encode_video(clip), texts[[1, 2, 0]]).softmax(dim=-1)[0, 1])
    assert isinstance(doubled, Faithfulness)
    assert doubled.deletion[0] == pytest.approx((whole + turned) / 2, abs=1e-5), "the mean over a class's texts"
    worst = Faithfulness(found.levels, np.ones(9), np.zeros(9), np.zeros((2, 9)), np.ones((2, 9)))
    assert worst.deletion_gain == -1 and worst.insertion_gain == -1


def test_shares_of_heat_by_hand() -> None:
    masks = np.zeros((1, 256, 256), np.uint8)
    masks[:, 16:128, 16:128] = 2  # the visible square is 16..240, so this is its upper left quarter
    masks[:, 128:240, 128:240] = 1
    assert patch_fractions(masks, 2)[2, 0].tolist() == [[1, 0], [0, 0]]
    heat = np.array([[[3.0, 0.5], [0.5, 0.0]]])
    found = heat_shares(heat, masks)
    assert found.heat == pytest.approx((0.25, 0.0, 0.75)) and found.area == pytest.approx((0.5, 0.25, 0.25))


@pytest.mark.parametrize("method", ["PCA", "t-SNE", pytest.param("UMAP", marks=pytest.mark.slow)])
def test_projection(method: str) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.02, (12, 16)) + axis for axis in np.eye(16)[:2]])
    found = project(np.concatenate([values, values[:1]]), method)
    assert found.points.shape == (25, 2) and np.allclose(found.points[0], found.points[-1])
    apart = np.linalg.norm(found.points[:12].mean(axis=0) - found.points[12:24].mean(axis=0))
    assert apart > 2 * found.points[:12].std() and found.trustworthiness > 0.7


def test_projection_of_few_points() -> None:
    same = project(np.ones((4, 8)))
    assert np.ptp(same.points) == 0 and "only 1" in same.method
    two = project(np.eye(8)[:2])
    assert np.linalg.norm(two.points[0] - two.points[1]) == pytest.approx(2**0.5)
    with pytest.raises(UserError, match="at least 2"):
        project(np.ones((1, 8)))
