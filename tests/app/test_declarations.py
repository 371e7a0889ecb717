"""Every study is declared once: its fields are CLI options, endpoint parameters and controls of the page."""

import dataclasses
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import gradio as gr
import numpy as np
import pytest
import tyro

from app.controls import control, find
from app.endpoints import endpoint
from app.services import Services
from ezclip.cli import main
from ezclip.cli._studies import command_of
from ezclip.errors import UserError
from ezclip.explanation import methods
from ezclip.explanation.methods import Method
from ezclip.figures.report import Report
from ezclip.parameters import Parameter, build, parameters_of, values_of
from ezclip.progress import Progress, Steps, finish
from ezclip.studies import STUDIES, all_studies, study_of
from ezclip.studies.analysis import Analyse
from ezclip.studies.declaration import ClipFile, Result, Study
from ezclip.studies.host import Host
from ezclip.types import Document

OF_THE_COMMAND = {"labels_file", "label_set", "top_k", "batch_size", "workers", "out", "device", "json"}
FIRST = ["clip", "clips", "frames", "data", "first", "second", "labels", "model", "baseline", "texts", "sentences"]


@pytest.mark.parametrize("study", all_studies(), ids=STUDIES)
def test_fields_are_options_and_endpoint_parameters(services: Services, study: type[Study]) -> None:
    parameters = parameters_of(study)
    names = [one.name for one in parameters]
    options = {field.name: field for field in dataclasses.fields(command_of(study))}
    assert set(options) - (OF_THE_COMMAND - set(names)) == set(names)
    call, inputs = endpoint(services, study)
    assert list(inspect.signature(call).parameters) == names
    for one, component in zip(parameters, inputs, strict=True):
        kind = one.parameter.kind
        if (
            kind not in ("clip", "clips", "stream", "archive", "table", "sentences", "models", "index", "example")
            and one.name != "figure"
        ):
            assert options[one.name].default == one.default == component.value, one.name
        assert one.parameter.help.endswith(".")
    assert [n for n in names if n in FIRST] == sorted((n for n in names if n in FIRST), key=FIRST.index)


LIMITED = [
    (study, one.name, one.parameter.high + 1 if one.parameter.high is not None else one.parameter.low - 1)
    for study in all_studies()
    for one in parameters_of(study)
    if one.parameter.low is not None
] + [(study, one.name, "nonsense") for study in all_studies() for one in parameters_of(study) if one.parameter.allowed]


