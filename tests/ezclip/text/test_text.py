"""Class names, templates, descriptions and tokens."""

from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ezclip.checkpoints.identity import Identity
from ezclip.errors import LabelError
from ezclip.text.labels import check_labels, label_set, label_sets, parse_labels, read_labels_file
from ezclip.text.templates import (
    TEMPLATES,
    describe,
    description_sets,
    descriptions,
    fill,
    in_words_of_training,
    paraphrases,
    read_descriptions,
    sentences,
    varied_texts,
)
from ezclip.text.tokens import tokenize
from ezclip.training.batches import class_sentences
from tests.conftest import external


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ('"lifting, then dropping", pushing', ["lifting, then dropping", "pushing"]),
        ("lifting, then dropping\npushing\n\n", ["lifting, then dropping", "pushing"]),
        ("  one  ", ["one"]),
        ("waving\n,,,\nclapping,\n- ;", ["waving", "clapping"]),
        ("Run, run, RUN, walk", ["Run", "walk"]),
        ("跑步, 🏃, مشي", ["跑步", "🏃", "مشي"]),
    ],
)
def test_parsing(text: str, labels: list[str]) -> None:
    assert parse_labels(text)[0] == labels


def test_warnings_and_limits() -> None:
    assert "2 duplicate class names were merged, first 'run'" in parse_labels("Run, run, RUN")[1][0]
    with pytest.raises(LabelError, match="No class name"):
        parse_labels(" , ,\n")
    with pytest.raises(LabelError, match=r"10,000 class names were given; at most 2,000"):
        check_labels([str(i) for i in range(10_000)])
    with pytest.raises(LabelError, match="at most 1,000"):
        parse_labels("x" * 1001)


@given(st.text(max_size=200))
def test_any_text_gives_labels_or_a_sentence(text: str) -> None:
    try:
        labels, _ = parse_labels(text)
    except LabelError as error:
        assert len(str(error)) > 10
    else:
        assert labels and len({label.casefold() for label in labels}) == len(labels)
        assert all(label.strip() == label != "" for label in labels)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('id,name\n0,ApplyEyeMakeup\n1,"Lifting, then dropping"\n')
    assert read_labels_file(tmp_path / "list.csv")[0] == ["ApplyEyeMakeup", "Lifting, then dropping"]
    (tmp_path / "list.txt").write_text("lifting, then dropping\npushing\n")
    assert read_labels_file(tmp_path / "list.txt")[0] == ["lifting, then dropping", "pushing"]
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(LabelError, match="not a text file"):
        read_labels_file(tmp_path / "binary.txt")


def test_sets_that_ship() -> None:
    sizes = {name: len(label_set(name)) for name in label_sets()}
    assert sizes == {
        "hmdb51": 51, "kinetics400": 400, "kinetics400_temporal": 32, "kinetics600_unseen": 231, "ssv2": 174,
        "ssv2_temporal": 18, "tabletop": 31, "ucf101": 101,
    }  # fmt: skip
    assert "Apply Eye Makeup" in label_set("ucf101")
    with pytest.raises(LabelError, match="choose one of hmdb51"):
        label_set("imagenet")


def test_templates() -> None:
    assert len(TEMPLATES) == 16
    assert fill("brush_hair", ("A video of {}", "{}")) == ["A video of brush hair", "brush hair"]


