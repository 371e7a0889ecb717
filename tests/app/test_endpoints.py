"""The public endpoints through gradio_client."""

import json
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app.services import Services
from ezclip.cli import main
from ezclip.studies import STUDIES
from tests.conftest import assert_same
from tests.towers import towers

# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def test_the_endpoints_are_named(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    former = {"/probe", "/damage", "/scan", "/project", "/compare", "/compare_tables"}
    assert set(named) == {f"/{verb}" for verb in STUDIES} | former | {"/shipped", "/models"}
    parameters = {name: [p["parameter_name"] for p in e["parameters"]] for name, e in named.items()}
    assert parameters["/predict"][:5] == ["clip", "labels", "model", "texts", "sentences"]
    assert parameters["/explain"][:6] == ["clip", "labels", "model", "baseline", "label", "method"]


def test_predict(client: Client, avi: Path) -> None:
    answer = client.predict(handle_file(avi), "pushing something, lifting something", api_name="/predict")
    assert answer["clip"] == "grey.avi" and answer["model"] == "tabletop/ezclip"
    assert len(answer["frames"]) == 8 and len(answer["predictions"]) == 2
    by_default = client.predict(handle_file(avi), api_name="/predict")
    assert len(by_default["predictions"]) == 31


def test_explain(client: Client, movie: Path) -> None:
    answer, files = client.predict(handle_file(movie), "a, b", label="b", faithfulness=True, api_name="/explain")
    assert set(answer["faithfulness"]) == {"tabletop/base", "tabletop/ezclip"}
    assert answer["label"] == "b" and answer["baseline"] == "tabletop/base"
    expected = {"strip.png", "influence.png", "maps.npz", "proof.csv", "proof.json"}
    assert set(answer["files"].values()) == {Path(f).name for f in files} == expected


def test_analyse_gives_everything(client: Client, movie: Path) -> None:
    answer, files = client.predict(
        handle_file(movie), "a, b", target="b", texts="names", sentences={"a": "An a."}, further="tabletop/motion",
        faithfulness=True, api_name="/analyse",
    )  # fmt: skip
    assert list(answer["models"]) == ["tabletop/base", "tabletop/ezclip", "tabletop/motion"]
    assert answer["target"] == "b" and [near["label"] for near in answer["nearest"]] == ["a"]
    assert all(proof["deletion"] is not None for proof in answer["proof"])
    expected = {"report.html", "strip.svg", "to_prompt.png", "ranking.svg", "maps.npz", "overlay.mp4", "sentences.csv"}
    assert expected <= {Path(f).name for f in files}
    with pytest.raises(AppError, match="Unknown texts 'poems'"):
        client.predict(handle_file(movie), "a, b", texts="poems", api_name="/analyse")


def test_motion(client: Client, movie: Path) -> None:
    for name in ("/motion", "/probe"):
        answer = client.predict(handle_file(movie), "a, b", api_name=name)
        assert set(answer["models"]) == {"tabletop/base", "tabletop/ezclip"}


def test_frames(client: Client, movie: Path, avi: Path) -> None:
    answer = client.predict([handle_file(movie), handle_file(avi)], projection="PCA", api_name="/frames")
    assert len(answer["points"]) == 32 and answer["models"] == ["tabletop/prompts", "tabletop/ezclip"]


def test_timeline(client: Client, movie: Path) -> None:
    answer = client.predict(handle_file(movie), "a, b", seconds=1, step=0.5, api_name="/timeline")
    assert len(answer["windows"]) == 4
    both = client.predict(handle_file(movie), "a, b", baseline="tabletop/base", top_k=1, api_name="/timeline")
    assert {name: len(rows) for name, rows in both["windows"][0]["predictions"].items()} == {
        "tabletop/base": 1, "tabletop/ezclip": 1,
    }  # fmt: skip


def test_corruption(client: Client, movie: Path) -> None:
    answer = client.predict(handle_file(movie), "a, b", darkness=0.5, api_name="/corruption")
    assert answer["damage"]["darkness"] == 0.5 and set(answer["models"]) == {"tabletop/base", "tabletop/ezclip"}