@pytest.mark.parametrize(("study", "name", "wrong"), LIMITED, ids=lambda v: getattr(v, "verb", str(v)))
def test_a_wrong_value_gets_one_sentence_everywhere(
    services: Services, study: type[Study], name: str, wrong: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    with pytest.raises(UserError) as declared_error:
        build(study, {name: wrong})
    call, _ = endpoint(services, study)
    with pytest.raises(gr.Error) as endpoint_error:
        call(*(wrong if one.name == name and one.parameter.kind != "archive" else None for one in parameters_of(study)))
    if find(study, name).name != "data" and study.verb != "evaluate":
        assert str(endpoint_error.value.message) == str(declared_error.value)
    files = {"clip": [str(tmp_path / "clip.mp4")], "frames": ["camera:0"], "index": [str(tmp_path)], "figure": ["4"]}
    clips = next((files[key] for key in files if key in {one.name for one in parameters_of(study)}), [])
    labels = ["--labels", "a, b"] if study.needs_labels else []
    labels += ["--data", str(tmp_path)] if study.verb == "evaluate" else []
    options = [wrong] if name == "figure" else [*clips, *labels, f"--{name.replace('_', '-')}={wrong}"]
    assert main([study.verb, *options]) == 2
    assert capsys.readouterr().err.strip() == str(declared_error.value)


def test_controls_have_the_declared_limits() -> None:
    with gr.Blocks():
        slider = control(Analyse, "discard")
        one = find(Analyse, "discard")
        assert (slider.minimum, slider.maximum, slider.value) == (one.parameter.low, one.parameter.high, one.default)
        assert control(Analyse, "fusion").value == "mean" and control(Analyse, "difference").value is False
        assert [choice for _, choice in control(Analyse, "method").choices] == list(methods.METHODS)


@pytest.mark.parametrize("study", all_studies(), ids=STUDIES)
def test_the_command_has_the_values_that_differ_and_builds_the_same(study: type[Study]) -> None:
    chosen: dict[str, Any] = {}
    for one in parameters_of(study):
        if one.parameter.kind == "clip":
            chosen[one.name] = "a b.mp4"
        elif one.parameter.kind in ("clips", "stream"):
            chosen[one.name] = ("a.mp4",)
        elif one.parameter.kind in ("table", "archive", "index", "query"):
            chosen[one.name] = one.parameter.allowed[-1] if one.parameter.allowed else "name"
        elif one.parameter.high is not None:
            chosen[one.name] = type(one.default)(one.parameter.high)
    built = build(study, chosen)
    words = built.command().split(" ")
    assert words[:4] == ["python", "-m", "ezclip", study.verb]
    changed = {f"--{n.replace('_', '-')}" for n, v in chosen.items() if v != find(study, n).default}
    positional = {"--clip", "--clips", "--frames", "--first", "--second", "--index", "--text", "--figure"}
    assert {word for word in words if word.startswith("--")} == (changed - positional) | {"--out"}
    import shlex

    parsed = tyro.cli(command_of(study), args=shlex.split(built.command())[4:])
    for one in parameters_of(study):
        if one.parameter.kind not in ("clip", "clips", "stream", "labels", "sentences"):
            assert getattr(parsed, one.name) == values_of(built)[one.name], one.name


def test_every_study_is_listed() -> None:
    assert [study.verb for study in all_studies()] == list(STUDIES)


@dataclass(frozen=True, eq=False)
class Length(Result):
    """The number of characters of a clip's name."""

    study: "Count"
    letters: int

    def as_json(self) -> Document:
        return {"letters": self.letters}

    def text(self) -> str:
        return f"{self.letters} letters"

    def report(self) -> Report:
        raise AssertionError("not asked for")


@dataclass(frozen=True)
class Count(Study):
    """Count the letters of a file name."""

    verb: ClassVar[str] = "count"
    clip: ClipFile = ""
    factor: Annotated[int, Parameter("Multiplies the count.", low=1, high=5)] = 1

    def run(self, host: Host) -> Steps[Length]:
        yield Progress(0.5, "counting")
        return Length(self, self.factor * len(Path(self.clip).name))


def test_a_new_study_is_one_file_and_one_line(
    services: Services, movie: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(STUDIES, "count", (f"{__name__}:Count", "count letters"))
    assert main(["count", str(movie), "--factor", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"letters": 16}
    call, _ = endpoint(services, Count)
    assert call(str(movie), 3) == {"letters": 24}
    with gr.Blocks():
        assert (control(Count, "factor").maximum, control(Count, "factor").value) == (5, 1)


@pytest.mark.slow
def test_a_new_method_is_one_function_and_one_line(
    services: Services, movie: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from app.main import build_app
    from ezclip.explanation.maps import Inputs, Map

    def even(inputs: Inputs) -> Map:
        T, N = inputs.pixels.shape[1], inputs.model.vision.grid**2
        return Map(inputs.pixels.new_ones(T, N))

    monkeypatch.setitem(methods.METHODS, "even", Method(even, "Even", "is the same everywhere"))
    analysis = finish(Analyse(str(movie), "a, b", method="even").run(services))
    assert np.ptp(analysis.model.attribution.heat) == 0
    assert main(["explain", str(movie), "--method", "even", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "even"
    call, _ = endpoint(services, study_of("explain"))
    values = {"clip": str(movie), "labels": "a, b", "method": "even"}
    answer, _ = call(*(values.get(one.name) for one in parameters_of(study_of("explain"))))
    assert answer["method"] == "even"
    page = build_app(services).get_config_file()
    boxes = [c["props"] for c in page["components"] if c["props"].get("elem_id") == "method"]
    assert ("Even", "even") in [tuple(choice) for choice in boxes[0]["choices"]]
