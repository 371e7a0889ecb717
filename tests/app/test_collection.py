"""Search at its endpoint and on the page, only on the user's machine; moments, tags and files."""

import csv
import json
from pathlib import Path

import gradio as gr
import pytest

from app import html
from app.actions import collection as actions
from app.endpoints import endpoint
from app.main import build_app
from app.services import Services
from app.tabs.collection import strip
from ezclip.cli import main
from ezclip.collection.index import build
from ezclip.collection.layout import index_folders
from ezclip.data.manifest import read_rows
from ezclip.errors import UserError
from ezclip.parameters import parameters_of
from ezclip.progress import finish
from ezclip.studies.collection.clusters import Clusters
from ezclip.studies.collection.search import Search
from ezclip.video.read import describe, read_clip
from tests.conftest import write_video


@pytest.fixture
def index(drawn: Path, services: Services, tmp_path: Path) -> Path:
    """An index of one drawn clip of each of 31 classes."""
    finish(build(services.predictor("tabletop/ezclip"), drawn, tmp_path, seconds=0))
    return tmp_path


def test_the_command_line_and_the_endpoint_give_the_same(
    index: Path, services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(index), "pushing", "--not", "pulling", "--top", "3", "--device", "cpu", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    call, _ = endpoint(services, Search)
    values = {"index": str(index), "text": "pushing", "opposite": "pulling", "top": 3}
    arguments = [values.get(one.name) for one in parameters_of(Search)]
    assert call(*arguments) == printed and len(printed["moments"]) == 3 and printed["not"] == "pulling"
    monkeypatch.setattr(services, "local", False)  # as on a public server
    with pytest.raises(gr.Error, match="only where the app serves its own machine"):
        call(*arguments)


def test_the_page_makes_an_index_and_goes_on_with_its_model(services: Services, tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "films.index"
    for place, sentence in ((" ", "No folder yet"), (str(folder), "no folder films on this")):
        with pytest.raises(UserError, match=sentence):
            actions.index_of(place)
    folder.mkdir()
    with pytest.raises(UserError, match="films has no index yet: press Index"):
        actions.existing_index(str(folder), "tabletop/base")
    write_video(folder / "a.mp4")
    report = finish(actions.make_index(services, str(folder), "tabletop/base", 0.0, 1.0))
    assert (report["index"], report["model"], report["clips"], report["windows"]) == (out.name, "tabletop/base", 1, 1)
    assert {actions.existing_index(str(place), model) for place in (folder, out) for model in ("", "other")} == {
        str(out)
    }
    write_video(folder / "b.mp4")
    for place in (folder, out):
        report = finish(actions.make_index(services, str(place), "tabletop/ezclip", 2.0, 1.0))
        assert (report["model"], report["clips"], report["windows"]) == ("tabletop/base", 2, 2)


def test_the_page_model_chooses_among_the_models_of_an_index(services: Services, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    write_video(tmp_path / "films" / "a.mp4")
    out = tmp_path / "films.index"
    index_folders(out, ["tabletop/base", "tabletop/motion"])
    for model, name in {"tabletop/base": "tabletop-base", "tabletop/ezclip": "tabletop-ezclip"}.items():
        for place in (tmp_path / "films", out):
            summary = finish(actions.make_index(services, str(place), model, 0.0, 1.0))
            assert (summary["index"], summary["model"], summary["clips"]) == (name, model, 1)
            assert actions.existing_index(str(place), model) == str(out / name)
    with pytest.raises(UserError, match="choose one of tabletop/base, tabletop/motion, tabletop/ezclip"):
        actions.existing_index(str(out), "other")


def test_frames_of_a_moment() -> None:
    assert actions.frames_between(2, 4, 10, 3)(100) == [20, 30, 39]
    assert actions.frames_between(2, 4, 10, 300)(100) == [*range(20, 40)]
    assert actions.frames_between(9.9, 12, 10, 8)(10) == [9] and actions.frames_between(0, 0, 0, 8)(5) == [0]


def test_cards_of_moments_and_clusters(services: Services, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    long = write_video(tmp_path / "films" / "<b>long.mp4", count=60)  # 12 frames a second
    write_video(tmp_path / "films" / "short.mp4", count=12)
    finish(actions.make_index(services, str(tmp_path / "films"), "tabletop/base", 1.0, 1.0))
    index = str(tmp_path / "films.index")
    cards = actions.as_cards(finish(services.run(Search(index, "waving"))))
    assert {card.path: card.score for card in cards.cards} == {m.path: m.score for m in cards.result.moments}
    page = html.moments(cards, {"short.mp4": "<i>"})
    assert page.count("data-film") == 2 and "&lt;i&gt;" in page and "<b>long" not in page
    moment = actions.Card(long.name, 1.0, 3.0, 5.0)
    copy = actions.moment_file(cards, moment, tmp_path)
    assert copy.name == "<b>long 1.0 to 3.0 s.mp4" and describe(copy)["seconds"] == pytest.approx(2, abs=0.1)
    first, original = (read_clip(path, lambda _, at=at: [at]).images[0] for path, at in ((copy, 0), (long, 12)))
    assert abs(int(first[20, 50, 0]) - int(original[20, 50, 0])) < 4  # 10 grey levels a frame
    assert actions.moment_file(cards, actions.Card(long.name, 0.0, 5.0, 5.0), tmp_path).samefile(long)
    assert strip([index, *moment.strip_arguments]).startswith("data:image/jpeg")
    write_video(tmp_path / "outside.mp4")
    assert strip([index, "../outside.mp4", 0, 1, 1]) == ""
    groups = actions.as_cards(finish(services.run(Clusters(index, count=1, duplicates=0.0)))).groups
    assert [title for title, _ in groups] == ["Cluster 1: 2 videos", "2 duplicates"]
    assert [(card.start, card.end == card.length) for card in groups[1][1]] == [(0.0, True)] * 2


def test_tags_are_a_manifest(services: Services, index: Path, tmp_path: Path) -> None:
    cards = actions.as_cards(finish(services.run(Search(str(index), "pushing", top=3))))
    with pytest.raises(UserError, match="No video is tagged yet"):
        actions.tagged_manifest(cards, tmp_path)
    first, second, third = (card.path for card in cards.cards)
    actions.write_tags(cards, [0, 1], "pushing")
    actions.write_tags(cards, [1, 2], "lifting, höher")
    assert actions.read_tags(cards) == {first: "pushing", second: "lifting, höher", third: "lifting, höher"}
    actions.write_tags(cards, [0], "")
    manifests = read_rows(index / actions.TAGS), read_rows(actions.tagged_manifest(cards, tmp_path))
    for rows in manifests:
        assert [row.label for row in rows] == ["lifting, höher"] * 2
        assert [row.path.samefile(cards.collection.source / path) for row, path in zip(rows, (second, third))] == [1, 1]
    with actions.results_csv(cards, tmp_path).open(newline="", encoding="utf-8") as file:
        assert [(row["path"], row["tag"]) for row in csv.DictReader(file)] == [
            (first, ""), (second, "lifting, höher"), (third, "lifting, höher")
        ]  # fmt: skip


def test_where_others_reach_the_app_there_is_no_such_tab(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "local", False)
    offered = {block.elem_id for block in build_app(services).blocks.values()}
    assert "class-map" in offered and not offered & {"place", "find-run", "moments"}
