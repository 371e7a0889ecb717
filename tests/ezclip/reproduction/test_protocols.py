"""Protocols of the paper, on Tabletop videos in the folder layout and list format of UCF-101."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from pytest import CaptureFixture
from safetensors.torch import load_file

from ezclip.checkpoints.load import resolve_backbone
from ezclip.checkpoints.store import save_backbone
from ezclip.cli import main
from ezclip.config import TrainConfig, load_config
from ezclip.data.manifest import Row, labels_of, read_rows, write_manifest
from ezclip.data.tabletop.generate import synthesise
from ezclip.errors import CheckpointError, ConfigError
from ezclip.model.backbone import Backbone
from ezclip.progress import Steps, finish
from ezclip.reproduction import splits
from ezclip.reproduction.methods import COST_HEAD
from ezclip.reproduction.protocols import Run, Workspace, carry_out, protocols
from ezclip.reproduction.tables import (
    Cell,
    Statistics,
    TableOptions,
    cell_statistics,
    comparison_table,
    measure_costs,
    measured_table,
)
from ezclip.types import RIVALS
from tests.hosts import WEIGHTS, tiny_clip

ROOT = Path(__file__).parents[3]
PLAIN = Run("base_to_novel", "ucf101")
ZERO_SHOT = {  # lists that the protocol needs
    "kinetics400": ["train"],
    "hmdb51": ["test1", "test2", "test3"],
    "ucf101": ["test1", "test2", "test3"],
    "kinetics600": ["test"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, backbone: Backbone) -> Path:
    """A project folder with Tabletop as UCF-101: Class/v_Class_g01_c01.avi, trainlist01.txt, testlist01.txt."""
    home = tmp_path_factory.mktemp("protocols")
    shutil.copytree(ROOT / "configs", home / "configs")
    save_backbone(backbone, home / "tiny" / "backbone.safetensors")
    videos, lists = home / "UCF-101", home / "ucfTrainTestlist"
    lists.mkdir()
    classes: list[str] = []
    for split, count, name in (("train", 2, "trainlist01"), ("val", 1, "testlist01")):
        rows = read_rows(finish(synthesise(home / "drawn", clips_per_class=count, split=split, seed=5)))
        classes = ["".join(word.capitalize() for word in label.split()) for label in labels_of(rows)]
        lines = []
        for i, row in enumerate(rows):
            folder = classes[labels_of(rows).index(row.label)]
            path = f"{folder}/v_{folder}_g{i:02}_c01.avi"
            (videos / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(row.path, videos / path.replace("c01", f"{split}1"))
            number = f" {classes.index(folder) + 1}" if split == "train" else ""
            lines.append(path.replace("c01", f"{split}1") + number)
        (lists / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (lists / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(classes, 1)))
    for subset in ("train", "test"):
        arguments = [
            "--root",
            str(videos),
            "--subset",
            subset,
            "--out",
            str(home / "data" / "ucf101" / f"{subset}1.jsonl"),
        ]
        assert main(["data", "check", str(lists), *arguments]) == 0
    return home


@pytest.fixture
def place(home: Path) -> Workspace:
    return Workspace(home, home / "data")


def put(data: Path, name: str, rows: Sequence[Row]) -> None:
    """Write the manifest DATA/name.jsonl."""
    path = data / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(path, [{"path": str(row.path), "label": row.label} for row in rows])


def options(home: Path) -> list[str]:
    small = ["epochs=1", "batch_size=31", "precision=fp32", "warmup_epochs=null"]
    return ["--root", str(home), "--data", str(home / "data"), "--backbone", str(home / "tiny"), "--set", *small]


@pytest.mark.slow
def test_table_5_fills_itself(home: Path, capsys: CaptureFixture[str]) -> None:
    command = ["table", "5", "--sets", "ucf101", *options(home), "--json"]
    capsys.readouterr()
    assert main([*command[:-1]]) == 0
    assert "| neither             | 78.3 /" in capsys.readouterr().out
    assert main([*command, "--run"]) == 0
    table = json.loads(capsys.readouterr().out)
    filled = [cell for cell in table["cells"] if cell["last"] is not None]
    assert len(filled) == 12 and all(cell["column"].startswith("UCF-101") for cell in filled)
    assert all(cell["best"] is not None for cell in filled), "the released preset keeps the best epoch on the test set"
    for row in {cell["row"] for cell in filled}:
        base, novel, mean = (cell["last"] for cell in filled if cell["row"] == row)
        assert mean == pytest.approx(2 * base * novel / (base + novel) if base * novel else 0)
    texts = {row[0]: row[7] for row in table["rows"]}
    assert texts["neither"] == f"94.4 / {filled[0]['last']:.1f} (1)"

    results = list((home / "results" / "protocols").rglob("*.json"))
    assert len(results) == 4
    before = [path.stat().st_mtime_ns for path in results]
    assert main([*command, "--run"]) == 0
    assert json.loads(capsys.readouterr().out) == table
    assert [path.stat().st_mtime_ns for path in results] == before, "what is there is not made again"

    result = json.loads(results[0].read_text())
    trained = read_rows(
        home / "runs" / "protocols" / f"{results[0].relative_to(home / 'results/protocols')}"[:-5] / "train.parquet"
    )
    assert len(labels_of(trained)) == 16 and len(trained) == 32, "the base half of 31 classes, 2 clips each"
    assert result["config"]["text"] == "shipped" and result["config"]["sampling"] == "centres"
    assert len(result["last"]["ucf101"]["per_class"]) == 31


@pytest.mark.slow
def test_two_processes_fill_a_table(home: Path) -> None:
    """Several consecutive runs under one launcher; one process prints."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "ezclip", "--"]
    command = [*launch, "table", "6", "--sets", "ucf101", "--run", "--json", *options(home), "batch_size=32", "steps=2"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    table = json.loads(process.stdout)
    assert sum(cell["last"] is not None for cell in table["cells"]) == 6


@pytest.mark.slow
def test_other_protocols_run(home: Path, capsys: CaptureFixture[str]) -> None:
    capsys.readouterr()
    common = [*options(home), "batch_size=8"]
    assert main(["protocol", "few_shot", "--trained-on", "ucf101", "--shots", "1", "--preset", "paper", *common]) == 0
    few = json.loads(capsys.readouterr().out)
    assert few["last"]["ucf101"]["lists"] == [few["last"]["ucf101"]["top1"]] and "best" not in few
    assert few["config"]["reading"] == "paper" and few["config"]["lr"] == 5e-6
    run = Run(**few["run"])
    trained = read_rows(home / "runs" / "protocols" / run.name / "train.parquet")
    assert Counter(row.label for row in trained) == dict.fromkeys(labels_of(trained), 1)
    title, rows = comparison_table(4, Workspace(home, home / "data"), replace(run, shots=None))
    assert all("/ " not in cell for row in rows[1:] for cell in row[1:]), "K = 1 is no column of Table 4"

    command = ["protocol", "few_shot", "--trained-on", "ucf101", "--variant", "clip", *options(home)]
    assert main(command) == 0
    plain = json.loads(capsys.readouterr().out)
    assert "config" not in plain and len(plain["last"]["ucf101"]["per_class"]) == 31


@pytest.mark.slow
def test_zero_shot_tests_both_epochs_and_each_rule_of_unseen_classes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CaptureFixture[str]
) -> None:
    """Lists of one class have an accuracy of 1, which shows in the mean over the rivals' three lists."""
    rows = read_rows(home / "data" / "ucf101" / "test1.jsonl")
    trained, novel = labels_of(rows)[:20], labels_of(rows)[20:]
    for data_set, names in ZERO_SHOT.items():
        for name in names:
            put(tmp_path, f"{data_set}/{name}", [r for r in rows if name != "train" or r.label in trained])
    put(tmp_path, "kinetics400/val", rows)
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "kinetics600_renamed.txt").touch()
    for number, draw in enumerate((novel[:1], novel[1:2], novel), 1):
        (lists / f"kinetics600_160_{number}.txt").write_text("\n".join(draw))
    monkeypatch.setattr(splits, "LISTS", lists)
    zero = ["protocol", "zero_shot", "--trained-on", "kinetics400", *options(home), "batch_size=8"]
    zero[zero.index("--data") + 1] = str(tmp_path)
    capsys.readouterr()
    assert main(zero) == 0
    result = json.loads(capsys.readouterr().out)
    for epoch in ("last", "best"):
        sets = result[epoch]
        assert len(sets["ucf101"]["lists"]) == 3
        assert len(sets["kinetics600"]["per_class"]) == 11, "classes that were trained are left out of the unseen ones"
        by_rule = sets["kinetics600"]["unseen"]
        assert {rule: one["classes"] for rule, one in by_rule.items()} == {"names": 11, "paper": 11, "rivals": 1}
        names, rivals = by_rule["names"]["top1"], by_rule["rivals"]
        assert names < 1 and rivals["lists"] == [1, 1, names] and rivals["top1"] == pytest.approx((2 + names) / 3)
    run = Run(**result["run"])
    watched = read_rows(home / "runs" / "protocols" / run.name / "watched.parquet")
    assert labels_of(watched) == trained, "of the validation list, what was trained"
    cell = Cell("", "K-600", None, run, "kinetics600", "top1")
    statistics = cell_statistics(cell, Workspace(home, tmp_path), TableOptions("best", unseen="rivals"))
    assert statistics == Statistics(100 * result["best"]["kinetics600"]["unseen"]["rivals"]["top1"], None, 1)


