"""Frames of clips under two models in one plane."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ezclip import Predictor
from ezclip.checkpoints.identity import Identity
from ezclip.errors import UserError
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.progress import finish
from ezclip.studies.frames import CompareFrames, FramePlane, describe_difference, project_frames
from ezclip.studies.host import Host
from ezclip.types import Clip, MotionStatistics
from tests.conftest import TINY, make_model
from tests.ezclip.studies.conftest import SAMPLES


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (("prompts", "here"), ("ezclip", "here"), "the two differ by the motion loss alone"),
        (("prompts", ""), ("ezclip", "here"), "the two differ by the motion loss alone"),
        (("ezclip", "here"), ("ezclip", "here"), "two models of the same variant"),
        (("ezclip", "here"), ("ezclip", "there"), "the two differ by the clips that they were trained on alone"),
        (
            ("base", "here"),
            ("motion", "there"),
            "the two differ by the motion loss and the clips that they were trained on",
        ),
    ],
)
def test_what_two_models_differ_in(
    backbone: Backbone, first: tuple[str, str], second: tuple[str, str], told: str
) -> None:
    pair = [Predictor(make_model(backbone, variant), Identity(variant, data=data)) for variant, data in (first, second)]
    assert describe_difference(*pair) == told
    other = Predictor(make_model(build_backbone("another", TINY), "ezclip"), "other")
    assert describe_difference(pair[0], other) == "the two use different backbones"


PAIR = {"baseline": "tabletop/base", "model": "tabletop/ezclip", "projection": "PCA"}


def test_frames_in_one_plane(host: Host, movie: Path) -> None:
    result = finish(CompareFrames((str(movie), str(SAMPLES[0])), **PAIR).run(host))
    assert result.points.shape == (2 * 2 * 8, 2) and result.of(1, 1).shape == (8, 2)
    assert result.difference == "the two differ by temporal prompts and the motion loss"
    for (_, _, (variance, frozen, c, frozen_c, *angles), share), document in zip(
        result.spread(), sum(result.as_json()["motion"], [])
    ):
        assert document["phantom_share"] == share
        assert [document["curvature"], document["frozen_curvature"]] == [None if np.isnan(a) else a for a in angles]
        if share is not None:
            assert share == pytest.approx((frozen + frozen_c) / (variance + c))
    assert result.spread()[1][-1] == pytest.approx(0, abs=1e-4), "base shows no motion where nothing moves"
    assert result.copies.shape == result.points.shape and len(result.as_json()["static_copies"]) == 32
    base, ezclip = (result.of(m, 1, copy=True) for m in (0, 1))
    assert np.ptp(base, axis=0).max() == 0 < np.ptp(ezclip, axis=0).max()
    assert base[0] == pytest.approx(result.of(0, 1)[4], abs=1e-5), "base's copies lie on its middle frame: one fit"
    with pytest.raises(UserError, match="twice"):
        finish(CompareFrames((str(movie),), "tabletop/ezclip", "tabletop/ezclip").run(host))
    with pytest.raises(UserError, match="1 to 8"):
        finish(CompareFrames(tuple(str(s) for s in SAMPLES[:9]), **PAIR).run(host))


def test_a_static_clip_is_one_point_for_base(host: Host) -> None:
    still = Clip("still", np.zeros((8, 40, 40, 3), np.uint8), np.arange(8), np.arange(8.0), total=8)
    study = CompareFrames(("still",), **PAIR)
    result = finish(project_frames(study, host, [host.predictor(name) for name in study.models()], [still]))
    assert result.notes() == ["All frames of still coincide under tabletop/base."]
    assert result.notes() == result.as_json()["notes"]


def test_a_clip_given_twice_counts_once(host: Host, movie: Path) -> None:
    assert len(finish(CompareFrames((str(movie), str(movie)), **PAIR).run(host)).clips) == 1


def test_projecting_can_be_cancelled(host: Host) -> None:
    steps = CompareFrames((str(SAMPLES[0]), str(SAMPLES[1])), **PAIR).run(host)
    while "embedding" not in next(steps).message:
        pass
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_the_verdict_pools_the_clips() -> None:
    def of(total: float, still: float) -> MotionStatistics:
        return MotionStatistics("paper", total / 2, total / 2, still / 2, still / 2, 0, 0)

    clips = [Clip(name, np.zeros((1, 8, 8, 3), np.uint8), np.arange(1), np.zeros(1), total=1) for name in "ab"]
    motion = [[of(1, 0), of(1, 0)], [of(3, 3), of(1, 0.76)]]  # of ezclip 3.76 of 4
    study, models = CompareFrames(("a", "b"), **PAIR), [Identity("base"), Identity("ezclip")]
    plane = FramePlane(
        study, models, np.zeros((4, 2)), np.zeros((4, 2)), clips, "PCA", 1.0, motion, [[(0.0, 0.0)] * 2] * 2, "", 96
    )
    verdict = "Under ezclip, 94% of this spread is there when nothing moves; under base, 0%."
    assert plane.verdict == plane.as_json()["verdict"] == verdict
    still = [[of(0, 0)] * 2] * 2
    assert replace(plane, motion=still).verdict == "Under ezclip there is no spread; under base there is no spread."
