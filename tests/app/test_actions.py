"""What the buttons do, without Gradio."""

import csv
import json
import re
import shlex
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ezclip.evaluation.analysis_files import HOLD, save_maps, save_overlay

from app import widgets
from app.actions.analysis import SET_TITLES, names_of, read_uploaded, set_or_names, set_text
from app.actions.preview import preview_pair, unseen_seconds
from app.actions.report import report_files
from app.services import Services
from ezclip.cli import main
from ezclip.errors import LabelError, UserError, VideoError
from ezclip.progress import Step, Stopped, timed, watched
from ezclip.studies.analysis import Analysis, Request, analyse, finish, wanted_labels
from ezclip.studies.analysis_report import commands
from ezclip.studies.faithfulness import MapProof, prove, truth
from ezclip.text.labels import label_set, label_sets
from ezclip.video.decode import playable_in_browsers, read_clip, seconds_of
from tests.conftest import write_video

LABELS = 'pushing something, "<b>lifting</b>, slowly"'
SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))


@pytest.fixture(scope="module")
def analysis(services: Services, movie: Path) -> Analysis:
    steps = list(analyse(services, Request(str(movie), LABELS)))
    shares = [s.share for s in steps if isinstance(s, Step)]
    assert shares[0] == 0 and max(shares) <= 1 and shares == sorted(shares)
    assert isinstance(steps[-1], Analysis)
    return steps[-1]


def test_both_models_answer_on_the_same_frames(analysis: Analysis, services: Services) -> None:
    assert [r.name for r in analysis.results] == ["tabletop/base", "tabletop/ezclip"]
    for result in analysis.results:
        assert sum(p.score for p in result.predictions) == pytest.approx(1, abs=1e-5)
        assert 0 < result.attribution.heat.max()
    base, ezclip = (services.predictor(n).model for n in ("tabletop/base", "tabletop/ezclip"))
    assert base.vision.conv1.weight.data_ptr() == ezclip.vision.conv1.weight.data_ptr()


