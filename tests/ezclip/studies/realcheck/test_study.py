"""Direction accuracy on motions rendered from photographs."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ezclip.checkpoints.identity import Identity
from ezclip.cli import main
from ezclip.data.photographs import PAIRS
from ezclip.data.tabletop.classes import LABELS
from ezclip.errors import UserError
from ezclip.progress import finish
from ezclip.studies.host import Host
from ezclip.studies.realcheck.study import KINDS, CheckReality, RealityCheck, class_names, score_clips, within_pairs
from ezclip.video.transforms import view


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of coloured squares."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(3):
        squares = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
        Image.fromarray(squares.repeat(16, axis=0).repeat(16, axis=1)).save(folder / f"{seed}.png")
    return folder


def test_within_pairs_counts_wins_and_half_of_ties() -> None:
    scores = np.zeros((1, KINDS, KINDS), np.float32)
    scores[0, 0, 0] = 1  # right in the first pair's first direction, a tie in its second
    scores[0, 2, 3], scores[0, 3, 3] = 1, 1  # the second direction whatever is shown
    right = within_pairs(scores)[0]
    assert right[0].tolist() == [1, 0.5] and right[1].tolist() == [0, 1]
    assert (right[2:] == 0.5).all()


def test_intervals_are_over_files() -> None:
    """Two files: one always right, one always wrong; three photographs of the first, one of the second."""
    scores = np.zeros((4, KINDS, KINDS), np.float32)
    kinds = np.arange(KINDS)
    scores[:3, kinds, kinds] = scores[3, kinds, kinds ^ 1] = 1
    groups, study = np.array([0, 0, 0, 1]), CheckReality(("a",))
    result = RealityCheck(study, [Identity("m")], {"m": scores}, {"m": LABELS[:12]}, groups, np.empty(0), [])
    accuracy = result.accuracies["m"]
    for interval in (accuracy.overall, *accuracy.moves.values(), *accuracy.pairs.values(), accuracy.top1):
        assert interval.bar == (0.75, 0.0, 1.0)
    assert accuracy.overall.n == 48 and accuracy.moves["camera"].n == 24 and accuracy.pairs[PAIRS[0].name].n == 8
    assert result.files == 2 and "not distinguishable from chance" in result.verdicts[0]
    assert "With 2 files" in result.warnings[0]


def test_twins_are_the_same_frames_reversed() -> None:
    batches = []

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        batches.append(pixels)
        return pixels.mean(dim=(2, 3, 4))[..., None]

    parts = {"encode": encode, "scores": lambda frames, texts: frames[:, 0] @ texts.T}
    model = SimpleNamespace(preprocess=partial(view, image_size=32), normalise=lambda views: views.float(), **parts)
    clips = np.random.default_rng(0).integers(0, 256, (len(PAIRS), 4, 64, 64, 3)).astype(np.uint8)
    predictor = SimpleNamespace(model=model, device=torch.device("cpu"))
    scores = score_clips(predictor, clips, torch.linspace(-1, 1, KINDS)[:, None])  # type: ignore[arg-type]
    (pixels,) = batches
    assert pixels.shape == (KINDS, 4, 3, 32, 32) and torch.equal(pixels[0::2], pixels[1::2].flip(1))
    assert scores.shape == (KINDS, KINDS) and scores.sum(axis=1) == pytest.approx(np.ones(KINDS), abs=1e-5)


def test_class_names_fit_the_model() -> None:
    names = class_names(Identity("m", labels=tuple(LABELS)))
    assert set(names) <= set(LABELS) and len(set(names)) == KINDS
    assert names[1] == "Turning the camera right while filming something"
    words = class_names(Identity("clip", labels=("waving", "clapping")))
    assert words[6:8] == ["moving an object from right to left", "moving an object from left to right"]
    assert len(set(words)) == KINDS and not set(words) & set(LABELS)


@pytest.mark.slow
def test_a_model_that_is_blind_to_order_is_at_chance(host: Host, photographs: Path) -> None:
    result = finish(CheckReality((str(photographs),)).run(host))
    base, ezclip = result.accuracies.values()
    assert base.overall.bar == pytest.approx((0.5, 0.5, 0.5), abs=0.03)
    assert result.scores["tabletop/base"][:, 0::2] == pytest.approx(result.scores["tabletop/base"][:, 1::2], abs=5e-3)
    changed = np.abs(np.subtract(*(result.scores["tabletop/ezclip"][:, i::2] for i in (0, 1))))
    assert changed.max() > 0.05 and ezclip.overall.n == 36
    report = result.report()
    assert [part.name for part in report.parts] == ["pairs", "accuracy", "classes", "examples"]
    again = finish(CheckReality((str(photographs),), model="tabletop/base", baseline="").run(host))
    assert np.allclose(again.scores["tabletop/base"], result.scores["tabletop/base"], atol=5e-3)


@pytest.mark.slow
def test_the_command(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["realcheck", str(photographs), "--baseline=", "--most", "2", "--model", "tabletop/base", "--json"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["photographs"], document["files"], document["clips"], document["seed"]) == (2, 2, 24, 0)
    assert list(document["models"]) == ["tabletop/base"]


def test_without_photographs_there_is_a_sentence(host: Host) -> None:
    with pytest.raises(UserError, match="No photographs yet"):
        finish(CheckReality().run(host))
