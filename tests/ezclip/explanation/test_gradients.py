"""Methods that explain a label."""

import re
from functools import partial

import numpy as np
import pytest
import torch

from ezclip.errors import UserError
from ezclip.explanation.gradients import cosine
from ezclip.explanation.maps import explain, explain_clip
from ezclip.explanation.methods import METHODS, MapSettings
from ezclip.files import shipped
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres
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
    shares: list[float] = []
    attribution = explain(model, clip, np.arange(8.0), name="m", method=method, text=text, report=shares.append)
    assert attribution.heat.shape == (8, 4, 4) and attribution.heat.max() > 0
    assert shares and all(0 <= share <= 1 for share in shares)
    assert torch.equal(model.encode_video(clip), before)
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_label_methods_need_a_label(backbone: Backbone, clip: torch.Tensor) -> None:
    with pytest.raises(UserError, match="label"):
        explain(make_model(backbone, "base"), clip, np.arange(8.0), name="m", method="grad-cam")


def test_integrated_gradients_are_complete(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor) -> None:
    model = make_model(backbone, "ezclip")
    attribution = explain(model, clip, np.arange(8.0), name="m", method="integrated-gradients", text=text)
    delta, change = (float(x) for x in re.findall(r"[-+]\d+\.\d+", attribution.note))
    assert abs(delta) <= 0.05 * abs(change) + 1e-4 and "did not converge" not in attribution.note


@pytest.mark.slow
def test_integrated_gradients_of_a_sample_converge_in_the_native_precision() -> None:
    predictor = Predictor.load("tabletop/ezclip", device="cpu")
    (sample,) = shipped("assets/samples").glob("03_*.mp4")
    encoded = predictor.encode(read_clip(sample, partial(segment_centres, T=8)))
    note = explain_clip(
        predictor, encoded, method="integrated-gradients", label="Putting something into something"
    ).note
    delta, change = (float(x) for x in re.findall(r"[-+]\d+\.\d+", note))
    assert abs(change) > 0.1 and abs(delta) <= 0.05 * abs(change) and "did not converge" not in note


def test_integrated_gradients_choose_their_steps(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller tolerance takes more steps; one that cannot be reached is noted."""

    def steps(within: float, counts: tuple[int, int]) -> tuple[int, str]:
        monkeypatch.setattr("ezclip.explanation.gradients.IG_WITHIN", within)
        monkeypatch.setattr("ezclip.explanation.gradients.IG_STEPS", counts)
        model = make_model(backbone, "ezclip")
        note = explain(model, clip, np.arange(8.0), name="m", method="integrated-gradients", text=text).note
        return int(re.search(r"(\d+) steps", note)[1]), note  # type: ignore[index]

    assert steps(1e9, (2, 64))[0] == 2
    count, note = steps(0.0, (2, 4))
    assert count == 4 and "did not converge" in note


def test_occlusion_is_the_fall_of_the_cosine(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor) -> None:
    model = make_model(backbone, "base")
    attribution = explain(model, clip, np.arange(8.0), name="m", method="occlusion", text=text)
    covered = clip.clone()
    covered[0, 3, :, 16:32, 0:16] = clip.mean(dim=(1, 3, 4))[0, :, None, None]
    with torch.no_grad():
        fall = float(cosine(model, clip, text) - cosine(model, covered, text))
    cell = attribution.heat[3, 2:4, 0:2]
    assert np.allclose(cell, cell[0, 0])
    assert cell[0, 0] == pytest.approx(max(fall, 0) * 3 * 64, abs=1e-3)  # summed over a patch's pixels and colours


@pytest.mark.parametrize("variant", ["base", "ezclip"])
def test_grad_cam_by_hand(backbone: Backbone, clip: torch.Tensor, text: torch.Tensor, variant: str) -> None:
    model = make_model(backbone, variant)
    outputs: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], tokens: torch.Tensor) -> None:
        if tokens.shape[1] > 16:  # not the prompts alone
            tokens.retain_grad()
            outputs.append(tokens)

    handle = model.vision.blocks[-1].ln_1.register_forward_hook(watch)
    cosine(model, clip.clone().requires_grad_(), text).sum().backward()
    handle.remove()
    model.zero_grad(set_to_none=True)
    (tokens,) = outputs
    A, gradient = tokens[:, 1:17], tokens.grad[:, 1:17]  # (T, N, D)
    expected = (A * gradient.mean(dim=1, keepdim=True)).sum(dim=-1).clamp_min(0)
    attribution = explain(model, clip, np.arange(8.0), name="m", method="grad-cam", text=text)
    np.testing.assert_allclose(attribution.heat.reshape(8, 16), expected.detach(), rtol=1e-3, atol=1e-7)


def test_gradient_rollout_of_base_stays_in_its_frame(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor
) -> None:
    result = explain(make_model(backbone, "base"), clip, np.arange(8.0), name="m", method="gradient-rollout", text=text)
    assert result.influence is not None
    assert np.allclose(result.influence, np.diag(np.diag(result.influence)), atol=1e-6)


def test_each_method_takes_the_settings_that_it_names(
    backbone: Backbone, clip: torch.Tensor, text: torch.Tensor
) -> None:
    model = make_model(backbone, "ezclip")
    changed = {
        "fusion": MapSettings("max"),
        "start_layer": MapSettings(start_layer=2),
        "discard": MapSettings(discard=0.5),
    }
    for name, method in METHODS.items():
        plain, *others = (
            explain(model, clip, np.arange(8.0), name="m", method=name, text=text, settings=settings).heat
            for settings in (MapSettings(), *changed.values())
        )
        assert {key for key, heat in zip(changed, others) if not np.allclose(heat, plain, atol=1e-7)} == method.settings