def test_a_clip_is_decoded_and_encoded_once(
    services: Services, movie: Path, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.read_clip", lambda *_: pytest.fail("decoded again"))
    model = services.predictor("tabletop/ezclip").model
    monkeypatch.setattr(type(model), "encode_video", _only_traced(type(model).encode_video))
    again = finish(analyse(services, Request(str(movie), "other, names")))
    assert [p.label for p in again.model.predictions] != [p.label for p in analysis.model.predictions]


def _only_traced(encode):  # type: ignore[no-untyped-def]
    def encode_video(self, pixels):  # type: ignore[no-untyped-def]
        assert self.vision.blocks[0].mix._forward_hooks, "encoded again"
        return encode(self, pixels)

    return encode_video


def test_own_sentences_move_the_ranking(services: Services, movie: Path) -> None:
    names = "one, two"
    plain = finish(analyse(services, Request(str(movie), names, texts="names")))
    swapped = finish(
        analyse(services, Request(str(movie), names, texts="names", sentences={"one": "two", "two": "one"}))
    )
    scores = [{p.label: p.score for p in a.model.predictions} for a in (plain, swapped)]
    assert scores[0]["one"] == pytest.approx(scores[1]["two"], abs=1e-6)


def test_class_names_are_escaped(analysis: Analysis, services: Services) -> None:
    proofs = finish(prove(services, analysis))
    view = widgets.temporal(analysis, None, 0)
    for html in (widgets.rankings(analysis), widgets.proof(analysis, proofs), view):
        assert "<b>lifting" not in html
    assert "&lt;b&gt;lifting" in widgets.rankings(analysis)
    strip = widgets.strip(finish(analyse(services, replace(analysis.request, difference=True))))
    assert strip.count("<tr>") == 5 and strip.count('class="ez-heat"') == 24


def test_nothing_given_says_what_to_do(services: Services, movie: Path) -> None:
    with pytest.raises(VideoError, match="drop a video"):
        finish(analyse(services, Request(None, "a")))
    with pytest.raises(LabelError, match="No class name"):
        finish(analyse(services, Request(str(movie), ", ,")))
    with pytest.raises(UserError, match="no longer there"):
        finish(analyse(services, Request(str(movie) + "x", "a")))
    with pytest.raises(UserError, match="not among the class names"):
        finish(analyse(services, Request(str(movie), "a, b", target="c")))


def test_empty_names_mean_the_models_own() -> None:
    names, _ = wanted_labels(Request(None, " "))
    assert sorted(names) == sorted(label_set("tabletop"))
    assert set_text("UCF-101", "tabletop/ezclip").count("\n") == 100
    assert set(SET_TITLES.values()) - {None} <= set(label_sets())


def test_a_set_is_one_word_in_the_address() -> None:
    names = set_text("Kinetics-400", "tabletop/ezclip")
    assert set_or_names(names, "tabletop/ezclip") == "set:Kinetics-400"
    assert names_of("set:Kinetics-400", "tabletop/ezclip") == names
    for own in ("one\ntwo", "set:no such"):
        assert set_or_names(own, "tabletop/ezclip") == own == names_of(own, "tabletop/ezclip")


def test_uploaded_names_and_descriptions(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("id,name\n0,a\n1,b\n")
    assert read_uploaded(str(tmp_path / "names.csv")) == ("a\nb", {}, [])
    (tmp_path / "twice.txt").write_text("a\nb\nA\n")
    assert read_uploaded(str(tmp_path / "twice.txt"))[2] == ["1 duplicate class names were merged, first 'A'."]
    (tmp_path / "described.csv").write_text("n,class,text\n0,a,It is a.\n1,b,It is b.\n")
    assert read_uploaded(str(tmp_path / "described.csv")) == ("a\nb", {"a": "It is a.", "b": "It is b."}, [])
    (tmp_path / "ours.csv").write_text("number,name,description\n0,a,It is a.\n")
    assert read_uploaded(str(tmp_path / "ours.csv")) == ("a", {"a": "It is a."}, [])
    (tmp_path / "line.txt").write_text("waving, clapping, jumping\n")
    assert read_uploaded(str(tmp_path / "line.txt"))[1] == {}
    assert read_uploaded(None) == ("", {}, [])


def test_only_what_may_be_named_is_loaded(services: Services) -> None:
    closed = Services(device="cpu")
    for name in ("clip:ViT-B-16/openai", "hf:someone/something", "/etc", "runs", "x" * 5000, "a\0b"):
        assert not closed.offers(name)
        with pytest.raises(UserError, match="This app offers tabletop/ezclip"):
            closed.predictor(name)
    assert services.offers("clip:ViT-B-16/openai") and services.offers("hf:a/b") and not services.offers("/etc")
    closed.close()


def test_texts_are_a_kind_or_a_template(services: Services, movie: Path) -> None:
    with pytest.raises(LabelError, match="Texts are '/etc/passwd'"):
        Request(str(movie), "a, b", texts="/etc/passwd")
    plain, own = (
        finish(analyse(services, Request(str(movie), "one, two", texts=texts))) for texts in ("names", "no {} at all")
    )
    assert [p.logit for p in plain.model.predictions] != [p.logit for p in own.model.predictions]


def test_old_sentences_do_not_linger(services: Services, movie: Path) -> None:
    found = finish(analyse(services, Request(str(movie), "three, four", sentences={"one": "Gone."})))
    assert found.request.sentences == {} and "sentences.csv" not in commands(found)


def test_the_verdict_and_what_moved(services: Services, movie: Path) -> None:
    before = finish(analyse(services, Request(str(movie), "one, two, three")))
    assert "tabletop/base" in before.verdict and "comes from other frames" in before.verdict
    last = before.model.predictions[-1].label
    first = before.model.predictions[0].label
    asked = replace(before.request, sentences={last: first, first: last})
    after = finish(analyse(services, asked))
    page = widgets.rankings(after, before)
    assert "▲ 2" in page and "▼ 2" in page and "▲" not in widgets.rankings(after)


def test_the_time_that_is_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.5, 2.0, 6.0))
    monkeypatch.setattr("ezclip.progress.time.monotonic", lambda: next(clock))
    told = list(timed(iter([Step(0.1, "a"), Step(0.25, "b"), "result"])))
    assert told == [Step(0.1, "a"), Step(0.25, "b, about 6 s left"), "result"]


