"""Search by text, opposite and example; filters; indexes of several models."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from ezclip.cli import main
from ezclip.data.manifest import partners_of, read_rows
from ezclip.errors import ConfigError, UserError, VideoError
from ezclip.progress import finish
from ezclip.studies.collection.search import Search
from ezclip.studies.host import Host
from tests.ezclip.studies.collection.conftest import search

pytestmark = pytest.mark.slow  # the index takes seconds


def test_the_opposite_text_sends_twins_back(drawn: Path, index: Path, host: Host) -> None:
    rows = list(read_rows(drawn))
    path = {row.label: row.path.relative_to(drawn.parent).as_posix() for row in rows}
    pairs = partners_of(rows)
    places: dict[bool, list[int]] = {}
    for opposite in (False, True):
        places[opposite] = []
        for label, twin in pairs.items():
            result = search(host, index, label, opposite=twin if opposite else "", top=31)
            ranked = [moment.path for moment in result.moments]
            assert ranked.index(path[label]) < ranked.index(path[twin]) or not opposite
            places[opposite].append(ranked.index(path[twin]))
    later = [after > before for before, after in zip(places[False], places[True], strict=True)]
    assert sum(later) >= 25
    assert median(places[False]) < 10 and median(places[True]) > 20  # of 31


def test_a_query_and_its_opposite_are_mirrored(index: Path, host: Host) -> None:
    one = search(host, index, "lifting", opposite="pushing", top=31).moments
    two = search(host, index, "pushing", opposite="lifting", top=31).moments
    assert [m.path for m in one] == [m.path for m in two][::-1]
    assert [m.score for m in one] == pytest.approx([-m.score for m in two][::-1], abs=1e-3)


def test_an_example_from_the_index_or_from_a_file(drawn: Path, index: Path, host: Host) -> None:
    path = read_rows(drawn)[3].path.relative_to(drawn.parent).as_posix()
    from_index = search(host, index, like=path).moments
    from_file = search(host, index, like=str(drawn.parent / path)).moments
    assert from_file[0].path == path and from_file[0].cosine == pytest.approx(1, abs=1e-3)
    assert [m.path for m in from_file][1:] == [m.path for m in from_index][:19] and len(from_index) == 20
    with pytest.raises(VideoError, match="no clip none"):
        search(host, index, like="none")


def test_filters(drawn: Path, index: Path, host: Host, tmp_path: Path) -> None:
    every = {m.path: m for m in search(host, index, "a", top=31).moments}
    inside = search(host, index, "a", folder="Pushing").moments
    assert {m.path for m in inside} == {path for path in every if path.startswith("Pushing")} and len(inside) == 2
    assert all(m.score == every[m.path].score for m in inside)  # a score does not depend on the filters
    assert search(host, index, "a", since="2100-01-01").moments == []
    assert len(search(host, index, "a", since="2020-01-01", until="2100-01-01", top=31).moments) == 31
    assert search(host, index, "a", until="2020-01-01").moments == []
    lengths = sorted(m.length for m in every.values())
    assert search(host, index, "a", shortest=lengths[-1] + 1).moments == []
    assert search(host, index, "a", longest=lengths[0] - 0.1).moments == []
    assert "No video passes" in search(host, index, "a", folder="none/").text()


def test_what_cannot_be_searched(index: Path, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="Nothing to look for"):
        search(host, index, " ")
    with pytest.raises(UserError, match="No index yet"):
        finish(Search("", "a").run(host))
    with pytest.raises(ConfigError, match="is no index"):
        search(host, tmp_path, "a")
    with pytest.raises(ConfigError, match="made with tabletop/ezclip, other weights than those of tabletop/base"):
        search(host, index, "a", model="tabletop/base")
    with pytest.raises(UserError, match="no date"):
        Search(str(index), "a", since="yesterday")
    from ezclip.checkpoints.identity import Identity

    monkeypatch.setattr(host.predictor("tabletop/ezclip"), "identity", Identity("tabletop/ezclip"))
    with pytest.raises(ConfigError, match="other weights"):
        search(host, index, "a")


def test_an_index_of_several_models(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each model's part equals an index of that model alone; search and clusters select by model."""

    def run(*command: str) -> Any:
        assert main([*command, "--device", "cpu", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    both, models = tmp_path / "both", ("tabletop/base", "tabletop/ezclip")
    parts = run("index", str(drawn), "--out", str(both), "--seconds", "0", "--model", *models)
    assert [row["model"] for row in parts] == [*models] and {row["windows"] for row in parts} == {31}
    for model in models:
        alone = tmp_path / Path(model).name
        run("index", str(drawn), "--out", str(alone), "--seconds", "0", "--model", model)
        asked = ("search", str(both), "lifting", "--model", model)
        assert run(*asked)["moments"] == run("search", str(alone), "lifting")["moments"]
        part = run("clusters", str(both), "--model", model, "--count", "3")
        assert part["model"] == model and part["clusters"] == run("clusters", str(alone), "--count", "3")["clusters"]
    assert main(["search", str(both), "lifting"]) == 2
    assert "several models; choose one of tabletop/base, tabletop/ezclip" in capsys.readouterr().err
    assert main(["index", str(drawn), "--out", str(tmp_path / "base"), "--seconds", "0", "--model", *models]) == 2
    assert "is the index of one model" in capsys.readouterr().err
    more = run("index", str(drawn), "--out", str(both), "--seconds", "0", "--model", "tabletop/motion")
    assert (more["index"], more["windows"]) == ("tabletop-motion", 31)
