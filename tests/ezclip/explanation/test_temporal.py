"""The prompts at work: rows that sum to one, and the part of attention that goes to the prompt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ezclip import Predictor
from ezclip.explanation.maps import explain_clip, temporal_view
from ezclip.explanation.methods import MapSettings
from ezclip.model.backbone import Backbone
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
