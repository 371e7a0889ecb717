"""What the studies of the tabs find, without Gradio."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app import widgets
from app.actions import classes, embeddings, evidence, long_video, ood
from app.actions.report import study_archive
from app.services import Services
from ezclip.errors import UserError
from ezclip.evaluation.analysis import Request, finish
from ezclip.evaluation.class_study import read_predictions
from ezclip.evaluation.jobs import Step
from ezclip.video.corrupt import Corruption, corrupt
from tests.conftest import write_video

LABELS = 'pushing something, "<b>lifting</b>, slowly"'
SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))


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
