"""Splits: base classes, shots and unseen classes, on lists in the original layouts."""

import csv
import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from ezclip.cli import main
from ezclip.data.formats import read_listing
from ezclip.data.formats.listing import Options
from ezclip.data.manifest import Row, labels_of, read_rows
from ezclip.errors import ConfigError
from ezclip.reproduction.splits import LISTS, base_classes, draw_shots, shots_of, unseen_classes
from ezclip.text.labels import label_set, same_name
from tests.conftest import external

SETS = {"kinetics400": ("k400", 200), "hmdb51": ("hmdb", 26), "ucf101": ("ucf", 51), "ssv2": ("ssv2", 87)}


def lines(name: str) -> list[str]:
    return (LISTS / name).read_text("utf-8").splitlines()


def clips(labels: list[str], each: int = 1) -> list[Row]:
    return [Row(Path(f"{i}.mp4"), label) for label in labels for i in range(each)]


@pytest.mark.parametrize(("name", "short", "count"), [(name, *rest) for name, rest in SETS.items()])
def test_base_classes_are_the_releases(name: str, short: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    base = base_classes(Path("data") / name, clips(label_set(name)))
    with (external("lists") / f"ezclip_{short}_base_classes.csv").open(newline="") as file:
        published = {same_name(row["name"]) for row in csv.DictReader(file)}
    with (external("lists") / f"ezclip_{short}_novel_classes.csv").open(newline="") as file:
        novel = {same_name(row["name"]) for row in csv.DictReader(file)}
    assert len(base) == count and set(map(same_name, base)) == published
    assert {same_name(label) for label in label_set(name)} - published == novel
    assert not caplog.records


def test_hmdb_is_not_split_by_the_alphabet() -> None:
    """All classes have 70 training clips, so the release takes the last 26 of 51, pour to wave."""
    labels = label_set("hmdb51")
    base = base_classes(Path("hmdb51"), clips(labels, 70))
    assert base == sorted(labels)[25:] and (base[0], base[-1]) == ("pour", "wave")


def test_base_classes_from_original_ucf_lists(tmp_path: Path) -> None:
    """Class/video number lines, as trainlist01.txt has them; CamelCase names find their entries."""
    names = lines("ucf101_base.txt")
    (tmp_path / "trainlist01.txt").write_text(
        "".join(f"{name}/v_{name}_g08_c0{i}.avi 1\n" for i in (1, 2) for name in [*names, "YoYo", "TaiChi"])
    )
    listing = read_listing(tmp_path / "trainlist01.txt", Options())
    rows = [Row(Path(name), label) for name, label in zip(listing.names, listing.labels)]
    base = base_classes(tmp_path / "ucf101", rows)
    assert len(base) == 51 and "Apply Eye Makeup" in base and not {"Yo Yo", "Tai Chi"} & set(base)


def kinetics(path: Path, labels: list[str], split: str) -> Path:
    """A Kinetics list as published, with K-400's column is_cc and a row of another split."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "youtube_id", "time_start", "time_end", "split", "is_cc"])
        writer.writerows([label, f"video{i:06}", i, i + 10, split, 0] for i, label in enumerate(labels))
        writer.writerow(["a class of another part", "other", 0, 10, "validate" if split == "train" else "train", 0])
    return path


def something(path: Path, labels: list[str]) -> Path:
    """Something-Something v2's list: a label with its objects, and the template with brackets for them."""
    words = re.compile(r"\b(number of|something|somewhere|part)\b")
    rows = [
        {
            "id": str(i),
            "label": words.sub("a cup", label).lower(),
            "template": words.sub(r"[\1]", label),
            "placeholders": ["a cup"] * len(words.findall(label)),
        }
        for i, label in enumerate(labels, 1)
    ]
    path.write_text(json.dumps(rows))
    return path


def rows_of(path: Path, subset: Literal["train", "test", "all"] = "all") -> list[Row]:
    listing = read_listing(path, Options(subset=subset))
    return [Row(Path(name), label) for name, label in zip(listing.names, listing.labels, strict=True)]


def test_base_classes_from_original_kinetics_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = rows_of(kinetics(tmp_path / "train.csv", label_set("kinetics400"), "train"), "train")
    base = base_classes(tmp_path / "kinetics400", rows)
    assert len(rows) == 400 and len(base) == 200 and not caplog.records
    assert set(map(same_name, base)) == set(map(same_name, lines("kinetics400_base.txt")))


def test_base_classes_from_original_something_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Templates name the classes, without their brackets; labels name the objects of a clip."""
    rows = rows_of(something(tmp_path / "train.json", label_set("ssv2")))
    base = base_classes(tmp_path / "ssv2", rows)
    assert len(labels_of(rows)) == 174 and len(base) == 87 and not caplog.records
    assert "Pouring something into something" in base
    assert set(map(same_name, base)) == set(map(same_name, lines("ssv2_base.txt")))


def test_unseen_classes_from_original_kinetics_lists(tmp_path: Path) -> None:
    """K-600's test list, which includes K-400's classes, against K-400's training list."""
    every = sorted({*label_set("kinetics400"), *label_set("kinetics600_unseen")})
    tested = labels_of(rows_of(kinetics(tmp_path / "test.csv", every, "test"), "test"))
    trained = labels_of(rows_of(kinetics(tmp_path / "train.csv", label_set("kinetics400"), "train"), "train"))
    unseen = unseen_classes("kinetics600", tested, trained)
    assert {rule: list(map(len, lists)) for rule, lists in unseen.items()} == {
        "names": [231], "paper": [220], "rivals": [160, 160, 160],
    }  # fmt: skip


def test_other_data_are_split_by_frequency_or_by_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row(Path(f"{i}.mp4"), label) for i, label in enumerate("aabbbcdd" + "e")]
    assert base_classes(tmp_path, rows) == ["a", "b", "d"] and not caplog.records
    (tmp_path / "base_classes.csv").write_text("id,name\n0,C\n1,E\n")
    assert base_classes(tmp_path, rows) == ["c", "e"]
    (tmp_path / "base_classes.csv").write_text("id,name\n0,Z\n")
    with pytest.raises(ConfigError, match="'Z'"):
        base_classes(tmp_path, rows)


