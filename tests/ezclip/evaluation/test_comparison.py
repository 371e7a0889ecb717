"""Class-wise comparison, intervals and variations of order, with numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.classwise import compare, paired
from ezclip.evaluation.intervals import mean_interval
from ezclip.evaluation.metrics import confusion_matrix, harmonic_mean
from ezclip.evaluation.order import orders
from ezclip.evaluation.run import Evaluation
from ezclip.evaluation.spread import frame_spread
from ezclip.studies.classes import study_of


def evaluation(name: str, answers: list[int], truth: list[int]) -> Evaluation:
    scores = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    rows = [Row(Path(f"c/{i}.mp4"), "abc"[t]) for i, t in enumerate(truth)]
    return Evaluation(name, list("abc"), rows, scores)


def test_mcnemar_counts_only_clips_that_differ() -> None:
    first = np.array([True] * 5 + [False] * 5)
    second = np.array([True] * 5 + [True] * 5)
    d = paired("x", first, second)
    assert (d.first, d.second, d.difference) == (0.5, 1.0, 0.5)
    assert d.p == pytest.approx(2 * 0.5**5)  # 5 wins, 0 losses, two-sided
    assert 0.1 <= d.low < 0.5 < d.high <= 0.9
    assert paired("x", first, first).p == 1.0


def test_confusions_fixed_and_created() -> None:
    truth = [0, 0, 1, 1, 2]
    first = evaluation("first", [1, 1, 1, 1, 2], truth)
    second = evaluation("second", [0, 1, 1, 2, 2], truth)
    found = compare(first, second)
    assert found.fixed == [("a", "b", 1)] and found.created == [("b", "c", 1)]
    assert [(d.label, d.difference) for d in found.classes] == [("a", 0.5), ("c", 0.0), ("b", -0.5)]
    assert found.overall.difference == 0
    with pytest.raises(UserError, match="differ in clips"):
        compare(first, evaluation("other", [0], [0]))
    matrix = confusion_matrix(second.scores, second.targets)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_harmonic_mean() -> None:
    assert harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert harmonic_mean(0.0, 0.3) == 0.0


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        found = mean_interval(rng.normal(1, 1, 40), resamples=400, seed=i)
        hits += found.low <= 1 <= found.high
    assert 0.88 < hits / 200 < 0.99
    assert mean_interval(np.array([])).n == 0


def test_variations_of_order() -> None:
    found = orders(40, 8)
    centres = [2, 7, 12, 17, 22, 27, 32, 37]
    assert found["as it is"] == [centres] and found["reversed"] == [centres[::-1]]
    assert found["frozen"] == [[22] * 8]
    assert found["first, then last"] == [[2] * 4 + [37] * 4]
    assert found["double speed"] == [[2, 12, 22, 32, 37, 37, 37, 37]]
    assert len(found["shuffled"]) == 5 and all(sorted(o) == centres for o in found["shuffled"])
    slow = found["half speed"][0]
    assert len(slow) == 8 and min(slow) >= 10 and max(slow) < 30
    assert all(0 <= i < 3 for draws in orders(3, 8).values() for order in draws for i in order)


def test_spread_beyond_a_frozen_copy() -> None:
    torch.manual_seed(0)
    frames = torch.randn(6, 8, 16)
    still = frames[:, :1].expand_as(frames)
    found = frame_spread(frames, still, "released", unit=True)
    assert found.frozen.mean == pytest.approx(0, abs=1e-9)
    assert found.real.mean == pytest.approx(found.beyond.mean) and found.real.mean > 0
    same = frame_spread(frames, frames, "paper", unit=False)
    assert same.beyond.mean == 0 and same.real == same.frozen


def test_models_of_other_widths_are_compared_without_a_map() -> None:
    truth = [0, 0, 1, 1, 2]
    pair = [evaluation("first", [1, 1, 1, 1, 2], truth), evaluation("second", [0, 1, 1, 2, 2], truth)]
    for e, width in zip(pair, (4, 6)):
        e.frames = torch.randn(5, 2, width, generator=torch.Generator().manual_seed(0))
    study = study_of(pair)
    assert study.comparison is not None and study.class_map is None
    assert study.as_json()["comparison"]["overall"]["n"] == 5
    pair[0].frames = pair[1].frames
    assert study_of(pair).class_map is not None
    assert study_of(pair[:1]).comparison is None
