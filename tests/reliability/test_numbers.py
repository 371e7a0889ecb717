"""Tests 34 to 37 of docs/RELIABILITY.md: numbers. Test 38 is the whole suite under each version of Python."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ezclip.data.manifest import labels_of, read_rows
from ezclip.data.tabletop.generate import synthesise
from ezclip.errors import UserError
from ezclip.evaluation.run import evaluate
from ezclip.explanation.maps import explain
from ezclip.explanation.methods import METHODS
from ezclip.explanation.projection import PROJECTIONS, project
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import compute_trace
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.progress import finish
from ezclip.types import Clip
from tests.conftest import make_model
from tests.reliability import materials


@pytest.fixture(scope="module")
def exact() -> Predictor:
    return Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.float32)


@pytest.mark.slow
def test_34_batches_and_precision(drawn: Path, exact: Predictor) -> None:
    rows = read_rows(drawn)
    labels = labels_of(rows)
    one, eight = (finish(evaluate(exact, rows, labels, batch_size=size)) for size in (1, 8))
    torch.testing.assert_close(one.scores, eight.scores, atol=1e-5, rtol=0)
    half = Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.bfloat16)
    other = finish(evaluate(half, rows, labels, batch_size=8))
    cosine = torch.nn.functional.cosine_similarity(one.frames.mean(1), other.frames.float().mean(1))
    assert cosine.min() > 0.999
    assert (one.scores.argmax(1) == other.scores.argmax(1)).float().mean() >= 0.96, "of 31 clips; soak takes 500"


@pytest.mark.soak
def test_34_precision_on_500_clips(tmp_path: Path, exact: Predictor) -> None:
    rows = read_rows(finish(synthesise(tmp_path, clips_per_class=17, split="val", seed=35)))
    labels = labels_of(rows)
    half = Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.bfloat16)
    one, other = (finish(evaluate(predictor, rows, labels)) for predictor in (exact, half))
    differ = one.scores.argmax(1) != other.scores.argmax(1)
    first, second = one.scores[differ].topk(2).values.T
    margin = (first - second).max().item() if differ.any() else 0.0
    print(f"{len(rows)} clips, same top-1 {1 - differ.float().mean():.4f}, margin of the others at most {margin:.3f}")
    assert differ.float().mean() <= 0.01
    assert margin < 0.1, "only near ties are decided differently"


def test_34_the_app_computes_what_the_package_computes(drawn: Path) -> None:
    """One study, run by the host of the app and by hand."""
    from app.services import Services
    from ezclip.studies.predict import Predict

    row = read_rows(drawn)[0]
    services = Services(device="cpu")
    answer = finish(Predict(clip=str(row.path), labels="a, b, c").run(services)).as_json()
    predictor = services.predictor("tabletop/ezclip")
    predictor.set_video(row.path)
    by_hand = {p.label: p.score for p in predictor.score(["a", "b", "c"])}
    assert {p["label"]: p["score"] for p in answer["predictions"]} == by_hand
    services.close()


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 255, 128])
def test_35_maps_of_flat_clips_are_finite(backbone: Backbone, exact: Predictor, value: int) -> None:
    model = make_model(backbone, "ezclip")
    images = np.full((8, 64, 64, 3), value, np.uint8)
    clip = Clip("flat", images, np.arange(8), np.arange(8.0), total=8)
    pixels = exact.encode(clip).pixels
    small = torch.nn.functional.interpolate(pixels[0], 32)[None]
    text = torch.randn(32, generator=torch.Generator().manual_seed(35))
    for method in METHODS:
        attribution = explain(model, small, np.arange(8.0), name="m", method=method, text=text)
        assert np.isfinite(attribution.heat).all(), method
    rows = roll_out(compute_trace(model, small)).weights.sum(dim=(1, 2))
    torch.testing.assert_close(rows, torch.ones(8), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_35_integrated_gradients_of_a_sample_are_complete(exact: Predictor) -> None:
    """For a shipped model with the default settings; 16 steps would miss it by 2 %."""
    exact.set_video(Path(__file__).parents[2] / "assets/samples/14_crowd.mp4")
    assert exact._current is not None
    pixels, text = exact._current.pixels, exact.encode_texts(["waving"])[0]
    note = explain(exact.model, pixels, np.arange(8.0), name="m", method="integrated-gradients", text=text).note
    delta, change = (float(x) for x in re.findall(r"[-+]\d+\.\d+", note))
    assert abs(delta) <= 0.01 * abs(change) + 1e-4 and "did not converge" not in note, note


def test_35_integrated_gradients_are_complete(backbone: Backbone) -> None:
    """Within 1 % of the change of the cosine."""
    random = torch.Generator().manual_seed(35)
    clip, text = torch.randn(1, 8, 3, 32, 32, generator=random), torch.randn(32, generator=random)
    model = make_model(backbone, "ezclip")
    note = explain(model, clip, np.arange(8.0), name="m", method="integrated-gradients", text=text).note
    delta, change = (float(x) for x in re.findall(r"[-+]\d+\.\d+", note))
    assert abs(delta) <= 0.01 * abs(change) + 1e-4 and "did not converge" not in note, note


@pytest.mark.slow
@pytest.mark.parametrize("method", PROJECTIONS)
def test_36_few_or_equal_points(method: str) -> None:
    rng = np.random.default_rng(36)
    for n in (1, 2, 3, 5):
        for points in (rng.normal(size=(n, 16)), np.ones((n, 16))):
            if n < 2:
                with pytest.raises(UserError):
                    project(points, method)
                continue
            plane = project(points, method)
            assert np.isfinite(plane.points).all() and plane.points.shape == (n, 2)
            np.testing.assert_array_equal(plane.points, project(points, method).points)


def test_37_every_sample_is_scored(drawn: Path, exact: Predictor, tmp_path: Path) -> None:
    """Including an incomplete last batch; unreadable clips are listed, and only they are missing."""
    bad = materials.write_bytes(tmp_path / "bad.mp4", b"no video")
    lines = [json.loads(line) for line in drawn.read_text().splitlines()]
    for line in lines:
        line["path"] = str(drawn.parent / line["path"])
    listed = tmp_path / "manifest.jsonl"
    listed.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {**lines[0], "path": str(bad)}]))
    rows = read_rows(listed)
    labels = labels_of(rows)
    evaluation = finish(evaluate(exact, rows, labels, batch_size=7))
    answer = evaluation.report()
    assert answer["n"] == len(lines) and [Path(name).name for name in answer["skipped"]] == ["bad.mp4"]
    counted = [labels[int(np.argmax(scores))] == row.label for row, scores in zip(rows, evaluation.scores.numpy())]
    assert answer["top1"] == pytest.approx(np.mean(counted[: len(lines)]), abs=1e-4)
