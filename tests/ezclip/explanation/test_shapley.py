"""Shapley values of frames: by hand, by their axioms, and sampled against exact values."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from ezclip.explanation.gradients import cosine
from ezclip.explanation.shapley import Game, exact_shapley, frame_values, readout, removal, sampled_shapley
from ezclip.model.backbone import Backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.predictor import Encoded
from ezclip.types import Clip
from tests.conftest import make_model

TEXT = torch.linspace(-1, 1, 32)


def linear(a: list[float]) -> Game:
    def mean(sets: np.ndarray) -> np.ndarray:
        return sets @ np.array(a) / sets.sum(axis=1).clip(1)

    return lambda sets: np.stack([mean(sets), mean(~sets)], axis=1)


@pytest.mark.parametrize(
    ("a", "values"), [([0.8, 0.2], [0.55, -0.05]), ([0.9, 0.3, 0.0], [0.508333, 0.058333, -0.166667])]
)
def test_linear_games_by_hand(a: list[float], values: list[float]) -> None:
    assert exact_shapley(linear(a), len(a)).values == pytest.approx(values, abs=1e-6)


def test_linear_game_of_eight_frames_in_closed_form() -> None:
    a = np.linspace(-0.3, 0.9, 8) ** 2
    factor = (sum(1 / t for t in range(1, 9)) - 1) / 7
    assert factor == pytest.approx(0.245408, abs=1e-6)
    assert exact_shapley(linear(a.tolist()), 8).values == pytest.approx(a / 8 + factor * (a - a.mean()))


@pytest.mark.parametrize(
    ("frames", "values"),
    [
        ([[1, 0], [0, 1]], [0.853553, -0.146447]),
        ([[3, 0], [0, 1]], [0.974342, -0.025658]),
        ([[1, 0], [0, 1], [1, 1]], [0.569036, -0.154571, 0.292642]),
    ],
)
def test_readout_by_hand(frames: list[list[int]], values: list[float]) -> None:
    shapley = exact_shapley(readout(torch.tensor(frames), torch.tensor([1.0, 0.0])), len(frames))
    assert shapley.values == pytest.approx(values, abs=1e-6)
    assert shapley.values.sum() == pytest.approx(shapley.total)


def test_all_permutations_drawn_are_exact_and_few_have_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    game = readout(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.ones(6))
    truth = exact_shapley(game, 4)
    few = sampled_shapley(game, 4, pairs=12)
    assert few.margin is not None and (np.abs(few.values - truth.values) < 2 * few.margin + 1e-12).all()
    assert few.values.sum() == pytest.approx(truth.total)
    orders = iter(permutations(range(4)))

    class InTurn:
        def permutation(self, T: int) -> np.ndarray:
            return np.array(next(orders))

    monkeypatch.setattr(np.random, "default_rng", lambda seed: InTurn())
    assert sampled_shapley(game, 4, pairs=24).values == pytest.approx(truth.values)


def encoded(model: EZCLIP, pixels: Tensor) -> Encoded:
    clip = Encoded(model, Clip("c", np.zeros((8, 4, 4, 3), np.uint8), np.arange(8), np.arange(8.0), 8))
    clip.pixels = pixels
    return clip


def test_removal_of_nothing_is_the_model_and_a_set_hears_itself_alone(backbone: Backbone, pixels: Tensor) -> None:
    model = make_model(backbone, "ezclip")
    game = removal(encoded(model, pixels[:1]), TEXT)
    subset = np.array([1, 1, 0, 1, 0, 0, 1, 0], bool)
    (whole, nothing), (of_label, of_other) = game(np.stack([np.ones(8, bool), subset]))
    with torch.no_grad():
        assert whole == pytest.approx(float(cosine(model, pixels[:1], TEXT)), abs=1e-6) and nothing == 0
        changed = torch.where(torch.from_numpy(subset)[None, :, None, None, None], pixels[:1], -pixels[:1])
    ((same, moved),) = removal(encoded(model, changed), TEXT)(subset[None])
    assert same == pytest.approx(of_label, abs=1e-6) and abs(moved - of_other) > 1e-4


def test_games_of_a_clip(backbone: Backbone, pixels: Tensor) -> None:
    still = pixels[:1, :1].expand(-1, 8, -1, -1, -1)
    base = frame_values(encoded(make_model(backbone, "base"), still), TEXT, ["a"] * 8, "b")
    assert base.removal is base.readout and not base.any_frame
    assert base.readout.values == pytest.approx(np.full(8, base.readout.total / 8), abs=1e-6)
    full = frame_values(encoded(make_model(backbone, "ezclip"), pixels[:1]), TEXT, ["a"] * 7 + ["b"], "b")
    assert full.any_frame and full.removal.total == pytest.approx(full.readout.total, abs=1e-6)
    assert np.abs(full.removal.values - full.readout.values).max() > 1e-4


def test_long_clips_have_intervals(backbone: Backbone) -> None:
    """Removal is sampled above 10 frames, readout above 16; sampled values have an interval and keep the sum."""
    clip = torch.randn(1, 17, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    twelve = frame_values(encoded(make_model(backbone, "ezclip", T=12), clip[:, :12]), TEXT, ["a"] * 12, "b")
    assert twelve.readout.margin is None and twelve.removal.margin.shape == (12,) and (twelve.removal.margin > 0).all()
    assert twelve.removal.values.sum() == pytest.approx(twelve.removal.total, abs=1e-6)
    assert len(twelve.as_json()["removal"]["margin"]) == 12
    base = encoded(make_model(backbone, "base", T=17), clip)
    long, true = frame_values(base, TEXT, ["a"] * 17, "b"), exact_shapley(readout(base.frames[0], TEXT), 17)
    assert long.removal is long.readout and (long.readout.margin > 0).all()
    assert np.abs(long.readout.values - true.values).max() < long.readout.margin.max()
    assert long.readout.values.sum() == pytest.approx(long.readout.total, abs=1e-6)


def test_a_step_from_nothing_is_shared_evenly_by_hand() -> None:
    """v = 1 for every set but the empty one: each of 12 frames is first in one order of twelve."""
    shapley = sampled_shapley(lambda sets: np.stack([sets.any(axis=1), (~sets).any(axis=1)], axis=1).astype(float), 12)
    np.testing.assert_allclose(shapley.values, np.full(12, 1 / 12), atol=1e-12)
    assert shapley.margin is not None and (shapley.margin < 1e-12).all() and shapley.total == 1.0