def test_evaluate(client: Client, movie: Path, avi: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as packed:
        packed.write(movie, "one/1.mp4")
        packed.write(avi, "two/1.avi")
    answer = client.predict(handle_file(tmp_path / "clips.zip"), api_name="/compare")
    assert answer["comparison"]["models"] == ["tabletop/base", "tabletop/ezclip"] and answer["n"] == 2
    assert {clip["label"] for clip in answer["class_map"]["clips"]} == {"one", "two"}
    alone = client.predict(handle_file(tmp_path / "clips.zip"), model="tabletop/base", api_name="/evaluate")
    assert alone["model"] == "tabletop/base" and "comparison" not in alone


def test_classes(client: Client, tmp_path: Path) -> None:
    for name, right in (("first", 0.2), ("second", 0.9)):
        (tmp_path / f"{name}.csv").write_text(f"path,label,prediction,a,b\nx/1.mp4,a,a,{right},0.5\n")
    tables = [handle_file(tmp_path / f"{name}.csv") for name in ("first", "second")]
    for name in ("/classes", "/compare_tables"):
        comparison = client.predict(*tables, api_name=name)["comparison"]
        assert comparison["models"] == ["first table", "second table"] and comparison["fixed"] == [["a", "b", 1]]
    alone = client.predict(tables[0], None, api_name="/classes")
    assert alone["top1"] == 0 and "comparison" not in alone


def test_what_is_known_and_shipped(client: Client) -> None:
    cards = {card["name"]: card for card in client.predict(api_name="/models")}
    model_card = cards["tabletop/ezclip"]
    assert model_card["T"] == 8 and model_card["adapter"]["bytes"] < model_card["backbone"]["bytes"]
    assert set(model_card["measured"]["families"]) >= {"night", "crowd"}
    shipped = client.predict(api_name="/shipped")
    assert shipped["comparison"]["models"] == ["base", "ezclip"]
    assert shipped["top1"] == pytest.approx(model_card["measured"]["test"]["top1"], abs=1e-6)
    assert shipped["within_pairs"] == pytest.approx(model_card["measured"]["test"]["within_pairs"], abs=1e-6)
    with pytest.raises(AppError, match="'x'"):
        client.predict("x", api_name="/shipped")


def test_newest_frames(client: Client, tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (64, 48), (80 * i, 90, 90)).save(tmp_path / f"{i}.png")
    frames = [handle_file(tmp_path / f"{i}.png") for i in range(3)]
    answer = client.predict(frames, "a, b", sentences={"a": "An a."}, api_name="/live")
    assert list(answer["models"]) == ["tabletop/base", "tabletop/ezclip"]
    assert len(answer["models"]["tabletop/base"]) == 2
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(AppError, match=r"text\.png cannot be read as an image"):
        client.predict([handle_file(tmp_path / "text.png")], "a, b", api_name="/live")
    (tmp_path / "film.mp4").write_text("hello")
    with pytest.raises(AppError, match="not a picture"):
        client.predict([handle_file(tmp_path / "film.mp4")], "a, b", api_name="/live")


TEXTS = ("--texts", "a video of {}")
COMMANDS = {
    "/corruption": ("corruption", {"darkness": 0.5, "noise": 0.2}, ("--darkness", "0.5", "--noise", "0.2")),
    "/predict": ("predict", {"model": "tabletop/prompts"}, ("--model", "tabletop/prompts", "--top-k", "2")),
    "/motion": ("motion", {}, ()),
    "/timeline": (
        "timeline",
        {"seconds": 1, "step": 0.5, "baseline": "tabletop/base"},
        ("--seconds", "1", "--step", "0.5", "--baseline", "tabletop/base"),
    ),
}


@pytest.mark.parametrize("endpoint", COMMANDS)
def test_commands_and_endpoints_give_the_same_numbers(
    client: Client, clips: Path, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, arguments, flags = COMMANDS[endpoint]
    clip = clips / "arm_wrestling.mp4"
    inputs = {"texts": TEXTS[1], "sentences": {}, **arguments}
    answer = client.predict(handle_file(clip), "arm wrestling, cooking", api_name=endpoint, **inputs)
    shared = ("--labels", "arm wrestling, cooking", *TEXTS, "--device", "cpu", "--json")
    assert main([verb, str(clip), *shared, *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert_same(answer, printed)


def test_classes_by_command_and_endpoint(
    client: Client, movie: Path, avi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, clip in (("one", movie), ("two", avi)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        (tmp_path / "clips" / label / clip.name).write_bytes(clip.read_bytes())
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as packed:
        for path in sorted((tmp_path / "clips").rglob("*.*")):
            packed.write(path, path.relative_to(tmp_path / "clips"))
    answer = client.predict(handle_file(tmp_path / "clips.zip"), texts="names", api_name="/compare")
    folder = str(tmp_path / "clips")
    flags = ("--baseline", "tabletop/base", "--texts", "names", "--device", "cpu", "--json")
    assert main(["evaluate", "--data", folder, *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    for document in (answer, printed):
        document["class_map"].pop("clips")  # coordinates of a projection are not comparable
    assert_same(answer, printed)


def test_real_clips(client: Client, clips: Path) -> None:
    for path in sorted(clips.iterdir())[::2]:
        inputs = (handle_file(path), "arm wrestling, make-up")
        answer = client.predict(*inputs, api_name="/predict")
        assert answer["clip"] == path.name
        repeated, files = client.predict(*inputs, api_name="/analyse")
        assert_same(repeated["models"]["tabletop/ezclip"]["predictions"], answer["predictions"])
        assert [frame["index"] for frame in repeated["frames"]] == [frame["index"] for frame in answer["frames"]]
        assert "report.html" in {Path(file).name for file in files}
        plain = client.predict(*inputs, api_name="/motion")["models"]["tabletop/ezclip"][0]
        assert plain["variation"] == "as it is" and plain["answer"] == answer["predictions"][0]["label"]
        assert plain["score"] == pytest.approx(answer["predictions"][0]["score"], abs=1e-4)
        assert client.predict(*inputs, seconds=4, step=4, api_name="/timeline")["windows"]


@pytest.mark.parametrize(
    ("labels", "arguments", "sentence"),
    [
        (",", {}, "No class name"),
        ("a", {"model": "best"}, "There is no model 'best'"),
        ("\n".join(map(str, range(10_000))), {}, "at most 2,000"),
    ],
)
def test_user_errors_are_sentences(client: Client, movie: Path, labels: str, arguments: dict, sentence: str) -> None:
    with pytest.raises(AppError, match=sentence) as caught:
        client.predict(handle_file(movie), labels, api_name="/predict", **arguments)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["/predict", "/analyse", "/motion", "/timeline", "/corruption", "/explain"])
def test_nothing_of_a_model_that_is_not_offered_is_looked_at(
    client: Client, services: Services, movie: Path, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "local", False)  # as on a public server
    (tmp_path / "config.json").write_text('{"schema": "a secret", "labels": ["x", "y"]}')
    with pytest.raises(AppError, match="There is no model .* here") as caught:
        client.predict(handle_file(movie), model=str(tmp_path), api_name=endpoint)
    assert "secret" not in str(caught.value)


def test_null_stands_for_the_default(client: Client, movie: Path) -> None:
    nothing = dict.fromkeys(("labels", "model", "texts", "sentences"))
    answer = client.predict(handle_file(movie), **nothing, api_name="/predict")
    assert answer["model"] == "tabletop/ezclip" and len(answer["predictions"]) == 31
    with pytest.raises(AppError, match="opacity is 5"):
        client.predict(handle_file(movie), "a, b", opacity=5, api_name="/analyse")


def test_what_is_no_video_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(AppError, match=r"text\.mp4 cannot be read as a video"):
        client.predict(handle_file(tmp_path / "text.mp4"), "a", api_name="/predict")
    with pytest.raises(AppError, match="no method 'magic'"):
        client.predict(handle_file(tmp_path / "text.mp4"), "a", method="magic", api_name="/explain")


@pytest.mark.parametrize("kind", ["siglip", "pe"])
def test_models_of_open_clip(client: Client, movie: Path, avi: Path, tmp_path: Path, kind: str) -> None:
    """Ranked, tested for motion, analysed with the reason for an absent map, and compared class by class."""
    name = towers(tmp_path)[kind]
    assert client.predict(handle_file(movie), "waving, lifting", model=name, api_name="/predict")["model"] == name
    document = client.predict(handle_file(movie), "waving, lifting", model=name, api_name="/motion")
    assert "does not see the order of the frames, whatever the clip" in " ".join(document["verdicts"])
    answer, _ = client.predict(handle_file(movie), "waving, lifting", model=name, method="legrad", api_name="/analyse")
    assert any("LeGrad" in warning and "is not available for this model" in warning for warning in answer["warnings"])
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as packed:
        packed.write(movie, "waving/1.mp4")
        packed.write(avi, "lifting/1.avi")
    document = client.predict(handle_file(tmp_path / "clips.zip"), model=name, api_name="/compare")
    assert document["comparison"]["models"] == ["tabletop/base", name]
