"""Attention maps by hand, models without a map, and the attention to and among prompts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ezclip import Predictor
from ezclip.errors import UserError
from ezclip.explanation.maps import (
    Inputs,
    explain,
    explain_clip,
    last_layer,
    missing_map_reason,
    released,
    rollout,
    rollout_own_frame,
    temporal_view,
)
from ezclip.explanation.methods import METHODS, MapSettings
from ezclip.explanation.trace import AttentionTrace
from ezclip.model.backbone import Backbone
from ezclip.progress import silent
from ezclip.types import Clip
from tests.conftest import make_model


@pytest.fixture
def clip() -> Clip:
    images = np.random.default_rng(0).integers(0, 255, (8, 40, 40, 3), dtype=np.uint8)
    return Clip("c", images, np.arange(8), np.arange(8.0), total=8)


def test_layers_and_rows(backbone: Backbone, clip: Clip) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    view = temporal_view(predictor.encode(clip))
    assert view is not None and view.layers == [1, 2, 3]
    np.testing.assert_allclose(view.prompts.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(view.influence.sum(axis=-1), 1, atol=1e-5)
    assert view.to_prompt.shape == (3, 8, 4, 4) and 0 < view.to_prompt.min() and view.to_prompt.max() < 1


def test_shallow_prompts_have_one_layer_and_base_has_none(backbone: Backbone, clip: Clip) -> None:
    shallow = Predictor(make_model(backbone, "ezclip", depth="shallow"), "m")
    view = temporal_view(shallow.encode(clip))
    assert view is not None and view.layers == [1]
    base = Predictor(make_model(backbone, "base"), "m")
    assert temporal_view(base.encode(clip)) is None


def test_maps_are_computed_once_for_a_clip(backbone: Backbone, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    encoded, other = predictor.encode(clip), predictor.encode(replace(clip, images=clip.images[::-1]))
    plain, view = explain_clip(predictor, encoded), temporal_view(encoded)
    for_a = explain_clip(predictor, encoded, method="grad-cam", label="a")
    assert explain_clip(predictor, encoded, method="grad-cam", label="b") is not for_a
    assert explain_clip(predictor, other) is not plain and temporal_view(other) is not view
    monkeypatch.setattr(type(predictor.model), "encode_video", lambda *_: pytest.fail("encoded again"))
    assert explain_clip(predictor, encoded, label="a") is plain and temporal_view(encoded) is view
    assert explain_clip(predictor, encoded, method="grad-cam", label="a") is for_a
    for method in ("rollout", "last-layer", "released"):
        explain_clip(predictor, encoded, method=method, settings=MapSettings(discard=0.5))
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        explain_clip(predictor, encoded, settings=MapSettings("max"))


def test_parts_of_an_encoded_clip_are_computed_once(
    backbone: Backbone, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = Predictor(make_model(backbone, "base"), "m").encode(clip)
    frames, static = encoded.frames, encoded.static
    monkeypatch.setattr(type(encoded.model), "encode_video", lambda *_: pytest.fail("encoded again"))
    assert encoded.frames is frames and encoded.static is static and encoded.clip is clip
    assert torch.allclose(static, static[:, :1].expand_as(static))


# Two frames of a class token, two patches and a prompt: rows are queries, columns keys.
LAST = torch.tensor(
    [
        [[0.5, 0.25, 0.125, 0.125], [0, 1, 0, 0], [0, 0.5, 0.5, 0], [0, 0.25, 0.25, 0.5]],
        [[0.25, 0, 0.5, 0.25], [0, 0, 1, 0], [0, 0, 1, 0], [0.5, 0, 0.5, 0]],
    ]
)


def inputs_of(trace: AttentionTrace, text: torch.Tensor | None = None) -> Inputs:
    def tracing(fusion: str) -> AttentionTrace:
        assert fusion == "max"
        return trace

    return Inputs(None, torch.zeros(1, 2, 3, 8, 8), MapSettings("max"), text, silent, tracing)


def test_maps_of_the_last_block_by_hand() -> None:
    """The earlier block is ignored; the release's map is the mean over all four queries."""
    inputs = inputs_of(AttentionTrace([LAST.flip(0), LAST], [torch.eye(2)[None]] * 2))
    assert last_layer(inputs).heat.tolist() == [[0.25, 0.125], [0, 0.5]]
    assert released(inputs).heat.tolist() == [[2 / 4, 0.875 / 4], [0, 3 / 4]]
    assert last_layer(inputs).influence is None and released(inputs).note == ""


