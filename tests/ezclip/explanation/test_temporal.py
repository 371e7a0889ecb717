"""The prompts at work: rows that sum to one, and the part of attention that goes to the prompt."""

import numpy as np
import pytest
import torch

from ezclip import Predictor
from ezclip.explanation.temporal import temporal_view
from ezclip.model.backbone import Backbone
from ezclip.studies.explain import Options, explain_clip
from ezclip.types import Clip
from tests.conftest import make_model


@pytest.fixture
def clip() -> Clip:
    images = np.random.default_rng(0).integers(0, 255, (8, 40, 40, 3), dtype=np.uint8)
    return Clip("c", images, np.arange(8), np.arange(8.0), total=8)


def test_layers_and_rows(backbone: Backbone, clip: Clip) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    predictor.set_video(clip)
    view = temporal_view(predictor)
    assert view is not None and view.layers == [1, 2, 3]
    np.testing.assert_allclose(view.prompts.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(view.influence.sum(axis=-1), 1, atol=1e-5)
    assert view.reading.shape == (3, 8, 4, 4) and 0 < view.reading.min() and view.reading.max() < 1


def test_shallow_prompts_have_one_layer_and_base_has_none(backbone: Backbone, clip: Clip) -> None:
    shallow = Predictor(make_model(backbone, "ezclip", depth="shallow"), "m")
    shallow.set_video(clip)
    view = temporal_view(shallow)
    assert view is not None and view.layers == [1]
    base = Predictor(make_model(backbone, "base"), "m")
    base.set_video(clip)
    assert temporal_view(base) is None


def test_the_last_clips_stay_encoded(backbone: Backbone, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "base"), "m")
    other = clip.reorder([7, 6, 5, 4, 3, 2, 1, 0])
    frames = {}
    for name, video in (("clip", clip), ("other", other)):
        predictor.set_video(video)
        frames[name] = predictor.frames
    monkeypatch.setattr(type(predictor.model), "encode_video", lambda *_: pytest.fail("encoded again"))
    predictor.set_video(clip)
    assert predictor.frames is frames["clip"] and predictor.clip is clip


def test_clips_that_pass_leave_those_that_stay(backbone: Backbone, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "base"), "m")
    predictor.set_video(clip)
    kept = predictor.frames
    for turn in range(20):
        passing = clip.reorder([turn % 8] * 8)
        predictor.set_video(passing, keep=False)
        assert predictor.clip is passing and not torch.equal(predictor.frames, kept)
    predictor.set_video(clip)
    assert predictor.frames is kept and len(predictor._clips) == 1
    monkeypatch.setattr("ezclip.predictor.CLIP_BYTES", 2.5 * clip.images.nbytes)
    for turn in range(4):
        predictor.set_video(clip.reorder([turn] * 8))
    assert len(predictor._clips) == 2


def test_maps_are_found_once_for_a_clip(backbone: Backbone, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    predictor.set_video(clip)
    plain, view = explain_clip(predictor), temporal_view(predictor)
    for_a = explain_clip(predictor, method="grad-cam", label="a")
    assert explain_clip(predictor, method="grad-cam", label="b") is not for_a
    predictor.set_video(clip.reorder([7, 6, 5, 4, 3, 2, 1, 0]))
    assert explain_clip(predictor) is not plain and temporal_view(predictor) is not view
    predictor.set_video(clip)
    monkeypatch.setattr(type(predictor.model), "encode_video", lambda *_: pytest.fail("encoded again"))
    assert explain_clip(predictor, label="a") is plain and temporal_view(predictor) is view
    assert explain_clip(predictor, method="grad-cam", label="a") is for_a
    for method in ("rollout-own-frame", "last-layer", "released"):
        explain_clip(predictor, method=method, options=Options(discard=0.5))
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        explain_clip(predictor, options=Options(fusion="max"))