def test_a_broken_tie_and_a_list_that_does_not_fit_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert base_classes(Path("hmdb51"), clips(list("abcd"), 3)) == ["a", "b"]
    first, second = caplog.messages
    assert first.startswith("hmdb51 lacks 26 of the release's 26 base classes, first 'pour'")
    assert second.startswith("4 classes of hmdb51 have 3 training clips each: alphabetical order")


def test_shots_are_drawn_by_the_seed() -> None:
    rows = [Row(Path(f"{i}.mp4"), "ab"[i % 2]) for i in range(20)]
    drawn = draw_shots(rows, 3, seed=0)
    assert Counter(row.label for row in drawn) == {"a": 3, "b": 3}
    assert drawn == draw_shots(rows, 3, seed=0) != draw_shots(rows, 3, seed=1)
    assert len(draw_shots(rows, 16, seed=0)) == 20


@pytest.fixture
def hmdb(tmp_path: Path) -> list[Row]:
    """The training clips of the three draws, written to HMDB-51's split files and read as a user would."""
    names = {name for draw in (1, 2, 3) for name in lines(f"hmdb51_base_to_novel_16_s{draw}.txt")}
    by_class: dict[str, list[str]] = {}
    labels = [label.replace(" ", "_") for label in lines("hmdb51_base.txt")]
    for name in sorted(names):
        fitting = [label for label in labels if f"_{label}_" in name]
        by_class.setdefault(max(fitting, key=lambda label: (name.rindex(f"_{label}_"), len(label))), []).append(name)
    for label, clip_names in by_class.items():
        (tmp_path / f"{label}_test_split1.txt").write_text("".join(f"{name}.avi 1\n" for name in clip_names))
    listing = read_listing(tmp_path, Options(subset="train"))
    return [Row(Path(name), label) for name, label in zip(listing.names, listing.labels)]


