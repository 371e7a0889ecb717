"""Variations of a clip under two models."""

from dataclasses import replace
from pathlib import Path

import pytest

from ezclip.progress import finish
from ezclip.studies.host import Host
from ezclip.studies.motion import Probe, ProbeMotion
from tests.ezclip.studies.conftest import SAMPLES


@pytest.mark.slow
def test_motion_of_a_sample(host: Host) -> None:
    result = finish(ProbeMotion(str(SAMPLES[1])).run(host))
    base = {p.variation: p for p in result.probes["tabletop/base"]}
    assert base["reversed"].score == pytest.approx(base["as it is"].score, abs=2e-3)
    assert base["reversed"].map_change == pytest.approx(0, abs=1e-3)
    assert "does not see the order" in result.verdicts[0]
    assert "becomes" in result.verdicts[1]
    evidence = {name: result.as_json()["evidence"][name] for name in result.probes}
    assert evidence["tabletop/ezclip"]["opposite_text_v2t"]["value"] == 1, "reversed, the label becomes its partner"
    assert evidence["tabletop/base"]["order_blind"]["value"] == 1, "said, in place of scores that cannot differ"
    assert not any(measure.startswith("opposite") for measure in evidence["tabletop/base"])
    assert [len(result.informative_probes(name)) for name in result.probes] == [5, 7]
    assert 0 < evidence["tabletop/ezclip"]["curvature"]["value"] < 180
    assert result.opposite == "Covering something with something"


@pytest.mark.slow
def test_what_does_not_depend_on_names_is_computed_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    study = ProbeMotion(str(SAMPLES[2]), "putting something, taking something")
    first = finish(study.run(host))

    def again(*_: object, **__: object) -> None:
        raise AssertionError("the clip was decoded or encoded again")

    monkeypatch.setattr("ezclip.evaluation.order.read_frames", again)
    monkeypatch.setattr("ezclip.explanation.maps.explain_clip", again)
    assert finish(study.run(host)).probes == first.probes
    other = finish(replace(study, labels="closing something, putting something").run(host))
    for name, probes in other.probes.items():
        assert {p.answer for p in probes} <= {"closing something", "putting something"}
        assert [p.variance for p in probes] == [p.variance for p in first.probes[name]]


def test_one_model_alone(host: Host, movie: Path) -> None:
    result = finish(ProbeMotion(str(movie), "a, b", baseline="").run(host))
    assert list(result.probes) == ["tabletop/ezclip"] and len(result.verdicts) == 1
    assert result.opposite == "" and "opposite_text_v2t" not in result.as_json()["evidence"]["tabletop/ezclip"]
    typed = finish(ProbeMotion(str(movie), "a, b", baseline="", opposite=" b ").run(host)).as_json()
    assert typed["opposite"] == "b" and "opposite_text_t2v" in typed["evidence"]["tabletop/ezclip"]
    assert result.as_json()["clip"] == "grey.mp4" and len(result.as_json()["models"]["tabletop/ezclip"]) == 7


def test_the_opposite_is_the_partner_or_the_best_other_answer_reversed(host: Host) -> None:
    clip, top, partner = str(SAMPLES[0]), "Pushing something from left to right", "Pulling something from right to left"
    probes = finish(ProbeMotion(clip, f"{top}, {partner}, Closing something").run(host)).probes["tabletop/ezclip"]
    assert probes[0].answer == top and {p.opposite for p in probes} == {partner}
    plain, turned = probes[:2]
    assert turned.opposite_score > 0.5 > plain.opposite_score, "reversed, the opposite is what happens"
    probes = finish(ProbeMotion(clip, f"{top}, Closing something").run(host)).probes["tabletop/ezclip"]
    assert {p.opposite for p in probes} == {"Closing something"}
    assert all(p.score + p.opposite_score == pytest.approx(1, abs=1e-5) for p in probes), "there are no other names"
    probes = finish(ProbeMotion(clip, top).run(host)).probes["tabletop/ezclip"]
    assert {(p.opposite, p.opposite_score) for p in probes} == {("", 0)}


@pytest.mark.slow
def test_guesses_have_no_percentages(host: Host, movie: Path, tmp_path: Path) -> None:
    """Neither in the text nor in the verdicts and the page; the files have the scores."""
    result = finish(ProbeMotion(str(movie), "a, b").run(host))
    assert result.caveat and result.text().startswith("These are guesses")
    assert "guess  rank" in result.text() and "%" not in result.text()
    assert not any("score" in axis.get_ylabel() for axis in result.chart().axes)
    slopes = result.slopes()
    slopes.draw_without_rendering()
    assert not any(label.get_text() for label in slopes.axes[0].get_yticklabels())
    files = result.write(tmp_path)
    assert '<td class="number">guess</td>' in files["page"].read_text()
    assert "guess" not in files["probes"].read_text()
    sure = finish(ProbeMotion(str(SAMPLES[0])).run(host))
    assert "%" in sure.text() and "guess" not in sure.text()
    assert "score" in sure.chart().axes[0].get_ylabel()


def test_a_verdict_without_scores(host: Host) -> None:
    result = finish(ProbeMotion(str(SAMPLES[0]), baseline="").run(host))
    scores = {"as it is": 0.9, "reversed": 0.5, "shuffled": 0.9}
    probes = [Probe(name, "a", s, s, 1.0, 0, 0, 0, "", 0) for name, s in scores.items()]
    result = replace(result, probes={result.models[0]: probes})
    assert result.verdicts[0].endswith("“a” goes from 90% to 50%.")
    assert replace(result, caveat="Guesses. ").verdicts[0].endswith("“a” becomes less likely.")