def test_what_is_no_patch_has_no_heat() -> None:
    """Without a prompt the last key is a patch unless it is a learned token; a pool replaces the class token."""
    plain, learned = AttentionTrace([LAST], [None]), AttentionTrace([LAST], [None], learned=1)
    assert last_layer(inputs_of(plain)).heat.tolist() == [[0.25, 0.125, 0.125], [0, 0.5, 0.25]]
    assert last_layer(inputs_of(learned)).heat.tolist() == [[0.25, 0.125], [0, 0.5]]
    pooled = AttentionTrace([LAST], [None], pool=torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]]))
    assert last_layer(inputs_of(pooled)).heat.tolist() == [[0.5, 0, 0], [0, 0.25, 0.75]]


def test_the_part_of_a_rollout_within_a_frame_by_hand() -> None:
    """Both class tokens attend half to patch 1 and half to the prompt, each of which reads the other frame."""
    A = torch.eye(4).repeat(2, 1, 1)
    A[:, 0] = torch.tensor([0, 0.5, 0, 0.5])
    inputs = inputs_of(AttentionTrace([A], [torch.tensor([[[0.0, 1], [1, 0]]])]))
    # half of 1/2 goes to patch 1 of the same frame, half to the three tokens of the other frame, 1/12 each
    within, across = 1 / 4, 1 / 12
    torch.testing.assert_close(rollout_own_frame(inputs).heat, torch.tensor([[within / 2, 0]] * 2))
    torch.testing.assert_close(rollout(inputs).heat, torch.tensor([[(within + across) / 2, across / 2]] * 2))
    for result in (rollout(inputs), rollout_own_frame(inputs)):
        assert result.influence is not None
        torch.testing.assert_close(result.influence, torch.tensor([[0.75, 0.25], [0.25, 0.75]]))


def test_the_label_of_a_method_is_its_own_copy() -> None:
    text = torch.ones(3, requires_grad=True)
    label = inputs_of(AttentionTrace(), text).label
    assert not label.requires_grad
    label[0] = 5
    assert text.tolist() == [1, 1, 1]
    with pytest.raises(AssertionError):
        _ = inputs_of(AttentionTrace()).label


def test_a_model_without_a_map_says_why(backbone: Backbone) -> None:
    model = make_model(backbone, "base")
    assert not any(missing_map_reason(model, method) for method in METHODS)
    model.unsupported_maps = {"blocks": "it has no blocks"}
    title = METHODS["grad-cam"].title
    reason = f"{title} is not available for this model: it has no blocks."
    assert missing_map_reason(model, "grad-cam") == reason
    assert missing_map_reason(model, "rollout") == missing_map_reason(model, "occlusion") == ""
    result = explain(
        model, torch.zeros(1, 8, 3, 32, 32), np.arange(8.0), name="m", method="grad-cam", text=torch.ones(32)
    )
    assert result.absent and result.note == reason and result.heat.shape == (8, 4, 4) and not result.heat.any()


def test_unknown_methods_and_missing_labels_are_refused() -> None:
    model = SimpleNamespace(grid=4, lacks={})
    for method, message in (("none", "There is no method 'none'"), ("grad-cam", "explains a label; give one")):
        with pytest.raises(UserError, match=message):
            explain(model, torch.zeros(1, 1, 3, 8, 8), np.zeros(1), name="m", method=method)  # type: ignore[arg-type]
