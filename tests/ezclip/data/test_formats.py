"""Every listing format of the data sets: laid out as downloaded, checked, written and read again."""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ezclip.data.check import Finder, check, overlap, unpack
from ezclip.data.formats import Options, read_listing
from ezclip.data.manifest import labels_of, partners_of, read_rows, write_manifest
from ezclip.errors import ConfigError
from ezclip.progress import finish
from ezclip.text.labels import label_set, readable
from tests.conftest import external, write_video

EXPECTED = {"one.avi": "Apply Eye Makeup", "two.avi": "Apply Eye Makeup", "three.avi": "Tai Chi"}
Lay = Callable[[Path, Path], tuple[Path, Options]]  # (folder of lists, folder of videos by class) -> what is checked


def by_class(lists: Path, videos: Path) -> tuple[Path, Options]:
    return videos, Options()


def ucf(lists: Path, videos: Path) -> tuple[Path, Options]:
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 TaiChi\n")
    (lists / "trainlist01.txt").write_text("ApplyEyeMakeup/one.avi 1\nApplyEyeMakeup/two.avi 1\n")
    (lists / "testlist01.txt").write_text("TaiChi/three.avi\n")
    return lists, Options()


def hmdb(lists: Path, videos: Path) -> tuple[Path, Options]:
    (lists / "ApplyEyeMakeup_test_split1.txt").write_text("one.avi 1 \ntwo.avi 2 \nunused.avi 0 \n")
    (lists / "TaiChi_test_split1.txt").write_text("three.avi 1 \n")
    return lists, Options()


def release(lists: Path, videos: Path) -> tuple[Path, Options]:
    (lists / "classes.csv").write_text("id,name\n0,ApplyEyeMakeup\n7,TaiChi\n")
    elsewhere = "/media/other machine/UCF_101"  # with a space, and without suffixes
    rows = [f"{elsewhere}/one 24 0", f"{elsewhere}/two 24 0", f"{elsewhere}/three.avi 24 7"]
    (lists / "train.txt").write_text("\n".join(rows))
    return lists / "train.txt", Options(classes=lists / "classes.csv")


def kinetics(lists: Path, videos: Path) -> tuple[Path, Options]:
    with (lists / "validate.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
        for name, label in (("one", "ApplyEyeMakeup"), ("two", "ApplyEyeMakeup"), ("three", "TaiChi")):
            (videos / label / f"{name}.avi").rename(videos / label / f"{name}_000003_000013.mp4")
            writer.writerow([label, name, 3, 13, "validate"])
    return lists / "validate.csv", Options(subset="test")


def something(lists: Path, videos: Path) -> tuple[Path, Options]:
    rows = []
    for name, label in (("one", "ApplyEyeMakeup"), ("two", "ApplyEyeMakeup"), ("three", "TaiChi")):
        (videos / label / f"{name}.avi").rename(videos / f"{name}.webm")
        template = readable(label).replace("Eye", "[Eye]")
        rows.append({"id": name, "label": "applying", "template": template, "placeholders": []})
    (lists / "train.json").write_text(json.dumps(rows))
    return lists / "train.json", Options()


def manifest_csv(lists: Path, videos: Path) -> tuple[Path, Options]:
    rows = [f"{label.replace(' ', '')}/{name},{label}" for name, label in EXPECTED.items()]
    (lists / "own.csv").write_text("path,label\n" + "\n".join(rows))
    return lists / "own.csv", Options()


def manifest_jsonl(lists: Path, videos: Path) -> tuple[Path, Options]:
    rows = [{"path": f"{label.replace(' ', '')}/{name}", "label": label} for name, label in EXPECTED.items()]
    write_manifest(lists / "own.jsonl", rows)
    return lists / "own.jsonl", Options()


CHIRAL = (
    "verb_forward,verb_reverse,noun_abstract,triplet_id,id_forward,id_reverse,split\n"
    "Folding,Unfolding,\"['something']\",0a1b2c3d,11;12,13,validation\n"
    "Folding something,Unfolding something,\"['something']\",0a1b2c3e,12;14,15,validation\n"
    "Opening,Closing,\"['door']\",0a1b2c3f,16,17,train\n"
)


def test_groups_of_chirality_in_action(tmp_path: Path) -> None:
    path = tmp_path / "chiral_groups-ssv2-validation.csv"
    path.write_text(CHIRAL)
    listing = read_listing(path, Options(subset="test"))
    assert listing.form == "Chirality in Action CSV"
    assert listing.names == ["11", "12", "13", "14", "15"], "12 is in two groups of one class"
    assert listing.labels == ["Folding something"] * 2 + ["Unfolding something", "Folding something"] + [
        "Unfolding something"
    ]
    assert listing.extra == {
        "partner": [{"F": "Unfolding something", "U": "Folding something"}[x[0]] for x in listing.labels]
    }
    assert read_listing(path, Options(subset="train")).labels == ["Opening door", "Closing door"]
    (tmp_path / "12.webm").touch()
    checked = finish(check(listing, decode=False))
    assert [(row["label"], row["partner"]) for row in checked.rows] == [("Folding something", "Unfolding something")]


def test_captions_of_rtime(tmp_path: Path) -> None:
    def video(forward: str, reverse: str) -> dict[str, object]:
        return {"temporal": True, "forward_captions": [forward], "reverse_captions": [reverse], "url": ""}

    path = tmp_path / "test.json"
    path.write_text(json.dumps({"1": video("A door opens.", "A door closes."), "2": video("Same.", "same")}))
    listing = read_listing(path)
    assert (listing.form, listing.names) == ("RTime JSON", ["1", "1_reversed"])
    assert listing.labels == ["A door opens.", "A door closes."] == listing.extra["partner"][::-1]


def test_families_of_ucf101_ds(tmp_path: Path) -> None:
    path = tmp_path / "ucf101-DS_eval.csv"
    rows = ["BilliardsShot,a.mp4,1,night,style", "ApplyEyeMakeup,b.mp4,2,,scene"]
    path.write_text("label,filename,video_id,shift,category\n" + "\n".join(rows))
    listing = read_listing(path)
    assert listing.names == ["BilliardsShot/a.mp4", "ApplyEyeMakeup/b.mp4"]
    assert listing.labels == ["Billiards", "Apply Eye Makeup"] and set(listing.labels) <= set(label_set("ucf101"))
    assert listing.extra == {"partner": [None, None], "family": ["night", "scene"]}


def test_something_else_and_its_temporal_classes(tmp_path: Path) -> None:
    path = tmp_path / "validation.json"
    templates = ["Covering [something] with [something]", "Holding [something]"]
    rows = [{"id": str(i), "label": "", "template": text, "placeholders": []} for i, text in enumerate(templates)]
    path.write_text(json.dumps(rows))
    listing = read_listing(path)
    assert listing.labels == ["Covering something with something", "Holding something"]
    assert listing.only(label_set("ssv2_temporal")).names == ["0.webm"]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for i, (name, label) in enumerate(EXPECTED.items()):
        folder = tmp_path / "videos" / label.replace(" ", "")
        folder.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, count=10 + i, codec="mpeg4")
    return tmp_path / "videos"


