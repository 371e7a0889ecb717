"""The orders of the stage, and the stored stages of the samples against fresh computations."""

import base64
import json

import numpy as np
import pytest

from app.stage import SAMPLES, STAGES, restored, samples
from docs.make_stages import stage_of
from ezclip.studies.host import Host
from ezclip.studies.stage.directions import orders


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_orders() -> None:
    found = orders(8)
    assert found["reversed"] == [7, 6, 5, 4, 3, 2, 1, 0] and found["static"] == [4] * 8
    assert sorted(found["shuffled"]) == found["forward"] != found["shuffled"]


def test_clear_samples_come_first_and_failures_last() -> None:
    found = samples()
    assert len(found) == 15
    first = found[0].stage
    for direction in ("forward", "reversed"):
        base, model = (one["answers"][0]["label"] for one in first["results"][direction])
        assert model == first["truth"][direction]
    assert [one["answers"][0]["label"] for one in first["results"]["reversed"]][0] != first["truth"]["reversed"]
    right = [sample.right[1] for sample in found]
    assert right == sorted(right, reverse=True) and not all(right)


@pytest.mark.parametrize(
    ("asked", "start"),
    [
        ({}, {"direction": "forward"}),
        ({"direction": "reversed", "frame": "8"}, {"direction": "reversed", "slot": 7}),
        ({"direction": "<b>", "frame": "9"}, {"direction": "forward"}),
        ({"frame": "-1"}, {"direction": "forward"}),
    ],
)
def test_an_address_names_a_sample(asked: dict[str, str], start: dict[str, object]) -> None:
    sample = restored(samples(), asked | {"clip": "14_crowd"})
    assert sample is not None and sample.path.endswith("14_crowd.mp4") and sample.stage["start"] == start


def test_an_address_names_no_other_file() -> None:
    assert restored(samples(), {"clip": "../truth"}) is None and restored(samples(), {"frame": "2"}) is None


@pytest.mark.slow
def test_a_stored_stage_equals_a_fresh_one() -> None:
    stored = json.loads((STAGES / "03_putting_into.json").read_text("utf-8"))
    fresh = json.loads(json.dumps(stage_of(Host(), SAMPLES / "03_putting_into.mp4")))
    for direction, results in fresh["results"].items():
        for now, before in zip(results, stored["results"][direction], strict=True):
            assert now["answers"][0]["label"] == before["answers"][0]["label"]
            assert now["answers"][0]["score"] == pytest.approx(before["answers"][0]["score"], abs=0.05)
            a, b = floats(now["heat"]), floats(before["heat"])
            assert np.abs(a - b).mean() < 0.05 * b.mean()
    same = ("key", "film", "seconds", "orders", "models", "unit", "truth", "guess", "verdicts")
    assert [fresh[name] for name in same] == [stored[name] for name in same]