@pytest.mark.parametrize("listed", [True, False])
def test_zero_shot_watches_the_validation_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, listed: bool
) -> None:
    """The best epoch is chosen on DATA/kinetics400/val; without that list a warning says that none is kept."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    data = tmp_path / "data"
    rows = [Row(tmp_path / f"{label}{i}.mp4", label) for label in "ab" for i in range(120)]
    for data_set, names in ZERO_SHOT.items():
        for name in names:
            put(data, f"{data_set}/{name}", rows)
    if listed:
        put(data, "kinetics400/val", [rows[0], Row(tmp_path / "c.mp4", "c")])
    started: list[TrainConfig] = []

    def stop(config: TrainConfig, *, resume: bool) -> NoReturn:
        started.append(config)
        raise ConfigError("stopped before the training")

    monkeypatch.setattr("ezclip.reproduction.protocols.train", stop)
    with pytest.raises(ConfigError, match="stopped"):
        finish(carry_out(Run("zero_shot", "kinetics400"), Workspace(tmp_path, data)))
    (config,) = started
    if listed:
        assert config.validation is not None
        assert list(read_rows(config.validation)) == rows[:1], "without the class that is not trained"
        assert config.eval_every == 3, "240 clips in batches of 80: each epoch"
        assert not caplog.records
    else:
        assert config.validation is None
        assert caplog.messages == ["kinetics400 has no manifest val to watch: no best epoch is kept."]


@pytest.mark.slow
def test_other_methods_fill_a_table(home: Path, capsys: CaptureFixture[str]) -> None:
    """Each by its official recipe, next to EZ-CLIP; costs and intervals of both."""
    for method in ("a5", "ezclip"):
        command = ["protocol", "base_to_novel", "--trained-on", "ucf101", "--shots", "16", "--method", method]
        assert main([*command, *options(home), "steps=1", "workers=0"]) == 0
    place = Workspace(home, home / "data")
    defaults = replace(PLAIN, backbone=str(home / "tiny"))
    measure_costs(2, place, defaults)
    head, *rows = measured_table(2, place, defaults)[1]
    assert [row[0] for row in rows] == ["A5", "EZ-CLIP"]
    for row in rows:
        filled = dict(zip(head, row, strict=True))
        assert all(filled[name] for name in COST_HEAD) and "[" in filled["UCF-101 base"] and "" == filled["K-400 HM"]
    config = json.loads(place.result(replace(defaults, method="a5", shots=16, text="names")).read_text())["config"]
    assert (config["method"], config["text"], config["lr"], config["final_lr"]) == ("a5", "names", 1e-4, 1.0)


@pytest.mark.slow
def test_missing_lists_and_unknown_names(place: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"has no hmdb51/train1.jsonl .*ezclip data check"):
        finish(carry_out(replace(PLAIN, trained_on="hmdb51"), place))
    with pytest.raises(ConfigError, match="no protocol 'one_shot'"):
        finish(carry_out(replace(PLAIN, protocol="one_shot"), place))
    with pytest.raises(ConfigError, match="not defined on 'charades'"):
        finish(carry_out(replace(PLAIN, trained_on="charades"), place))


def test_backbones_come_from_files(tmp_path: Path) -> None:
    """Mapping an architecture to a file does not rename its runs."""
    place = Workspace(tmp_path, tmp_path, backbones={"ViT-B-32-quickgelu": "b32.safetensors"})
    run = replace(PLAIN, backbone="clip:ViT-B-32-quickgelu/openai")
    assert place.backbone(run) == "clip:ViT-B-32-quickgelu/b32.safetensors"
    assert place.backbone(PLAIN) == PLAIN.backbone
    (tmp_path / "b32").mkdir()
    place = replace(place, backbones={"ViT-B-32-quickgelu": str(tmp_path / "b32")})
    assert place.backbone(run) == str(tmp_path / "b32")
    assert "b32" not in place.result(run).name


def test_the_command_line_maps_architectures_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CaptureFixture[str]
) -> None:
    """``--backbone ARCH=FILE`` loads the file; a single plain name may be combined with it."""
    tiny_clip(tmp_path, monkeypatch)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    started: list[tuple[Run, Workspace]] = []

    def noted(run: Run, place: Workspace) -> Steps[dict]:
        started.append((run, place))
        yield from ()
        return {}

    monkeypatch.setattr("ezclip.reproduction.protocols.carry_out", noted)
    command = ["protocol", "few_shot", "--trained-on", "ucf101", "--root", str(tmp_path), "--backbone"]
    file = tmp_path / WEIGHTS
    assert main([*command, f"tiny={file}", "clip:tiny/standin"]) == 0
    assert main([*command, f"tiny={file}"]) == 0
    (run, place), (default, _) = started
    assert run.backbone == "clip:tiny/standin" and "_tiny-standin_" in run.name
    with pytest.raises(CheckpointError, match="could not be loaded"):
        resolve_backbone(run.backbone)
    loaded, stored = resolve_backbone(place.backbone(run)).clip.state_dict(), load_file(file)
    assert stored and all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())
    assert default.backbone == place.backbone(default) == Run.backbone, "other architectures are not mapped"

    capsys.readouterr()
    for arguments, message in (
        (["tiny=gone.safetensors"], "There is no file or folder gone.safetensors; --backbone takes ARCH=FILE."),
        (["one", "two"], "--backbone names one and two; give one, and others as ARCH=FILE."),
    ):
        assert main([*command, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert len(started) == 2


@pytest.mark.parametrize("name", ["zero_shot", "base_to_novel", "few_shot", "supervised"])
@pytest.mark.parametrize("preset", ["paper", "released", *RIVALS])
def test_presets_of_protocols_are_configurations(name: str, preset: str) -> None:
    protocol = protocols(ROOT)[name]
    fields = set(TrainConfig.__dataclass_fields__)
    recipes = protocol.presets.get(preset, {})  # type: ignore[call-overload]
    assert set(recipes) <= {"all", *protocol.sets}
    assert all(set(recipe) <= fields for recipe in recipes.values())
    if preset == "paper":
        assert all("validation" not in recipe for recipe in recipes.values()), "the paper's preset selects nothing"


@pytest.mark.parametrize(
    ("name", "data_set", "expected"),
    [
        ("zero_shot", "kinetics400", (1e-4, 150, 80, "random")),
        ("base_to_novel", "kinetics400", (5e-6, 100, 60, "centres")),
        ("base_to_novel", "hmdb51", (1e-4, 50, 20, "centres")),
        ("base_to_novel", "ucf101", (1e-5, 50, 50, "centres")),
        ("base_to_novel", "ssv2", (1e-5, 100, 50, "centres")),
        ("few_shot", "hmdb51", (1e-4, 180, 10, "centres")),
        ("few_shot", "ucf101", (1e-4, 100, 4, "centres")),
    ],
)
def test_released_recipes_are_the_releases(name: str, data_set: str, expected: tuple[float, int, int, str]) -> None:
    """Learning rates, epochs, batch sizes and sampling; DropPath everywhere but in UCF-101's few-shot recipe."""
    recipes = protocols(ROOT)[name].presets["released"]
    recipe = recipes.get("all", {}) | recipes[data_set]
    config = load_config(TrainConfig, ROOT / "configs" / "released.yaml", [f"{k}={v}" for k, v in recipe.items()])
    assert (config.lr, config.epochs, config.batch_size, config.sampling) == expected
    assert config.drop_path == (0 if (name, data_set) == ("few_shot", "ucf101") else 0.1)
