"""What the buttons do, without Gradio."""

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

from app import widgets
from app.actions import classes, embeddings, evidence, long_video, ood
from app.actions.analysis import SET_TITLES, read_uploaded, set_text
from app.actions.preview import preview_pair
from app.actions.report import report_files, study_archive
from app.services import Services
from ezclip.cli import main
from ezclip.errors import LabelError, UserError, VideoError
from ezclip.evaluation.analysis import Analysis, Request, analyse, finish, wanted_labels
from ezclip.evaluation.analysis_files import HOLD, save_maps, save_overlay
from ezclip.evaluation.analysis_report import commands
from ezclip.evaluation.class_study import read_predictions
from ezclip.evaluation.jobs import Step, Stopped, timed, watched
from ezclip.evaluation.proof import MapProof, prove, truth
from ezclip.text.labels import label_set, label_sets
from ezclip.video.corrupt import Corruption, corrupt
from ezclip.video.decode import read_clip
from tests.conftest import write_video

LABELS = 'pushing something, "<b>lifting</b>, slowly"'
SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))


@pytest.fixture(scope="module")
def analysis(services: Services, movie: Path) -> Analysis:
    steps = list(analyse(services, Request(str(movie), LABELS)))
    shares = [s.share for s in steps if isinstance(s, Step)]
    assert shares[0] == 0 and max(shares) <= 1
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


def test_uploaded_names_and_descriptions(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("id,name\n0,a\n1,b\n")
    assert read_uploaded(str(tmp_path / "names.csv")) == ("a\nb", {}, [])
    (tmp_path / "twice.txt").write_text("a\nb\nA\n")
    assert read_uploaded(str(tmp_path / "twice.txt"))[2] == ["1 duplicate class names were merged, first 'A'."]
    (tmp_path / "described.csv").write_text("n,class,text\n0,a,It is a.\n1,b,It is b.\n")
    assert read_uploaded(str(tmp_path / "described.csv")) == ("a\nb", {"a": "It is a.", "b": "It is b."}, [])
    assert read_uploaded(None) == ("", {}, [])


def test_the_time_that_is_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.5, 2.0, 6.0))
    monkeypatch.setattr("ezclip.evaluation.jobs.time.monotonic", lambda: next(clock))
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


def test_preview_only_where_the_browser_needs_one(services: Services, movie: Path, avi: Path) -> None:
    assert preview_pair(services, str(movie)) == (str(movie), (str(movie), str(movie)))
    shown, pair = preview_pair(services, str(avi))
    assert shown is not None and Path(shown).name.startswith("preview-") and pair == (shown, str(avi))
    assert preview_pair(services, None) == (None, None)


