"""Actions of the buttons, without Gradio: labels, uploads, previews, models, exports."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.actions.labels import SET_TITLES, label_set_text, names_from_address, names_to_address
from app.actions.uploads import missing_seconds, preview_pair, read_class_file
from app.services import Services
from app.tabs.export import complete, newest, page_and_archive, with_opacity
from ezclip.errors import UserError
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.classes import Classes
from ezclip.studies.corruption import Corrupt
from ezclip.studies.declaration import Study
from ezclip.studies.frames import CompareFrames
from ezclip.studies.motion import ProbeMotion
from ezclip.studies.timeline import ScoreTimeline
from ezclip.text.labels import label_sets
from ezclip.video.corrupt import Corruption
from ezclip.video.read import describe, read_clip
from tests.conftest import write_video


def test_sets_of_class_names() -> None:
    assert label_set_text("UCF-101", "tabletop/ezclip").count("\n") == 100
    assert set(SET_TITLES.values()) - {None} <= set(label_sets())


def test_a_set_is_one_word_in_the_address() -> None:
    names = label_set_text("Kinetics-400", "tabletop/ezclip")
    assert names_to_address(names, "tabletop/ezclip") == "set:Kinetics-400"
    assert names_from_address("set:Kinetics-400", "tabletop/ezclip") == names
    for typed in ("one\ntwo", "set:no such"):
        assert names_to_address(typed, "tabletop/ezclip") == typed == names_from_address(typed, "tabletop/ezclip")


def test_uploaded_names_and_descriptions(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("id,name\n0,a\n1,b\n")
    assert read_class_file(str(tmp_path / "names.csv")) == ("a\nb", {}, [])
    (tmp_path / "twice.txt").write_text("a\nb\nA\n")
    assert read_class_file(str(tmp_path / "twice.txt"))[2] == ["1 duplicate class names were merged, first 'A'."]
    (tmp_path / "described.csv").write_text("n,class,text\n0,a,It is a.\n1,b,It is b.\n")
    assert read_class_file(str(tmp_path / "described.csv")) == ("a\nb", {"a": "It is a.", "b": "It is b."}, [])
    (tmp_path / "ours.csv").write_text("number,name,description\n0,a,It is a.\n")
    assert read_class_file(str(tmp_path / "ours.csv")) == ("a", {"a": "It is a."}, [])
    (tmp_path / "line.txt").write_text("waving, clapping, jumping\n")
    assert read_class_file(str(tmp_path / "line.txt"))[1] == {}
    assert read_class_file(None) == ("", {}, [])


def test_only_what_may_be_named_is_loaded(services: Services) -> None:
    closed = Services(device="cpu")
    for name in ("clip:ViT-B-16/openai", "hf:someone/something", "/etc", "runs", "x" * 5000, "a\0b"):
        assert not closed.offers(name)
        with pytest.raises(UserError, match="This app offers tabletop/ezclip"):
            closed.predictor(name)
    assert services.offers("clip:ViT-B-16/openai") and services.offers("hf:a/b") and not services.offers("/etc")
    closed.close()


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
    assert missing_seconds(*pair) == pytest.approx(0, abs=0.2)
    monkeypatch.setattr("app.actions.uploads.PREVIEW_FRAMES", 5)
    cut, _ = preview_pair(services, str(avi))
    assert cut is not None and missing_seconds(cut, str(avi)) == pytest.approx((30 - 5) / 12, abs=0.2)


def test_a_copy_without_coding_again_is_whole(services: Services, tmp_path: Path) -> None:
    long = write_video(tmp_path / "long.mkv", count=1700)
    shown, _ = preview_pair(services, str(long))
    assert shown is not None and describe(shown)["playable"]
    assert describe(shown)["seconds"] == pytest.approx(1700 / 12, abs=0.3), "past the frames of a coded preview"
    same = [read_clip(path, lambda n: [0, n // 2, n - 1]) for path in (long, shown)]
    assert np.array_equal(same[0].images, same[1].images) and same[0].total == same[1].total == 1700


def test_a_dropped_official_file_becomes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.actions import models
    from ezclip.checkpoints import catalog
    from tests.conftest import FIXTURES

    for module in (models, catalog):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pt").write_bytes((FIXTURES / "none_official.pt").read_bytes())
    assert models.unconverted_files() == ["mine.pt"]
    assert models.convert_official("mine.pt") == "mine"
    assert models.unconverted_files() == [] and [e.name for e in catalog.entries()] == ["mine"]
    with pytest.raises(UserError, match="no unconverted file"):
        models.convert_official("../mine.pt")


@pytest.mark.slow
def test_an_exported_analysis_has_its_faithfulness(services: Services, movie: Path) -> None:
    analysis = finish(Analyse(str(movie), 'pushing, "<b>lifting</b>, slowly"').run(services))
    assert not any(f.measured for f in analysis.faithfulness)
    page, archive = page_and_archive(services, "ezclip-report", complete(services, analysis), clips=(str(movie),))
    text = Path(page).read_text()
    assert "&lt;b&gt;lifting" in text and "not measured" not in text and "--faithfulness" in text
    with zipfile.ZipFile(archive) as packed:
        assert {"report.json", "report.html", "strip.png", "names.txt", "maps.npz", movie.name} <= set(
            packed.namelist()
        )
        assert "not measured" not in packed.read("proof.csv").decode()


@pytest.mark.slow
def test_every_tab_exports_its_result(services: Services, movie: Path) -> None:
    words = {"labels": "a, b", "texts": "a video of {}", "sentences": {"b": "A b."}}
    studies: list[Study] = [
        ProbeMotion(str(movie), **words),
        ScoreTimeline(str(movie), seconds=0.5, step=0.5, baseline="tabletop/base", **words),
        Corrupt(str(movie), corruption=Corruption(blur=0.5), **words),
        CompareFrames((str(movie),), projection="PCA"),
        Classes("base", "ezclip"),
    ]
    for study in studies:
        with_labels = hasattr(study, "labels")
        _, archive = page_and_archive(services, study.verb, finish(study.run(services)))
        with zipfile.ZipFile(archive) as packed:
            inside = {Path(member).suffix for member in packed.namelist()}
            assert inside == {".html", ".json", ".csv", ".png", ".svg"} | ({".txt"} if with_labels else set())
            page = packed.read("report.html").decode()
            command = study.command()
            assert command.startswith(f"python -m ezclip {study.verb}")
            assert ("--labels-file names.txt" in command) == with_labels
            assert ("--texts 'a video of {}'" in command) == with_labels
            assert ("sentences.csv" in packed.namelist()) == with_labels
        assert ("grey.mp4" in page) == (study.verb != "classes") and f"ezclip {study.verb}" in page
        assert not re.search(r'(src|href)\s*=\s*"(?!data:)', page)


def test_opacity_is_that_of_the_page(services: Services, movie: Path) -> None:
    analysis = finish(Analyse(str(movie), "a, b").run(services))
    assert with_opacity(analysis, 0.2).study["opacity"] == 0.2
    measured = replace(analysis, faithfulness=[])
    assert newest(analysis, measured) is measured and newest(analysis, None) is analysis
