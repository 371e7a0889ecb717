"""Frames forward, reversed, shuffled and static: the orders by hand, and a model that is blind to them."""

from types import SimpleNamespace

import numpy as np
import pytest

from ezclip.evaluation import order
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps, Watch
from ezclip.studies.analysis import Analyse
from ezclip.studies.stage.directions import DirectionResult, analyse_directions, forward_results, orders, reorder
from ezclip.types import Attribution, Clip, Prediction, Preprocessing
from tests.conftest import make_model


def clip_of(T: int, source: str = "") -> Clip:
    """T frames of noise: frames 3, 5, 7 and so on of a video, one every half second."""
    images = np.random.default_rng(1).integers(0, 256, (T, 40, 48, 3), dtype=np.uint8)
    return Clip("c.mp4", images, np.arange(T) * 2 + 3, np.arange(T) / 2, total=40, source=source)


def test_orders() -> None:
    directions = orders(8)
    assert directions["reversed"] == [7, 6, 5, 4, 3, 2, 1, 0] and directions["static"] == [4] * 8
    assert sorted(directions["shuffled"]) == directions["forward"] != directions["shuffled"]


@pytest.mark.parametrize(
    ("T", "forward", "backward", "static"),
    [(1, [0], [0], [0]), (4, [0, 1, 2, 3], [3, 2, 1, 0], [2] * 4), (5, [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2] * 5)],
)
def test_orders_by_hand(T: int, forward: list[int], backward: list[int], static: list[int]) -> None:
    directions = orders(T)
    assert list(directions) == ["forward", "reversed", "shuffled", "static"]
    assert (directions["forward"], directions["reversed"], directions["static"]) == (forward, backward, static)


@pytest.mark.parametrize("T", [4, 8, 16])
def test_the_orders_are_those_of_the_motion_study(T: int) -> None:
    measured = order.orders(T, T)
    directions = orders(T)
    assert directions["shuffled"] == measured["shuffled"][0] and directions["static"] == measured["static"][0]


def test_a_turned_clip_keeps_its_times() -> None:
    clip = clip_of(4, "digest")
    turned = reorder(clip, "reversed")
    assert turned.indices.tolist() == [9, 7, 5, 3] and turned.seconds.tolist() == [0, 0.5, 1, 1.5]
    assert np.array_equal(turned.images, clip.images[::-1]) and turned.source == "digest reversed"
    still = reorder(clip, "static")
    assert still.indices.tolist() == [7] * 4 and (still.images == clip.images[2]).all()
    assert np.array_equal(reorder(clip, "forward").images, clip.images)
    assert reorder(clip_of(4), "reversed").source == "", "a clip made in memory stays without a key for caches"


def test_the_analysis_itself_is_the_forward_direction() -> None:
    heat = Attribution(np.ones((4, 2, 2)), None, np.arange(4.0), "rollout", "m", Preprocessing(32))
    result = SimpleNamespace(name="m", predictions=[Prediction("a", 1.0, 2.0)], attribution=heat)
    ((direction, (forward,)),) = forward_results(SimpleNamespace(results=[result])).items()
    assert direction == "forward" and isinstance(forward, DirectionResult)
    assert (forward.name, forward.predictions, forward.attribution) == ("m", result.predictions, heat)


def test_a_model_that_encodes_frames_one_by_one(backbone: Backbone) -> None:
    """Base is invariant to order and its maps move with their frames; neither holds for a model with prompts."""
    clip, names = clip_of(4), ["a", "b", "c"]
    predictors = {"base": Predictor(make_model(backbone, "base", T=4), "base")}
    predictors["ezclip"] = Predictor(make_model(backbone, "ezclip", T=4), "ezclip")

    def decoded(path: str, T: int) -> Steps[Clip]:
        assert (path, T) == ("c.mp4", 4)
        yield Progress(0.5, "decoding")
        return clip

    host = SimpleNamespace(
        clip=decoded, predictor=predictors.__getitem__, encode=lambda model, frames: model.encode(frames)
    )
    results = [SimpleNamespace(name=name, predictions=[], attribution=None) for name in predictors]
    study = Analyse("c.mp4", model="ezclip", baseline="base", method="rollout")
    analysis = SimpleNamespace(study=study, names=names, clip=clip.downscaled(20), results=results, target="b")
    watch = Watch(analyse_directions(host, analysis))  # type: ignore[arg-type]
    steps = list(watch)
    assert [[*step.partial] for step in steps if step.partial] == [
        ["forward", "reversed"],
        ["forward", "reversed", "shuffled"],
        ["forward", "reversed", "shuffled", "static"],
    ]
    assert [step.fraction for step in steps if step.partial] == pytest.approx([1 / 3, 2 / 3, 1])
    turns = watch.result
    assert all([one.name for one in models] == ["base", "ezclip"] for models in turns.values())
    assert all(one.attribution.method == "rollout" for d in ("reversed", "static") for one in turns[d])

    logits = {
        d: [{p.label: p.logit for p in one.predictions} for one in turns[d]] for d in ("reversed", "shuffled", "static")
    }
    (blind, sees), (shuffled, _), _ = logits.values()
    assert blind == pytest.approx(shuffled, abs=1e-3) and blind != pytest.approx(logits["static"][0], abs=1e-3)
    heat = {d: [one.attribution.heat for one in turns[d]] for d in logits}
    places = orders(4)["shuffled"]
    base = heat["reversed"][0][::-1]
    np.testing.assert_allclose(heat["shuffled"][0], base[places], atol=1e-6)
    np.testing.assert_allclose(heat["static"][0], base[[2] * 4], atol=1e-6)
    forward = {p.label: p.logit for p in predictors["ezclip"].rank(predictors["ezclip"].encode(clip).video, names)}
    assert sees != pytest.approx(forward, abs=1e-3)
    assert not np.allclose(heat["shuffled"][1], heat["reversed"][1][::-1][places], atol=1e-6)