def test_truth_of_a_sample_is_found_by_its_content(services: Services, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(SAMPLES[0].read_bytes())
    found = finish(analyse(services, Request(str(copy))))
    for proof in truth(found):
        assert proof.moving is not None and proof.area is not None
        assert 0 < proof.area < 0.6 and 0 < proof.moving < 1


def test_files_to_take_away(services: Services, analysis: Analysis, tmp_path: Path) -> None:
    with np.load(save_maps(tmp_path / "maps.npz", analysis, services)) as arrays:
        assert arrays["heat"].shape[:2] == (2, 8) and list(arrays["models"]) == ["tabletop/base", "tabletop/ezclip"]
        assert arrays["prompts"].shape == (4, 8, 8)
    shown = read_clip(save_overlay(tmp_path / "o.mp4", analysis, 0.5), lambda n: [0, n - 1])
    assert shown.images.shape[1:] == (224, 3 * 224, 3) and shown.total == 8 * HOLD
    page, archive = report_files(services, analysis, truth(analysis))
    text = Path(page).read_text()
    assert "&lt;b&gt;lifting" in text and "sha256" in text and "python -m ezclip analyse" in text
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', text)
    with zipfile.ZipFile(archive) as packed:
        assert {"report.json", "report.html", "strip.png", "spread.csv", "names.txt"} <= set(packed.namelist())


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


def test_evidence_on_a_sample(services: Services) -> None:
    found = finish(evidence.motion_evidence(services, Request(str(SAMPLES[0]))))
    base = {p.variation: p for p in found.probes["tabletop/base"]}
    assert base["reversed"].score == pytest.approx(base["as it is"].score, abs=2e-3)
    assert base["reversed"].map_change == pytest.approx(0, abs=1e-3)
    assert "does not see the order" in found.verdicts[0]
    assert "becomes" in found.verdicts[1]
    assert "<script" not in widgets.evidence(found)


def test_frames_in_one_plane(services: Services, movie: Path) -> None:
    found = embeddings.frame_plane(services, [str(movie), str(SAMPLES[0])], ["tabletop/base", "tabletop/ezclip"], "PCA")
    assert found.points.shape == (2 * 2 * 8, 2) and found.of(1, 1).shape == (8, 2)
    assert found.difference == "the two differ by temporal prompts and the motion loss"
    assert widgets.frame_plane(found).count("<circle") == 32
    with pytest.raises(UserError, match="1 to 8 fit"):
        embeddings.frame_plane(services, [str(s) for s in SAMPLES[:9]], ["tabletop/base", "tabletop/ezclip"], "PCA")


def test_damage(services: Services, movie: Path) -> None:
    clip = services.clip(str(movie), 8)
    assert np.array_equal(corrupt(clip, Corruption()).images, clip.images)
    dark = corrupt(clip, Corruption(darkness=1.0)).images
    assert np.abs(dark - clip.images * 0.1).max() <= 1
    held = corrupt(clip, Corruption(frame_drop=1.0))
    assert all(np.array_equal(image, clip.images[0]) for image in held.images)
    found = ood.damage(services, Request(str(movie), "a, b"), Corruption(noise=0.5))
    assert set(found.predictions) == {"tabletop/base", "tabletop/ezclip"}
    assert widgets.damaged(found).count("<img") == 8


def test_windows_over_a_long_video(services: Services, tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", count=120, rate=12)  # 10 seconds
    *_, found = long_video.over_time(services, Request(str(path), "a, b"), 2.0, 1.0)
    assert isinstance(found, long_video.Timeline)
    starts = [m.start for m in found.moments]
    assert len(starts) == 9 and np.allclose(np.diff(starts), 1.0, atol=0.1)
    assert all(m.end - m.start < 2.0 for m in found.moments)
    assert widgets.timeline(found, "tabletop/base", "tabletop/ezclip").count("<button") == 9


def test_live_keeps_the_newest_frames_only(services: Services) -> None:
    live = long_video.Live()
    for value in range(200):
        live.add(np.full((48, 64, 3), value, np.uint8), seconds=60)
    assert len(live.frames) == 64
    clip = live.clip(8)
    assert clip.images[-1, 0, 0, 0] == 199 and clip.images[0, 0, 0, 0] == 136
    assert set(long_video.score_live(services, Request(None, "a, b"), live)) == {"tabletop/base", "tabletop/ezclip"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for label in ("waving", "jumping"):
            for i in range(6):
                video = write_video(tmp_path / f"{label}{i}.mp4", count=10 + i)
                packed.write(video, f"clips/{label}/{i}.mp4")
        packed.writestr("clips/waving/notes.txt", f"not a video, and another zip for each test: {path}")
        packed.writestr("../outside.mp4", b"x")
    return path


def test_classes_of_a_zip(services: Services, archive: Path) -> None:
    study = finish(classes.evaluate_zip(services, str(archive), "tabletop/base", "tabletop/ezclip"))
    assert study.comparison.overall.n == 12 and [len(e.rows) for e in study.evaluations] == [12, 12]
    scratch = Path(services._scratch.name)
    assert not any((folder / "outside.mp4").exists() for folder in (scratch, scratch.parent))
    page = widgets.class_tables(study.comparison) + widgets.class_pictures(study) + widgets.class_plane(study.class_map)
    assert page.count("data-row=") == 24 and page.count("<figure>") == 2
    with pytest.raises(UserError, match="not a zip"):
        finish(classes.evaluate_zip(services, str(SAMPLES[0]), "tabletop/base", "tabletop/ezclip"))


def test_a_cancelled_zip_goes_on_where_it_stopped(
    services: Services, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ezclip.evaluation.run as run

    scored = []
    score = run.score_batch
    monkeypatch.setattr(run, "score_batch", lambda p, rows, *how: scored.extend(rows) or score(p, rows, *how))
    first = classes.evaluate_zip(services, str(archive), "tabletop/base", "tabletop/ezclip")
    while len(scored) < classes.BATCH:
        assert isinstance(next(first), Step)
    first.close()
    study = finish(classes.evaluate_zip(services, str(archive), "tabletop/base", "tabletop/ezclip"))
    assert study.comparison.overall.n == 12
    assert len(scored) == 24, "every clip once under each model"


def test_what_a_tab_found_can_be_taken_away(services: Services, archive: Path, movie: Path) -> None:
    asked = Request(str(movie), "a, b")
    found = {
        "evidence": finish(evidence.motion_evidence(services, asked)).report,
        "frames": embeddings.frame_plane(services, [str(movie)], ["tabletop/base", "tabletop/ezclip"], "PCA").report,
        "timeline": finish(long_video.over_time(services, asked, 0.5, 0.5)).report,
        "damage": ood.damage(services, asked, Corruption(blur=0.5)).report,
        "shipped": classes.shipped_study("base->ezclip").report,
    }
    for name, make in found.items():
        with zipfile.ZipFile(study_archive(services, name, make, None if name == "shipped" else asked)) as packed:
            inside = {Path(member).suffix for member in packed.namelist()}
            assert inside == {".html", ".json", ".csv", ".png", ".svg"}, name
            page = packed.read("report.html").decode()
        assert ("grey.mp4, sha256" in page) == (name != "shipped")
        assert not re.search(r'(src|href)\s*=\s*"(?!data:)', page)


def test_tables_of_predictions(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("path,label,prediction,a,b\nx/1.mp4,a,a,0.9,0.1\nx/2.mp4,b,a,0.8,0.2\n")
    found = read_predictions(str(good), "first")
    assert found.labels == ["a", "b"] and found.scores.argmax(dim=1).tolist() == [0, 0]
    (tmp_path / "bad.csv").write_text("path,label,prediction,a,b\nx/1.mp4,c,a,0.9,0.1\n")
    with pytest.raises(UserError, match="row 2"):
        read_predictions(str(tmp_path / "bad.csv"), "first")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="does not start with"):
        read_predictions(str(tmp_path / "other.csv"), "first")


def test_shipped_results() -> None:
    report = classes.shipped()
    assert set(report["test"]) >= {"base", "motion", "prompts", "ezclip"}
    study = classes.shipped_study("base->ezclip")
    comparison = study.comparison
    assert len(study.pictures) == 3
    assert json.dumps(comparison.as_json()) == json.dumps(report["comparisons"]["base->ezclip"])
    assert ood.family_accuracy("night")["ezclip"]["n"] > 0
    with pytest.raises(UserError, match="no comparison"):
        classes.shipped_study("x->y")


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
            again = finish(analyse(services, analysis.request))
            with services.lock:
                predictor = services.predictor("tabletop/ezclip")
                predictor.set_video(again.clip)
                view = temporal_view(predictor)
            assert view is not None and view.prompts.shape == (4, 8, 8)
            assert np.array_equal(again.model.attribution.heat, analysis.model.attribution.heat)
            rounds += 1
    assert len(proof.result()) == 2 and rounds > 1