def test_closing_the_iterator_stops_the_work() -> None:
    ended = threading.Event()

    def work(tick):  # type: ignore[no-untyped-def]
        try:
            while True:
                tick(0.5)
        except Stopped:
            ended.set()
            raise

    steps = watched(work, "endless")
    assert next(steps) == Step(0.5, "endless")
    steps.close()  # type: ignore[attr-defined]
    assert ended.wait(5)


def test_only_the_last_clips_are_kept(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = services.clip(str(write_video(tmp_path / "a.mp4", count=8)), 8).images.nbytes
    monkeypatch.setattr("app.services.CLIP_BYTES", 3 * one)
    for i in range(6):
        services.clip(str(write_video(tmp_path / f"{i}.mp4", count=9 + i)), 8)
    assert len(services._clips) == 3


def test_files_made_for_users_are_removed(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    old = services.scratch()
    monkeypatch.setattr("app.services.SCRATCH_SECONDS", -1)
    assert services.scratch().exists() and not old.exists()


def test_preview_only_where_the_browser_needs_one(
    services: Services, movie: Path, avi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preview_pair(services, str(movie)) == (str(movie), (str(movie), str(movie)))
    shown, pair = preview_pair(services, str(avi))
    assert shown is not None and Path(shown).name.startswith("preview-") and pair == (shown, str(avi))
    assert preview_pair(services, None) == (None, None)
    assert unseen_seconds(*pair) == pytest.approx(0, abs=0.2)
    monkeypatch.setattr("app.actions.preview.PREVIEW_FRAMES", 5)
    cut, _ = preview_pair(services, str(avi))
    assert cut is not None and unseen_seconds(cut, str(avi)) == pytest.approx((30 - 5) / 12, abs=0.2)


def test_a_copy_without_coding_again_is_whole(services: Services, tmp_path: Path) -> None:
    long = write_video(tmp_path / "long.mkv", count=1700)
    shown, _ = preview_pair(services, str(long))
    assert shown is not None and playable_in_browsers(shown)
    assert seconds_of(shown) == pytest.approx(1700 / 12, abs=0.3), "past the frames of a coded preview"
    same = [read_clip(path, lambda n: [0, n // 2, n - 1]) for path in (long, shown)]
    assert np.array_equal(same[0].images, same[1].images) and same[0].total == same[1].total == 1700


def test_truth_of_a_sample_is_found_by_its_content(services: Services, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(SAMPLES[0].read_bytes())
    found = finish(analyse(services, Request(str(copy))))
    for proof in truth(found):
        assert proof.moving is not None and proof.area is not None
        assert 0 < proof.area < 0.6 and 0 < proof.moving < 1


def test_files_to_take_away(services: Services, analysis: Analysis, tmp_path: Path) -> None:
    with np.load(save_maps(tmp_path / "maps.npz", analysis, truth(analysis), services)) as arrays:
        assert arrays["heat"].shape[:2] == (2, 8) and list(arrays["models"]) == ["tabletop/base", "tabletop/ezclip"]
        assert arrays["prompts"].shape == (4, 8, 8)
    shown = read_clip(save_overlay(tmp_path / "o.mp4", analysis, 0.5), lambda n: [0, n - 1])
    assert shown.images.shape[1:] == (224, 3 * 224, 3) and shown.total == 8 * HOLD
    page, archive = report_files(services, analysis, truth(analysis))
    text = Path(page).read_text()
    assert "&lt;b&gt;lifting" in text and "sha256" in text and "python -m ezclip analyse" in text
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', text)
    with zipfile.ZipFile(archive) as packed:
        inside = {"report.json", "report.html", "strip.png", "spread.csv", "names.txt", "maps.npz", "overlay.mp4"}
        assert inside | {"influence_matrix.csv", "prompts.svg", "prompts_by_layer.csv"} <= set(packed.namelist())
        rows = list(csv.reader(packed.read("prompts_by_layer.csv").decode().splitlines()))[1:]
        assert len(rows) == 4 * 8 and all(sum(map(float, row[2:])) == pytest.approx(1, abs=1e-3) for row in rows)


def assert_same(here: Any, there: Any) -> None:
    """Equal but for bfloat16, whose sums depend on what is computed beside them."""
    if isinstance(here, dict):
        assert here.keys() == there.keys()
        here, there = list(here.values()), list(there.values())
    if isinstance(here, list):
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            assert_same(one, other)
    else:
        assert here == (pytest.approx(there, abs=0.02) if isinstance(here, float) else there)


@pytest.mark.slow
def test_the_command_in_the_report_repeats_it(
    services: Services, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs on what lies in the zip beside the clip, and gives the numbers of the page."""
    asked = Request(
        str(movie), LABELS, texts="templates", sentences={"pushing something": "A hand, pushing; slowly."},
        method="gradient-rollout", target="pushing something", fusion="max", difference=True,
        further=("tabletop/prompts",), opacity=0.3,
    )  # fmt: skip
    found = finish(analyse(services, asked))
    _, archive = report_files(services, found, finish(prove(services, found)))
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    (tmp_path / movie.name).write_bytes(movie.read_bytes())
    command = next(line for line in commands(found).splitlines() if line.startswith("python -m ezclip"))
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(command)[3:], "--device", "cpu"]) == 0
    here, there = (json.loads((tmp_path / name).read_text()) for name in ("report.json", "analysis/report.json"))
    assert_same(here, there)
    assert here["proof"][0]["deletion"] is not None and len(here["models"]) == 3
    assert (tmp_path / "analysis" / "sentences.csv").read_text() == (tmp_path / "sentences.csv").read_text()
    code, names = commands(found).partition("# Python")[2], {}
    exec(code, names)
    for here, there in zip(found.results, names["found"].results, strict=True):
        assert here.name == there.name and [p.label for p in here.predictions] == [p.label for p in there.predictions]
        assert np.allclose(here.attribution.heat, there.attribution.heat, rtol=0.05, atol=1e-5)


def test_a_dropped_official_file_becomes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.actions import models
    from ezclip.checkpoints import catalog, convert
    from tests.conftest import FIXTURES

    for module in (models, catalog, convert):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "mine.pt").write_bytes((FIXTURES / "none_official.pt").read_bytes())
    assert models.dropped_files() == ["mine.pt"]
    assert models.convert_dropped("mine.pt") == "mine"
    assert models.dropped_files() == [] and [e.name for e in catalog.entries()] == ["mine"]
    with pytest.raises(UserError, match="no unconverted file"):
        models.convert_dropped("../mine.pt")


def test_the_model_used_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.MODELS", 2)
    fresh = Services(device="cpu")
    base, prompts = (fresh.predictor(f"tabletop/{name}") for name in ("base", "prompts"))
    fresh.predictor("tabletop/base")
    fresh.predictor("tabletop/ezclip")
    assert fresh.predictor("tabletop/base") is base
    assert fresh.predictor("tabletop/prompts") is not prompts
    fresh.close()


def test_a_proof_under_way_does_not_disturb_an_analysis(services: Services, analysis: Analysis) -> None:
    """The two share a model, and an analysis traces its attention."""
    from ezclip.explanation.temporal import temporal_view

    def measure() -> list[MapProof]:
        # Gradio hands every step to the page, which takes a moment
        return finish(step for step in prove(services, analysis) if time.sleep(0.01) is None)

    with ThreadPoolExecutor() as pool:
        proof = pool.submit(measure)
        rounds = 0
        while not proof.done() or rounds == 0:
            services._clips.clear()  # what is known of a clip would be found again
            again = finish(analyse(services, analysis.request))
            with services.lock:
                predictor = services.predictor("tabletop/ezclip")
                predictor.set_video(again.clip)
                view = temporal_view(predictor)
            assert view is not None and view.prompts.shape == (4, 8, 8)
            assert np.array_equal(again.model.attribution.heat, analysis.model.attribution.heat)
            rounds += 1
    assert len(proof.result()) == 2 and rounds > 1
