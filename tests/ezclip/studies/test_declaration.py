"""What a study declares: its command with companion files, its models, values, and validation."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from ezclip.checkpoints.identity import Identity
from ezclip.errors import LabelError, UserError, VideoError
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.classes import Classes, ClassStudy, Evaluate
from ezclip.studies.collection.search import Search
from ezclip.studies.declaration import NO_CLIP, Study
from ezclip.studies.frames import CompareFrames
from ezclip.studies.host import Host
from ezclip.studies.live import ScoreLive
from ezclip.text.labels import label_set


@pytest.mark.parametrize(
    ("study", "command"),
    [
        (Analyse(), "analyse --out analyse"),
        (Analyse("/videos/a b.mp4"), "analyse 'a b.mp4' --out analyse"),
        (
            Analyse(
                "a.mp4",
                "waving, clapping",
                model="tabletop/motion",
                baseline="",
                sentences={"waving": "A hand."},
                further=("tabletop/base", "tabletop/prompts"),
                opacity=0.25,
                difference=True,
            ),
            "analyse a.mp4 --labels-file names.txt --model tabletop/motion --baseline= --sentences sentences.csv "
            "--further tabletop/base tabletop/prompts --opacity 0.25 --difference --out analyse",
        ),
        (Analyse(target="-x", texts="a video of {}"), "analyse --texts 'a video of {}' --target=-x --out analyse"),
        (CompareFrames(("x/a.mp4", "y/b.mp4")), "frames a.mp4 b.mp4 --out frames"),
        (Evaluate("/data/clips.zip", max_broken=0.5), "evaluate --data clips --max-broken 0.5 --out evaluate"),
        (Evaluate("/data/v1.5", order=True), "evaluate --data v1.5 --order --out evaluate"),
        (Classes("base", "x/predictions.csv"), "classes base predictions.csv --out classes"),
        (
            Search("/videos/my.index", "it's pushed", opposite="pulled", top=5, shortest=2.0),
            """search my.index 'it'"'"'s pushed' --not pulled --top 5 --shortest 2 --out search""",
        ),
        (ScoreLive(("x/-a.mp4",), seconds=1234567.25 / 2**20), "live --seconds 1.17737507820129 --out live -- -a.mp4"),
    ],
    ids=lambda value: getattr(value, "verb", ""),
)
def test_the_command_by_hand(study: Study, command: str) -> None:
    assert study.command() == f"python -m ezclip {command}"


def test_files_that_the_command_reads() -> None:
    sentences = {"clapping": 'Hands, "clapping"', "=waving": "+1 hand"}
    assert Analyse("a.mp4", " waving , clapping,waving", sentences=sentences).companions() == {
        "names.txt": "waving\nclapping\n",
        "sentences.csv": 'number,class,description\r\n0,clapping,"Hands, ""clapping"""\r\n1,\'=waving,\'+1 hand\r\n',
    }
    assert Analyse("a.mp4").companions() == Classes("base").companions() == {}
    lines = Analyse(labels="set:tabletop").companions()["names.txt"].splitlines()
    assert lines == label_set("tabletop") and len(lines) == 31


@pytest.mark.parametrize(
    ("study", "models"),
    [
        (Analyse(baseline="b", model="m", further=("x", "b", "m", "y", "x")), ["b", "m", "x", "y"]),
        (Analyse(baseline="", model="m"), ["m"]),
        (Analyse(baseline="m", model="m"), ["m"]),
        (Classes("base", "ezclip"), []),
    ],
)
def test_each_model_is_named_once_and_the_baseline_first(study: Study, models: list[str]) -> None:
    assert study.models() == models


def test_the_same_study_with_other_values() -> None:
    study = Analyse("a.mp4", "waving", "tabletop/motion", opacity=0.25)
    other = study.replace(baseline="", discard=0.5, further=("x",))
    assert (other.clip, other.labels, other.opacity) == ("a.mp4", "waving", 0.25), "the rest is kept"
    assert (other.baseline, other.further, other.model) == ("", ("x",), "tabletop/motion")
    assert (other.settings.discard, other.settings.fusion, other["discard"]) == (0.5, "mean", 0.5)
    assert (study["discard"], study["further"]) == (0, ()) and type(other) is Analyse and study.replace() == study
    with pytest.raises(FrozenInstanceError):
        study.opacity = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"opacity": 2}, "opacity is 2; it must be between 0 and 1."),
        ({"discard": -0.5}, "discard is -0.5; it must be between 0 and 0.9."),
        ({"start_layer": -1}, "start_layer is -1; it must be at least 0."),
        ({"fusion": "sum"}, "There is no fusion 'sum'; choose one of mean, max, min."),
        ({"clip": 3}, "clip is 3; it must be a text."),
        ({"sentences": {"waving": 3}}, "sentences is {'waving': 3}; it must map class names to sentences."),
        ({"labels": ", ."}, "No class names given; enter one or more, separated by commas or one per line."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_out_of_range_is_refused_in_one_sentence(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        Analyse("a.mp4").replace(**values)
    assert str(error.value) == told


def test_texts_and_sets_that_do_not_exist_are_refused() -> None:
    with pytest.raises(LabelError):
        Analyse(texts="no braces")
    with pytest.raises(LabelError):
        Analyse(labels="set:none")


def test_class_names_are_those_given_then_the_models_then_tabletops() -> None:
    trained = Identity("m", labels=("one", "two"))
    assert Analyse(labels="x, y, X").class_names(trained) == (
        ["x", "y"],
        ["1 duplicate class names were merged, first 'X'."],
    )
    assert Analyse(labels=" ").class_names(trained) == (["one", "two"], [])
    assert Analyse().class_names(Identity("clip")) == (label_set("tabletop"), [])
    assert Analyse(labels="set: tabletop").user_labels() == (label_set("tabletop"), [])


def test_what_cannot_run_says_so() -> None:
    class Silent(Study):
        """A study without a run."""

    with pytest.raises(VideoError) as error:
        finish(Analyse().prepare(Host("cpu")))
    assert str(error.value) == NO_CLIP
    with pytest.raises(UserError, match="Silent cannot run"):
        Silent.run(Silent.__new__(Silent), Host("cpu"))


def test_a_result_has_the_names_of_its_models_and_the_command_of_its_study() -> None:
    identities = [Identity("base"), Identity("tabletop/ezclip")]
    result = ClassStudy(Classes("a.csv", "b.csv"), identities, [])
    assert result.models == ["base", "tabletop/ezclip"] and result.best(1) is result
    report = result._report("title", "lead", [], {"n": 1}, clip="c.mp4")
    assert (report.title, report.lead, report.data) == ("title", "lead", {"n": 1})
    assert (report.provenance["clip"], report.provenance["command"]) == (
        "c.mp4",
        "python -m ezclip classes a.csv b.csv --out classes",
    )
    assert "command" not in ClassStudy(None, identities, [])._report("t", "l", [], {}).provenance
    assert ScoreLive(("camera:0",)).command() == "python -m ezclip live camera:0 --out live"