def test_descriptions_in_the_release_format(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text('SNo,Class Name,GPT3 discription\n1,brush hair,"\n\nSomeone draws a brush\nthrough hair."\n')
    assert read_descriptions(path) == {"brush hair": "Someone draws a brush through hair."}
    assert describe(["Brush_Hair"], read_descriptions(path)) == ["Someone draws a brush through hair."]
    with pytest.raises(LabelError, match="first 'run'"):
        describe(["run"], read_descriptions(path))
    path.write_text("SNo,Class Name,GPT3 discription\n1,brush hair\n")
    with pytest.raises(LabelError, match="row 2"):
        read_descriptions(path)


def test_the_release_file() -> None:
    descriptions = read_descriptions(external("lists/ezclip_hmdb_descriptions.csv"))
    assert len(descriptions) == 51
    assert all("\n" not in text and text for text in descriptions.values())


def test_tokens_equal_open_clips() -> None:
    sentences = ["a red mug", "Pushing something from left to right", "x" * 10, "don't — stop! 3.5"]
    ids, cut = tokenize(sentences)
    assert torch.equal(ids, open_clip.get_tokenizer("ViT-B-16")(sentences))
    assert cut == []


def test_texts_over_77_tokens_are_cut_and_named() -> None:
    long = "word " * 100
    ids, cut = tokenize(["short", long])
    assert cut == [long]
    assert ids[1, -1].item() == ids.max().item() == 49407
    assert (ids[1] != 0).all()


@pytest.mark.parametrize("name", description_sets())
def test_descriptions_that_ship(name: str) -> None:
    """Every class has a description of 25 to 45 words, and none is cut at 77 tokens."""
    texts = descriptions(name)
    assert list(texts) == label_set(name)
    assert len(set(texts.values())) == len(texts)
    assert all(25 <= len(text.split()) <= 45 for text in texts.values())
    tokens, cut = tokenize(list(texts.values()))
    assert not cut and int((tokens != 0).sum(dim=1).max()) <= 77


def test_descriptions_by_name_or_file() -> None:
    assert set(description_sets()) == {"hmdb51", "kinetics400", "kinetics600_unseen", "ssv2", "tabletop", "ucf101"}
    with pytest.raises(LabelError, match="one of hmdb51"):
        descriptions("dinner")


@pytest.mark.parametrize("name", description_sets())
def test_the_classes_of_a_set_have_its_own_descriptions(name: str) -> None:
    """Kinetics-400 and UCF share 22 classes, such as javelin throw, with different descriptions."""
    own = descriptions(name)
    for labels in (list(own), list(own)[::2], list(own)[1::2]):  # all classes, and halves as in base-to-novel
        expected = [[own[label]] for label in labels]
        assert list(sentences(labels, "descriptions", "names").values()) == expected
        assert class_sentences("shipped", labels) == expected


def test_kinds_of_sentences() -> None:
    labels = ["Biking", "something of mine"]
    assert sentences(labels, "trained", "names") == {label: [label] for label in labels}
    assert len(sentences(labels, "templates", "names")["Biking"]) == 16
    described = sentences(labels, "trained", "descriptions")
    assert described["Biking"][0].startswith("A person sits on a bicycle") and described[labels[1]] == [labels[1]]


def test_every_class_of_tabletop_has_paraphrases() -> None:
    """Three, two concrete ones and a crowd's for training, two held out; no text appears twice, so twins differ."""
    by_class = paraphrases()
    assert list(by_class) == [label.replace(" ", "").casefold() for label in label_set("tabletop")]
    counts = {"paraphrase": 3, "concrete": 2, "held out": 2}
    for texts in by_class.values():
        assert {kind: len(of_kind) for kind, of_kind in texts.items() if kind != "crowd"} == counts
        assert 115 <= len(texts["crowd"]) <= 120
    every = [text for texts in by_class.values() for of_kind in texts.values() for text in of_kind]
    others = [*label_set("tabletop"), *descriptions("tabletop").values()]
    assert len({text.casefold() for text in every + others}) == len(every) + len(others)
    assert all(text == " ".join(text.split()) and 1 <= len(text.split()) <= 30 for text in every)
    assert "zoom in" in by_class["approachingsomethingwithyourcamera"]["concrete"]


def test_what_training_draws_is_not_what_tests_read() -> None:
    labels = label_set("tabletop")
    tested = sentences(labels, "paraphrases", "names")
    trained = {label: varied_texts(label) for label in labels}
    drawn = {text for texts in trained.values() for text in texts}
    assert drawn.isdisjoint(text for texts in tested.values() for text in texts)
    assert not any(held in text for texts in tested.values() for held in texts for text in drawn)
    texts = trained["Opening something"]
    assert texts[0] == "Opening something" and len(texts) == 6 * 240
    kinds = [set(texts[i::6]) for i in range(6)]
    assert [len(kind) for kind in kinds] == [1, 16, 3, 2, 119, 1]
    assert [texts.count(text) for text in ("something is opened", "a hand opens a box")] == [80, 120]
    assert sentences(["waving"], "paraphrases", "names") == {"waving": ["waving"] * 2}
    assert sentences(labels, "trained", "varied") == sentences(labels, "names", "names")
    with pytest.raises(LabelError, match="No paraphrases for 'waving'"):
        varied_texts("waving")


@pytest.mark.parametrize(
    ("text", "known"), [("zoom in", True), ("A mug slides to the right!", True), ("waving", False), ("a guitar", False)]
)
def test_words_of_training(text: str, known: bool) -> None:
    """One text, "playing guitar ...", is too few to know a guitar."""
    assert in_words_of_training(text) == known
    model = Identity("mine", text="varied", labels=("Opening something",))
    assert model.knows(text) == known and model.knows("Opening something")
    assert not replace(model, text="names").knows(text) and replace(model, labels=()).knows(text)
