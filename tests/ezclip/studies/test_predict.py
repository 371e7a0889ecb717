"""Rankings of one clip."""

from pathlib import Path

import pytest

from ezclip.errors import LabelError, VideoError
from ezclip.progress import finish
from ezclip.studies.host import Host
from ezclip.studies.predict import Predict
from ezclip.text.labels import label_set
from ezclip.video.corrupt import Corruption
from tests.ezclip.studies.conftest import SAMPLES


def test_scores_sum_to_one_and_are_in_order(host: Host, movie: Path) -> None:
    result = finish(Predict(str(movie), "one, two, three").run(host))
    scores = [p.score for p in result.predictions]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    assert result.as_json()["frames"][0] == {"index": 1, "seconds": pytest.approx(1 / 12, abs=2e-3)}
    assert len(result.best(2).predictions) == 2


def test_answers_of_a_foreign_clip_are_guesses(host: Host, movie: Path) -> None:
    result = finish(Predict(str(movie), "one, two").run(host))
    assert result.text().splitlines()[0] == result.caveat.strip() != "" and "%" not in result.text()
    assert result.text().count("   guess  ") == 2 and result.report().lead.startswith(result.caveat)
    drawn = finish(Predict(str(SAMPLES[0])).run(host)).best(5)
    assert drawn.caveat == "" and drawn.text().count("%") == 5 and "guess" not in drawn.text()


def test_labels_are_names_a_set_or_those_of_the_model(host: Host, movie: Path) -> None:
    by_default = finish(Predict(str(movie)).run(host))
    assert sorted(p.label for p in by_default.predictions) == sorted(label_set("tabletop"))
    assert len(finish(Predict(str(movie), "set:hmdb51").run(host)).predictions) == 51
    with pytest.raises(LabelError, match="set"):
        Predict(str(movie), "set:nowhere")


def test_corruption_changes_the_scores(host: Host, movie: Path) -> None:
    plain, dark = (
        finish(Predict(str(movie), "one, two", corruption=c).run(host))
        for c in (Corruption(), Corruption(darkness=0.9))
    )
    assert [p.logit for p in plain.predictions] != [p.logit for p in dark.predictions]


def test_no_clip(host: Host) -> None:
    with pytest.raises(VideoError, match="No clip"):
        finish(Predict("", "a").run(host))
