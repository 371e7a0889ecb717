"""Pointing shares and faithfulness over clips, with heat, masks and curves chosen by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ezclip.data.manifest import Row
from ezclip.evaluation.attention import attention_shares, faithfulness, pointing_table
from ezclip.explanation.faithfulness import Curves, Faithfulness, Shares
from ezclip.model.backbone import Backbone
from ezclip.predictor import Encoded, Predictor
from ezclip.progress import Progress, Steps, Watch, finish
from ezclip.types import Attribution, Preprocessing
from tests.conftest import make_model, write_video

HALF = np.array([0.5, 0.5])


@pytest.fixture
def predictor(backbone: Backbone) -> Predictor:
    return Predictor(make_model(backbone, "base"), "tiny")


def test_heat_is_divided_by_the_masks_of_the_models_frames(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame 1 of 24, the first of eight sampled, moves on the left and is still on the right; the rest is empty."""
    heat = np.zeros((8, 4, 4), np.float32)
    heat[0, 0, 0], heat[0, 3, 3], heat[1, 2, 1] = 3, 1, 4
    masks = np.zeros((24, 48, 64), np.uint8)
    masks[1, :, :32], masks[1, :, 32:] = 2, 1

    def chosen(model: Predictor, encoded: Encoded, *, method: str) -> Attribution:
        assert model is predictor and method == "rollout" and encoded.clip.indices.tolist() == [*range(1, 24, 3)]
        return Attribution(heat, None, encoded.clip.seconds, method, model.name, Preprocessing(32))

    monkeypatch.setattr("ezclip.evaluation.attention.explain_clip", chosen)
    path = write_video(tmp_path / "a.mp4")
    np.savez(path.with_suffix(".masks.npz"), masks=masks)
    watch = Watch(attention_shares(predictor, [Row(path, "x")] * 2))
    assert [(step.fraction, step.message) for step in watch] == [
        (0, "tiny: maps, clip 1 of 2"),
        (0.5, "tiny: maps, clip 2 of 2"),
    ]
    for shares in watch.result:
        assert shares.heat == pytest.approx((4 / 8, 1 / 8, 3 / 8))
        assert shares.area == pytest.approx((7 / 8, 1 / 16, 1 / 16))


def test_a_clip_without_masks_has_no_shares(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"b\.mp4 has no masks"):
        finish(attention_shares(predictor, [Row(write_video(tmp_path / "b.mp4"), "x")]))


def test_pointing_by_family_and_model() -> None:
    """Two clips at night and one ordinary clip; the interval of two values reaches from one to the other."""
    rows = [Row(Path(f"{i}.mp4"), "x", family=family) for i, family in enumerate(("night", None, "night"))]
    first = [
        Shares((0.5, 0.25, 0.25), (0.875, 0, 0.125)),
        Shares((0.25, 0.25, 0.5), (0.5, 0.25, 0.25)),
        Shares((0.25, 0, 0.75), (0.375, 0.25, 0.375)),
    ]
    second = [Shares(heat, (0.0, 0.0, 1.0)) for heat in ((0.25, 0, 0.75), (0.75, 0.25, 0.0), (0.0, 0.25, 0.75))]
    table = pointing_table(rows, {"base": first, "ezclip": second})
    assert [(row["family"], row["model"], row["n"]) for row in table] == [
        ("night", "base", 2),
        ("night", "ezclip", 2),
        ("ordinary", "base", 1),
        ("ordinary", "ezclip", 1),
    ]
    base, model, alone, other = table
    assert (base["background"], base["still"]) == ((0.375, 0.25, 0.5), (0.125, 0, 0.25))
    assert (base["moving"], base["area"]) == ((0.5, 0.25, 0.75), 0.25) and "beyond_first" not in base
    assert model["moving"] == (0.75, 0.75, 0.75) and model["area"] == 0.25, "the area is the same under all models"
    assert model["beyond_first"] == (0.25, 0, 0.5), "0.75 - 0.25 and 0.75 - 0.75"
    assert alone["moving"] == (0.5, 0.5, 0.5) and other["beyond_first"] == (-0.5, -0.5, -0.5)


def test_gains_are_of_each_clips_own_label(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flat curves whose height depends on heat and target, random orders at 0.5; logits are 10 times the scores."""
    heats, args = {"rollout": 0.25, "released": 0.125}, []

    def chosen(_predictor: Predictor, encoded: Encoded, *, method: str) -> SimpleNamespace:
        return SimpleNamespace(heat=np.full((8, 4, 4), heats[method]))

    def measured(
        model: Any, pixels: torch.Tensor, maps: list[np.ndarray], texts: torch.Tensor, classes: int, target: int
    ) -> Steps[list[Faithfulness]]:
        args.append((tuple(pixels.shape), tuple(texts.shape), classes, target))
        yield Progress(0.5, "measuring")
        gains = []
        for heat in (one.mean() for one in maps):
            score = Curves(np.array([0, 1]), HALF - heat * target, HALF + heat, HALF[None])
            logit = Curves(np.array([0, 1]), 10 * score.deletion, 10 * score.insertion, 10 * score.random)
            gains.append(Faithfulness(score, logit))
        return gains

    monkeypatch.setattr("ezclip.evaluation.attention.explain_clip", chosen)
    monkeypatch.setattr("ezclip.evaluation.attention.measure_maps", measured)
    path = write_video(tmp_path / "a.mp4")
    watch = Watch(faithfulness(predictor, [Row(path, "b"), Row(path, "a")], ["a", "b"], [*heats]))
    assert [(step.fraction, step.message) for step in watch] == [
        (0.25, "tiny, clip 1 of 2: measuring"),
        (0.75, "tiny, clip 2 of 2: measuring"),
    ]
    assert [target for *_, target in args] == [1, 0] and {one[:3] for one in args} == {((1, 8, 3, 32, 32), (2, 32), 2)}
    gains = watch.result
    assert list(gains) == ["rollout", "released"] and gains["rollout"]["n"] == 2
    expected = {
        "deletion_gain": (0.125, 0, 0.25),  # heat * 1 and heat * 0
        "insertion_gain": (0.25, 0.25, 0.25),
        "srg": (0.375, 0.25, 0.5),
    }
    for name, bar in expected.items():
        assert gains["rollout"][name] == pytest.approx(bar)
        assert gains["rollout"]["logit"][name] == pytest.approx([10 * value for value in bar])
        assert gains["released"][name] == pytest.approx([value / 2 for value in bar])
