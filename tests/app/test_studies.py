"""What the studies of the tabs find, without Gradio."""

import re
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import widgets
from app.actions import embeddings, evidence, long_video
from app.actions.report import Found, study_archive
from app.services import Services
from ezclip.errors import UserError
from ezclip.evaluation.shipped import shipped_study
from ezclip.progress import Step, Stopped
from ezclip.studies.analysis import Request, finish
from ezclip.studies.corruption import damage
from ezclip.studies.frames import lay_out
from ezclip.studies.live import Live, score_live
from ezclip.types import Clip
from ezclip.video.corrupt import Corruption, corrupt
from tests.conftest import write_video

SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))
PAIR = ("tabletop/base", "tabletop/ezclip")


def test_evidence_on_a_sample(services: Services) -> None:
    found = finish(evidence.motion_evidence(services, Request(str(SAMPLES[0]))))
    base = {p.variation: p for p in found.probes["tabletop/base"]}
    assert base["reversed"].score == pytest.approx(base["as it is"].score, abs=2e-3)
    assert base["reversed"].map_change == pytest.approx(0, abs=1e-3)
    assert "does not see the order" in found.verdicts[0]
    assert "becomes" in found.verdicts[1]
    assert "<script" not in widgets.evidence(found)


def test_evidence_is_gathered_once_for_all_class_names(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request(str(SAMPLES[2]), "putting something, taking something")
    first = finish(evidence.motion_evidence(services, asked))

    def again(*_: object, **__: object) -> None:
        raise AssertionError("the clip was decoded or encoded again")

    monkeypatch.setattr("ezclip.evaluation.order.read_frames", again)
    monkeypatch.setattr("ezclip.studies.motion.explain_clip", again)
    assert finish(evidence.motion_evidence(services, asked)).probes == first.probes
    other = finish(evidence.motion_evidence(services, replace(asked, labels="closing something, putting something")))
    for name, probes in other.probes.items():
        assert {p.answer for p in probes} <= {"closing something", "putting something"}
        assert [p.variance for p in probes] == [p.variance for p in first.probes[name]]


def test_frames_in_one_plane(services: Services, movie: Path) -> None:
    pair = ["tabletop/base", "tabletop/ezclip"]
    found = finish(embeddings.frame_plane(services, [str(movie), str(SAMPLES[0])], pair, "PCA"))
    assert found.points.shape == (2 * 2 * 8, 2) and found.of(1, 1).shape == (8, 2)
    assert found.difference == "the two differ by temporal prompts and the motion loss"
    assert widgets.frame_plane(found).count("<circle") == 32
    for (*_, variance, frozen, c, frozen_c, share), told in zip(found.spread(), sum(found.as_json()["motion"], [])):
        assert told["phantom_share"] == share
        if share is not None:
            assert share == pytest.approx((frozen + frozen_c) / (variance + c))
    assert found.spread()[1][-1] == pytest.approx(0, abs=1e-4), "base shows no motion where nothing moves"
    still = Clip("still", np.zeros((8, 40, 40, 3), np.uint8), np.arange(8), np.arange(8.0), total=8)
    frozen = lay_out([services.predictor(name) for name in pair], [still], "PCA")
    assert frozen.still() == ["All frames of still are one point under tabletop/base."]
    assert frozen.still() == frozen.as_json()["notes"] and frozen.still()[0] in widgets.frame_plane(frozen)
    with pytest.raises(UserError, match="chosen twice"):
        finish(embeddings.frame_plane(services, [str(movie)], [pair[1], pair[1]], "PCA"))
    with pytest.raises(UserError, match="1 to 8 fit"):
        finish(embeddings.frame_plane(services, [str(s) for s in SAMPLES[:9]], pair, "PCA"))


def test_laying_frames_out_can_be_stopped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    import ezclip.studies.frames as frames

    ended = threading.Event()

    def slow(predictors, clips, method, tick, lock):  # type: ignore[no-untyped-def]
        try:
            while True:
                tick(0.5)
        except Stopped:
            ended.set()
            raise

    monkeypatch.setattr(frames, "lay_out", slow)
    steps = embeddings.frame_plane(services, [str(SAMPLES[0])], ["tabletop/base", "tabletop/ezclip"], "PCA")
    assert isinstance(next(steps), Step) and isinstance(next(steps), Step)
    steps.close()  # type: ignore[attr-defined]
    assert ended.wait(5)


def test_damage(services: Services, movie: Path) -> None:
    clip = services.clip(str(movie), 8)
    assert np.array_equal(corrupt(clip, Corruption()).images, clip.images)
    dark = corrupt(clip, Corruption(darkness=1.0)).images
    assert np.abs(dark - clip.images * 0.1).max() <= 1
    held = corrupt(clip, Corruption(frame_drop=1.0))
    assert all(np.array_equal(image, clip.images[0]) for image in held.images)
    found = finish(damage(services, Request(str(movie), "a, b"), Corruption(noise=0.5)))
    assert set(found.predictions) == {"tabletop/base", "tabletop/ezclip"}
    assert widgets.damaged(found).count("<img") == 8


def test_windows_over_a_long_video(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.mp4", count=120, rate=12)  # 10 seconds
    steps = list(long_video.over_time(services, Request(str(path), "a, b"), 2.0, 1.0))
    shares = [s.share for s in steps if isinstance(s, Step)]
    assert len(shares) == 9 and shares == sorted(shares) and 0.9 < shares[-1] <= 1
    found = steps[-1]
    assert isinstance(found, long_video.Timeline) and found.whole
    starts = [m.start for m in found.moments]
    assert len(starts) == 9 and np.allclose(np.diff(starts), 1.0, atol=0.1)
    assert all(m.end - m.start < 2.0 for m in found.moments)
    assert widgets.timeline(found).count("<button") == 9
    monkeypatch.setattr("ezclip.studies.timeline.windows", lambda *_, **__: pytest.fail("decoded again"))
    other = finish(long_video.over_time(services, Request(str(path), "c, b, d"), 2.0, 1.0))
    assert isinstance(other, long_video.Timeline) and other.whole and other.moments[0].labels == ["c", "b", "d"]
    for name in found.moments[0].scores:
        for one, two in zip(found.moments, other.moments, strict=True):
            assert one.scores[name][1, 1] == pytest.approx(two.scores[name][1, 1]), "the logit of b"


def test_a_long_time_line_is_drawn_ever_more_rarely(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    import ezclip.studies.timeline as timeline

    names = ("tabletop/base", "tabletop/ezclip")
    videos = {name: services.predictor(name).encode_texts(["b"])[None] for name in names}  # what "b" stands for
    picture = np.zeros((timeline.SIDE, timeline.SIDE, 3), np.uint8)
    many = (timeline.Window(float(i), i + 2.0, videos, picture, np.ones((12, 12))) for i in range(1000))
    monkeypatch.setattr(timeline, "scan", lambda *_, **__: many)
    steps = list(long_video.over_time(services, Request(str(SAMPLES[0]), "a, b", texts="names"), 3.0, 0.5))
    drawn = [len(s.moments) for s in steps if isinstance(s, long_video.Timeline)]
    assert drawn[:3] == [1, 2, 3] and drawn[-1] == 1000 and sum(drawn) < 15_000
    page = widgets.timeline(steps[-1])
    assert page.count("<button") == 200 and "200 of 1000 windows are drawn" in page
    assert 'data-second="0.00"' in page and 'data-second="999.00"' in page
    assert len(steps[-1].report({}).data["windows"]) == 1000
    assert [p.label for p in steps[-1].moments[0].ranked(names[0])] == ["b", "a"]


def test_live_keeps_the_newest_frames_only(services: Services) -> None:
    live = Live()
    for value in range(200):  # 100 a second, a window of one second
        live.add(np.full((48, 64, 3), value, np.uint8), seconds=1, now=value / 100)
    times = [time for time, _ in live.frames]
    assert times[-1] == 1.99 and times[0] == pytest.approx(0.99, abs=0.03), "the whole window"
    assert 30 <= len(times) <= 66 and np.diff(times)[:-1].min() >= 1 / 64
    clip = live.clip(8)
    assert clip.images[-1, 0, 0, 0] == 199 and clip.images[0, 0, 0, 0] in range(97, 103)
    assert set(score_live(services, Request(None, "a, b"), live)) == {"tabletop/base", "tabletop/ezclip"}
    live.add(np.zeros((48, 64, 3), np.uint8), seconds=2, now=live.frames[-1][0] + 10)
    assert len(live.frames) == 1, "older than the window"
    live.add(np.zeros((48, 64, 3), np.uint8), seconds=2, now=0.0)
    assert len(live.frames) == 1, "the source began anew"
    with pytest.raises(UserError, match="No frame has come"):
        score_live(services, Request(None, "a, b"), Live())


def test_what_a_tab_found_can_be_taken_away(services: Services, movie: Path) -> None:
    asked = Request(str(movie), "a, b", texts="a video of {}", sentences={"b": "A b."})
    clips, models = (str(movie),), tuple(asked.models)
    plane = finish(embeddings.frame_plane(services, [str(movie)], list(PAIR), "PCA"))
    reports = {
        "probe": finish(evidence.motion_evidence(services, asked)).report,
        "scan": finish(long_video.over_time(services, asked, 0.5, 0.5)).report,
        "predict": finish(damage(services, asked, Corruption(blur=0.5))).report,
    }
    found = {verb: Found(report, (verb,), models, clips, asked) for verb, report in reports.items()} | {
        "project": Found(plane.report, ("project", movie.name), models, clips),
        "compare": Found(shipped_study(["base", "ezclip"]).report, ("compare", "base", "ezclip"), models),
    }
    for name, made in found.items():
        with zipfile.ZipFile(study_archive(services, name, made)) as packed:
            inside = {Path(member).suffix for member in packed.namelist()}
            assert inside == {".html", ".json", ".csv", ".png", ".svg"} | ({".txt"} if made.asked else set()), name
            page = packed.read("report.html").decode()
            assert made.command.startswith(f"python -m ezclip {made.verb[0]}")
            assert ("--labels-file names.txt --texts 'a video of {}'" in made.command) == (made.asked is not None)
            assert ("sentences.csv" in packed.namelist()) == (made.asked is not None)
        assert ("grey.mp4, sha256" in page) == (name != "compare") and f"ezclip {made.verb[0]}" in page
        assert not re.search(r'(src|href)\s*=\s*"(?!data:)', page)