@pytest.mark.parametrize("lay", [by_class, ucf, hmdb, release, kinetics, something, manifest_csv, manifest_jsonl])
@pytest.mark.parametrize("manifest", ["found.jsonl", "found.parquet"])
def test_every_form_round_trips(lay: Lay, manifest: str, videos: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    path, options = lay(lists, videos)
    checked = finish(check(read_listing(path, options), videos, decode=False))
    assert not checked.missing and not checked.broken
    checked.write(tmp_path / manifest)
    again = {row.path.stem.split("_")[0]: row.label for row in read_rows(tmp_path / manifest)}
    assert again == {Path(name).stem: label for name, label in EXPECTED.items()}
    assert all(row.path.is_file() for row in read_rows(tmp_path / manifest))
    assert labels_of(read_rows(tmp_path / manifest)) == ["Apply Eye Makeup", "Tai Chi"]


def test_parts_of_a_split(videos: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    ucf(lists, videos)
    assert read_listing(lists, Options(subset="test")).names == ["TaiChi/three.avi"]
    with pytest.raises(ConfigError, match="no class folders"):
        read_listing(lists, Options(split=2))
    for old in lists.iterdir():
        old.unlink()
    hmdb(lists, videos)
    assert read_listing(lists, Options(subset="test")).names == ["ApplyEyeMakeup/two.avi"]


def test_frames_and_shards(videos: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames" / "TaiChi" / "clip"
    frames.mkdir(parents=True)
    (frames / "img_00001.jpg").write_bytes(b"")
    listing = read_listing(tmp_path / "frames")
    assert (listing.form, listing.labels) == ("folder for each class, with frames", ["Tai Chi"])

    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "000.tar", "w") as shard:
        for i, (name, label) in enumerate(EXPECTED.items()):
            shard.add(videos / label.replace(" ", "") / name, f"{i}.avi")
            text = label.encode() if i else json.dumps({"label": label}).encode()
            member = tarfile.TarInfo(f"{i}.txt" if i else f"{i}.json")
            member.size = len(text)
            shard.addfile(member, io.BytesIO(text))
    listing = unpack(read_listing(shards), tmp_path / "out")
    checked = finish(check(listing, jobs=1))
    assert [row["label"] for row in checked.rows] == list(EXPECTED.values()) and not checked.broken

    with tarfile.open(shards / "000.tar", "w") as shard:
        shard.add(videos / "TaiChi" / "three.avi", "../../outside.avi")
        member = tarfile.TarInfo("../../outside.txt")
        member.size = 1
        shard.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ConfigError, match="no plain file"):
        unpack(read_listing(shards), tmp_path / "out")
    assert not (tmp_path / "outside.avi").exists()


def test_broken_and_missing_videos_are_named(videos: Path, tmp_path: Path) -> None:
    (videos / "TaiChi" / "bad.avi").write_text("no video")
    lists = tmp_path / "list.csv"
    lists.write_text("path,label\nTaiChi/three.avi,Tai Chi\nTaiChi/bad.avi,Tai Chi\nTaiChi/gone.avi,Tai Chi\n")
    checked = finish(check(read_listing(lists), videos, jobs=1))
    assert checked.missing == ["TaiChi/gone.avi"] and list(checked.broken) == ["TaiChi/bad.avi"]
    assert checked.counts == {"Tai Chi": 1}
    assert str(tmp_path) not in json.dumps(checked.broken)


def test_a_missing_video_is_not_replaced_by_its_namesake_of_another_class(videos: Path, tmp_path: Path) -> None:
    (videos / "clapping").mkdir()
    (videos / "TaiChi" / "three.avi").rename(videos / "clapping" / "1.avi")
    lists = tmp_path / "list.csv"
    lists.write_text("path,label\nwaving/1.avi,waving\nclapping/1.avi,clapping\n")
    checked = finish(check(read_listing(lists), videos, jobs=1))
    assert checked.missing == ["waving/1.avi"] and checked.counts == {"clapping": 1}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.txt", "x/y.avi 3 1\nx/y.avi 3\n", "line 2"),
        ("a.txt", "x/y.avi 3 9\n", "no class 9"),
        ("a.txt", "TaiChi/a.avi 1\na.avi 1\n", "line 2"),
        ("TaiChi_test_split1.txt", "a.avi 1\nb.avi 5\n", "line 2"),
        ("a.csv", "path,label\na.mp4,x\nb.mp4,\n", "line 3"),
        ("a.csv", "label,youtube_id,time_start,time_end\nx,abc,0,ten\n", "line 2"),
        ("a.csv", CHIRAL + "Lifting,,x,0a,18,19,train\n", "line 5"),
        ("a.csv", "label,filename,shift,category\nx,a.mp4,,\n,b.mp4,,\n", "line 3"),
        ("a.json", '{"1": {"forward_captions": ["a"], "reverse_captions": []}}', "line 1"),
        ("a.json", '[{"id": 1, "template": "x"}, {"id": 2}]', "entry 2"),
        ("a.jsonl", '{"path": "a", "label": "x"}\n{"path": "b"}\n', "line 2"),
        ("a.jsonl", '{"path": "a", "label": "x"}\nhello\n', "line 2"),
        ("a.xml", "<a/>", "unsupported format"),
    ],
)
def test_the_first_bad_line_is_named(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("id,name\n1,x\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_listing(tmp_path / name, Options(classes=tmp_path / "classes.csv"))


def test_names_are_found_below_another_root(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same name.avi").touch()
    finder = Finder(tmp_path)
    assert finder.find("/cluster/x/two/same name.avi") == tmp_path / "two" / "same name.avi"
    assert finder.find("C:\\data\\one\\same name.avi") == tmp_path / "one" / "same name.avi"
    assert finder.find("two/same name") == tmp_path / "two" / "same name.avi"
    assert finder.find("other.avi") is None


def test_a_long_manifest_is_held_in_columns(tmp_path: Path) -> None:
    count = 650_000
    with (tmp_path / "long.jsonl").open("w") as file:
        for i in range(count):
            file.write(f'{{"path": "class {i % 400}/video number {i}.mp4", "label": "class {i % 400}"}}\n')
    rows = read_rows(tmp_path / "long.jsonl")
    assert len(rows) == count and rows.table.nbytes < 100e6
    assert len(labels_of(rows)) == 400 and partners_of(rows) == {}
    assert rows[-1].label == "class 399" and rows[5:8][1].path.name == "video number 6.mp4"
    with pytest.raises(IndexError):
        rows[count]


def test_real_lists() -> None:
    data = external("lists").parent
    classes = data / "labels" / "ucf_labels.csv"
    listing = read_listing(data / "lists" / "ezclip_ucf_few_shot_2.txt", Options(classes=classes))
    assert len(listing.names) == 202 and len(set(listing.labels)) == 101
    for name, label in zip(listing.names, listing.labels, strict=True):
        assert label.replace(" ", "").casefold() in name.casefold().replace("_", "")
    listing = read_listing(
        data / "lists" / "ezclip_ssv2_few_shot_2.txt", Options(classes=data / "labels" / "something_something.csv")
    )
    assert len(set(listing.labels)) == 174
    shared = overlap(label_set("kinetics600_unseen"), label_set("kinetics400"))
    assert shared == []
    released = read_labels(data / "labels" / "kinetics_600_labels_exclusive.csv")
    assert overlap(released, label_set("kinetics400")) == ["passing american football (not in game)"]


def read_labels(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row["name"] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_check_on_the_command_line(videos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ezclip", "data", "check", str(videos), "--out", str(tmp_path / "m.jsonl")]
    process = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert process.returncode == 0, process.stderr
    assert "3 videos listed, 3 good, 2 classes" in process.stdout
    assert len(read_rows(tmp_path / "m.jsonl")) == 3
    process = subprocess.run([*command[:5], str(tmp_path / "none")], capture_output=True, text=True)
    assert process.returncode == 2 and "check the path" in process.stderr
