"""Rankings, maps and spread of one clip under two models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ezclip.data.tabletop.truth import SAMPLES
from ezclip.errors import LabelError, UserError, VideoError
from ezclip.progress import Watch, finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.host import Host
from ezclip.types import Preprocessing
from tests.conftest import write_video

LABELS = 'pushing something, "<b>lifting</b>, slowly"'


@pytest.fixture(scope="module")
def analysis(host: Host, movie: Path) -> Analysis:
    watch = Watch(Analyse(str(movie), LABELS).run(host))
    shares = [step.fraction for step in watch]
    assert shares[0] == 0 and max(shares) <= 1 and shares == sorted(shares)
    return watch.result


def test_both_models_answer_on_the_same_frames(analysis: Analysis) -> None:
    assert [r.name for r in analysis.results] == ["tabletop/base", "tabletop/ezclip"]
    for result in analysis.results:
        assert sum(p.score for p in result.predictions) == pytest.approx(1, abs=1e-5)
        assert 0 < result.attribution.heat.max()


def test_a_clip_is_decoded_and_encoded_once(
    host: Host, movie: Path, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezclip.studies.host.read_clip", lambda *_, **__: pytest.fail("decoded again"))
    model = host.predictor("tabletop/ezclip").model
    monkeypatch.setattr(type(model), "encode_video", lambda *_: pytest.fail("encoded again"))
    again = finish(Analyse(str(movie), "other, names").run(host))
    assert [p.label for p in again.model.predictions] != [p.label for p in analysis.model.predictions]


def test_custom_sentences_move_the_ranking(host: Host, movie: Path) -> None:
    plain = finish(Analyse(str(movie), "one, two", texts="names").run(host))
    swapped = finish(Analyse(str(movie), "one, two", texts="names", sentences={"one": "two", "two": "one"}).run(host))
    scores = [{p.label: p.score for p in a.model.predictions} for a in (plain, swapped)]
    assert scores[0]["one"] == pytest.approx(scores[1]["two"], abs=1e-6)


def test_missing_input_says_what_to_do(host: Host, movie: Path) -> None:
    with pytest.raises(VideoError, match="drop a video"):
        finish(Analyse("", "a").run(host))
    with pytest.raises(LabelError, match="No class name"):
        Analyse(str(movie), ", ,")
    with pytest.raises(UserError, match="no longer there"):
        finish(Analyse(str(movie) + "x", "a").run(host))
    with pytest.raises(UserError, match="not among the class names"):
        finish(Analyse(str(movie), "a, b", target="c").run(host))


def test_texts_are_a_kind_or_a_template(host: Host, movie: Path) -> None:
    with pytest.raises(LabelError, match="/etc/passwd"):
        Analyse(str(movie), "a, b", texts="/etc/passwd")
    plain, custom = (
        finish(Analyse(str(movie), "one, two", texts=texts).run(host)) for texts in ("names", "no {} at all")
    )
    assert [p.logit for p in plain.model.predictions] != [p.logit for p in custom.model.predictions]


def test_sentences_of_other_names_are_dropped(host: Host, movie: Path) -> None:
    result = finish(Analyse(str(movie), "three, four", sentences={"one": "Gone."}).run(host))
    assert result.study["sentences"] == {} and "sentences.csv" not in result.resolved_study.command()


def test_the_verdict_and_its_warnings(host: Host, movie: Path, tmp_path: Path) -> None:
    result = finish(Analyse(str(movie), "one, two, three").run(host))
    assert result.verdict.startswith("These are guesses") and "tabletop/base says" in result.verdict
    assert "%" not in result.verdict  # a number would read as an answer
    sample = finish(Analyse(str(SAMPLES / "03_putting_into.mp4")).run(host))
    assert not sample.caveat and "tabletop/ezclip also says “Putting something into something” (100%)" in sample.verdict
    renamed = finish(Analyse(str(SAMPLES / "03_putting_into.mp4"), "a mug goes up, a mug goes down").run(host))
    assert "2 of 2 class names are new to tabletop/ezclip" in renamed.verdict
    assert any("not in the training of tabletop/ezclip" in warning for warning in result.warnings)
    short = finish(Analyse(str(write_video(tmp_path / "short.mp4", count=3)), "one").run(host))
    assert any("3 frames" in warning and "repeated" in warning for warning in short.warnings)
    assert any("only one class name" in warning for warning in short.warnings)


def test_maps_of_two_models_and_their_difference(host: Host, movie: Path) -> None:
    study = Analyse(str(movie), "one, two", difference=True, further=("tabletop/prompts",))
    result = finish(study.run(host))
    assert [r.name for r in result.results] == ["tabletop/base", "tabletop/ezclip", "tabletop/prompts"]
    assert result.difference is not None
    expected = result.model.attribution.heat - result.baseline.attribution.heat
    assert np.array_equal(result.difference, expected)
    alone = replace(study, baseline="", difference=True)
    single = finish(alone.run(host))
    assert single.baseline is single.model and single.difference is None


def test_the_map_lies_on_the_pixels_that_the_model_sees() -> None:
    """The crop is 96 pixels of a short side of 109, not the 7/8 of a 224-pixel model."""
    import torch

    from ezclip.figures.maps import crop_to_input
    from ezclip.video.transforms import view

    frame = np.zeros((1, 218, 218, 3), np.uint8)
    frame[:, :, 12:206] = 255  # the visible columns: 6 to 102 of 109, doubled
    pixels = view(frame, 96)[0].float()
    assert pixels[0, 48, 0] > 200 and pixels[0, 48, -1] > 200
    drawn = torch.from_numpy(crop_to_input(frame, 96, Preprocessing(96))[0]).float()
    assert (drawn[48, :, 0] - pixels[0, 48]).abs().max() < 40
    assert crop_to_input(frame, 224, Preprocessing(224))[0][112, 0, 0] == 255, (
        "a model with 224 pixels sees less of the side"
    )


@pytest.mark.slow
def test_all_orders_of_a_sample(host: Host, tmp_path: Path) -> None:
    result = finish(Analyse(str(SAMPLES / "03_putting_into.mp4"), orders=True).run(host))
    turned = result.as_json()["orders"]
    assert set(turned) == {"forward", "reversed", "shuffled", "static"}
    best = {d: {name: ranked[0]["label"] for name, ranked in models.items()} for d, models in turned.items()}
    assert best["forward"]["tabletop/ezclip"] == "Putting something into something"
    assert best["reversed"]["tabletop/ezclip"] == "Taking something out of something"
    scores = [[p["score"] for p in turned[d]["tabletop/base"]] for d in ("forward", "reversed", "shuffled")]
    assert scores[0] == pytest.approx(scores[1], abs=0.01) and scores[0] == pytest.approx(scores[2], abs=0.01)
    page = result.write(tmp_path)["page"]
    text = page.read_text("utf-8")
    assert "ezStage(" in text and '"static": [{"heat"' in text and page.stat().st_size < 15e6