def test_hmdb_has_the_releases_three_draws(hmdb: list[Row], tmp_path: Path) -> None:
    assert len(labels_of(hmdb)) == 26
    draws = [shots_of(Path("hmdb51"), "base_to_novel", hmdb, 16, seed) for seed in (0, 1, 2)]
    for number, (rows, source) in enumerate(draws, 1):
        assert source == f"the release's draw {number}"
        assert Counter(row.label for row in rows) == dict.fromkeys(labels_of(hmdb), 16)
        listed = (external("lists") / f"ezclip_hmdb_16shot_base_s{number}.txt").read_text().splitlines()
        assert {row.path.name for row in rows} == {line.rsplit(" ", 2)[0].rsplit("/", 1)[-1] for line in listed}
    assert len({frozenset(rows) for rows, _ in draws}) == 3
    assert shots_of(Path("hmdb51"), "few_shot", hmdb, 16, 0)[1] == "seed 0", "the draws are base-to-novel's"


def test_an_incomplete_draw_is_logged(hmdb: list[Row], caplog: pytest.LogCaptureFixture) -> None:
    lacking = [row for row in hmdb if row.path.stem != lines("hmdb51_base_to_novel_16_s1.txt")[0]]
    assert shots_of(Path("hmdb51"), "base_to_novel", lacking, 16, 0)[1] == "seed 0"
    assert "has 415 of the 416 clips of the release's draw 1" in caplog.text


def test_given_draws_are_separate_for_seeds_and_protocols(tmp_path: Path) -> None:
    """A list of the release ("path frames id"), converted by ``ezclip data check`` to the file of the first draw."""
    rows = [Row(tmp_path / f"{label}{i}.mp4", label) for label in "ab" for i in range(4)]
    for row in rows:
        row.path.touch()
    (tmp_path / "classes.csv").write_text("id,name\n0,a\n1,b\n")
    folder = tmp_path / "data" / "ucf101"
    for number, chosen in ((1, "03"), (2, "12")):
        listed = [f"/media/x/{row.path.name} 75 {'ab'.index(row.label)}" for row in rows if row.path.stem[1] in chosen]
        (tmp_path / "list.txt").write_text("\n".join(listed))
        out = folder / "few_shot" / f"shots_2_s{number}.jsonl"
        command = ["data", "check", str(tmp_path / "list.txt"), "--classes", str(tmp_path / "classes.csv")]
        assert main([*command, "--root", str(tmp_path), "--quick", "--out", str(out)]) == 0
    chosen = [[row.path.stem for row in shots_of(folder, "few_shot", rows, 2, seed)[0]] for seed in (0, 1)]
    assert chosen == [["a0", "a3", "b0", "b3"], ["a1", "a2", "b1", "b2"]]
    assert shots_of(folder, "few_shot", rows, 2, 2)[1] == "seed 2"
    assert shots_of(folder, "base_to_novel", rows, 2, 0)[1] == "seed 0"
    assert shots_of(folder, "few_shot", rows[:4], 2, 0)[0] == [
        read_rows(folder / "few_shot/shots_2_s1.jsonl")[i] for i in (0, 1)
    ]


def test_unseen_classes_of_kinetics600() -> None:
    trained = label_set("kinetics400")
    with (external("labels") / "kinetics_600_labels_exclusive.csv").open(newline="") as file:
        listed = [row["name"] for row in csv.DictReader(file)]
    unseen = unseen_classes("kinetics600", listed, trained)
    assert len(listed) == 232
    assert {rule: list(map(len, lists)) for rule, lists in unseen.items()} == {
        "names": [231], "paper": [220], "rivals": [160, 160, 160],
    }  # fmt: skip
    for number, labels in enumerate(unseen["rivals"], 1):
        with (external("lists") / f"k600_160_classes_split{number}.csv").open(newline="") as file:
            assert {same_name(row["name"]) for row in csv.DictReader(file)} == set(map(same_name, labels))
    union = {label for lists in unseen["rivals"] for label in lists}
    assert set(unseen["paper"][0]) - union == {"making horseshoes", "pillow fight", "spelunking"}
    assert union <= set(unseen["paper"][0])
    assert unseen_classes("ucf101", ["a", "B"], ["b"]) == {"names": [["a"]]}
    assert "rivals" not in unseen_classes("kinetics600", listed[:100], trained)
