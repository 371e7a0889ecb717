"""Training runs on a few clips: learning, resume, broken videos, several processes."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml

from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.store import save_backbone
from ezclip.config import TrainConfig, load_config
from ezclip.errors import ConfigError
from ezclip.model.backbone import Backbone
from ezclip.progress import finish
from ezclip.training.batches import BatchSampler, class_sentences, draw_tokens
from ezclip.training.loop import train
from ezclip.training.optim import adamw, warmup_cosine
from tests.ezclip.training.test_step import batch_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def config(drawn: Path, tmp_path_factory: pytest.TempPathFactory, backbone: Backbone) -> TrainConfig:
    out = tmp_path_factory.mktemp("training")
    save_backbone(backbone, out / "backbone" / "backbone.safetensors")
    return TrainConfig(
        method="ezclip", backbone=str(out / "backbone"), out=str(out / "run"), data=str(drawn), steps=6,
        batch_size=4, cache=str(out / "cache"), eval_every=3, precision="fp32", prompt_dropout=0.1, drop_path=0.1,
        augmentation="shift",
        validation=str(drawn),
    )  # fmt: skip


def test_varied_texts_are_drawn_for_each_step(config: TrainConfig) -> None:
    texts = class_sentences("varied", ["Opening something", "Closing something"])
    assert [variants[0] for variants in texts] == ["Opening something", "Closing something"]
    drawn = [draw_tokens(config, texts, step, batch_of([], [])) for step in range(200)]
    for rows in zip(*(tokens.tolist() for tokens in drawn), strict=True):
        assert 30 <= len({tuple(filter(None, row)) for row in rows}) <= 62  # of 142 texts, most of them of the crowd


def test_varied_texts_are_names_before_the_delay_is_over(config: TrainConfig) -> None:
    varied = replace(config, text="varied")
    texts = class_sentences("varied", ["Opening something", "Closing something"])
    names = draw_tokens(replace(config, text="names"), [[choices[0]] for choices in texts], 0, batch_of([], []))
    drawn = [draw_tokens(varied, texts, step, batch_of([], []), delay=20) for step in range(40)]
    assert all(torch.equal(tokens, names) for tokens in drawn[:20])
    assert len({str(tokens.tolist()) for tokens in drawn[20:]}) > 15


def metrics(out: str) -> list[dict]:
    return [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_leaves_a_model_and_its_curves(config: TrainConfig) -> None:
    summary = finish(train(config))
    lines = metrics(config.out)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "contrastive", "motion", "accuracy", "lr"} <= set(lines[0])
    assert 0 <= lines[-1]["val_within_pairs"] <= 1
    model = load_model(Path(config.out) / "model")
    assert model.variant == "ezclip" and not model.training
    stored = json.loads((Path(config.out) / "model" / "config.json").read_text())
    assert stored["labels"] == summary["labels"] and stored["training"]["steps"] == 6
    assert list(Path(config.out).glob("tensorboard/events*"))
    watched = {line["step"]: line["val_top1"] for line in lines if "val_top1" in line}
    best = json.loads((Path(config.out) / "best" / "config.json").read_text())
    assert best["metrics"]["val_top1"] == pytest.approx(max(watched.values()), abs=1e-4)
    assert watched[best["training"]["step"]] == max(watched.values())
    assert load_model(Path(config.out) / "best").variant == "ezclip"
    assert [path.name for path in sorted(Path(config.out).glob("state*"))] == [f"state-0000000{i}.pt" for i in (3, 6)]


@pytest.mark.slow
def test_the_last_states_stay_and_trackers_get_the_metrics(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    run = replace(config, out=str(tmp_path / "run"), eval_every=1, keep=3, validation=None, trackers=["trackio"])
    finish(train(run))
    assert [p.name for p in sorted(Path(run.out).glob("state*"))] == [f"state-0000000{i}.pt" for i in (4, 5, 6)]
    with sqlite3.connect(tmp_path / "trackio" / "ezclip.db") as logged:
        losses = [json.loads(row[0])["loss"] for row in logged.execute("select metrics from metrics order by step")]
    assert losses == pytest.approx([line["loss"] for line in metrics(run.out)], abs=1e-6)
    monkeypatch.setattr("ezclip.training.device.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        finish(train(replace(run, trackers=["wandb"])))


def test_order_of_clips_does_not_depend_on_where_a_run_starts(config: TrainConfig) -> None:
    whole = list(BatchSampler(config, 10, 0, 6))
    assert list(BatchSampler(config, 10, 4, 6)) == whole[4:]
    halves = [list(BatchSampler(config, 10, 0, 6, rank, 2)) for rank in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*halves, strict=True)] == [sorted(batch) for batch in whole]
    first_epoch = [index for batch in whole[:2] for _, index in batch]
    assert len(set(first_epoch)) == 8

    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": 2.0}]
    optimiser = adamw(groups, weight_decay=0.0, betas=(0.9, 0.98), eps=1e-8)
    optimiser = adamw(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": 2.0}], weight_decay=0.0, betas=(0.9, 0.98), eps=1e-8
    )
    schedule = warmup_cosine(optimiser, warmup=2, steps=6)
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([1.0, 2.0, 2.0, 1.7071068, 1.0, 0.2928932])


@pytest.mark.parametrize(
    "name", ["paper", "released", "tabletop", "methods/vificlip", "methods/actionclip", "methods/a5", "methods/xclip"]
)
def test_presets_are_valid(name: str) -> None:
    config = load_config(TrainConfig, ROOT / "configs" / f"{name}.yaml", ["lr=0.5", "out=somewhere"])
    assert (config.lr, config.out) == (0.5, "somewhere")


def test_released_is_the_releases_recipe() -> None:
    """K-400 zero-shot as in the released code; jitter_frames is the one value that differs by choice."""
    config = load_config(TrainConfig, ROOT / "configs" / "released.yaml", [])
    expected = {
        "method": "ezclip", "preset": "released", "num_frames": 8, "prompt_depth": "deep", "sampling": "random",
        "text": "shipped", "contrastive": "in_batch", "reading": "released", "lambda1": 1.0, "lambda2": 1.0,
        "lr": 1e-4, "text_lr": None, "prompt_lr": None, "lr_every": 10, "epochs": 150, "steps": None, "batch_size": 80,
        "warmup_epochs": 5, "final_lr": 0.0, "weight_decay": 0.2, "decay_all": True, "beta1": 0.9, "beta2": 0.98,
        "eps": 1e-8, "clip_gradient": None, "drop_path": 0.1, "prompt_dropout": 0.1, "prompt_std": None,
        "augmentation": "release", "flip": True, "jitter_frames": False, "mixup": False, "label_smoothing": 0.0,
    }  # fmt: skip
    assert {key: getattr(config, key) for key in expected} == expected


def test_the_old_name_of_the_method_is_read() -> None:
    for name in ("method", "variant"):
        assert load_config(TrainConfig, ROOT / "configs" / "paper.yaml", [f"{name}=base"]).method == "base"


def test_configurations_that_do_not_fit_name_the_key(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("variant: ezclip\nbackbone: b\nout: o\ndata: d\nlearning_rate: 1\n")
    with pytest.raises(ConfigError, match="learning_rate"):
        load_config(TrainConfig, file, [])
    with pytest.raises(ConfigError, match="method: Input should be 'clip', 'base'"):
        load_config(TrainConfig, ROOT / "configs" / "paper.yaml", ["variant=best"])
    with pytest.raises(ConfigError, match='mixup, label_smoothing .* need contrastive "classes"'):
        load_config(TrainConfig, ROOT / "configs" / "methods" / "actionclip.yaml", ["mixup=true"])
    with pytest.raises(ConfigError, match="key=value"):
        load_config(TrainConfig, ROOT / "configs" / "paper.yaml", ["lr"])
    with pytest.raises(ConfigError, match="no configuration"):
        load_config(TrainConfig, tmp_path / "gone.yaml", [])


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(config: TrainConfig, tmp_path: Path) -> None:
    adapters = []
    for workers in (0, 2):
        run = replace(config, out=str(tmp_path / str(workers)), workers=workers, cache=None, validation=None)
        finish(train(replace(run, augmentation="release")))
        adapters.append((Path(run.out) / "model" / "adapter.safetensors").read_bytes())
    assert adapters[0] == adapters[1]


@pytest.mark.slow
def test_two_processes_train_like_one(config: TrainConfig, tmp_path: Path) -> None:
    """``ezclip train`` under a launcher: losses, list of broken videos and model equal those of one process."""
    rows = [json.loads(line) for line in Path(config.data).read_text().splitlines()]
    good = [{**row, "path": str(Path(config.data).parent / row["path"])} for row in rows]
    (tmp_path / "bad.mp4").write_text("not a video")
    listed = tmp_path / "listed.jsonl"
    bad = {**rows[0], "path": str(tmp_path / "bad.mp4")}
    listed.write_text("".join(json.dumps(row) + "\n" for row in [*good, bad]))
    plain = {"cache": None, "drop_path": 0.0, "prompt_dropout": 0.0, "steps": 8, "micro_batch": 1, "data": str(listed)}
    runs = []
    for processes in (1, 2):
        run = replace(config, out=str(tmp_path / f"run{processes}"), **plain)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(asdict(run)))
        launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
        command = [*launch, "-m", "ezclip", "train", "--config", str(tmp_path / "config.yaml")]
        on_cpu = os.environ | {"CUDA_VISIBLE_DEVICES": ""}  # NCCL refuses two processes on one GPU
        process = subprocess.run(command, cwd=ROOT, env=on_cpu, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        runs.append(run)
    one, two = (metrics(run.out) for run in runs)
    assert [line["loss"] for line in one] == pytest.approx([line["loss"] for line in two], rel=1e-4)
    assert one[-1]["val_top1"] == two[-1]["val_top1"]
    skipped = [(Path(run.out) / "skipped.jsonl").read_text() for run in runs]
    assert skipped[0] == skipped[1] and skipped[0].count('bad.mp4", ') == 1
    adapters = [load_model(Path(run.out) / "model").trainable_parameters() for run in runs]
    for name, tensor in adapters[0].items():
        torch.testing.assert_close(tensor, adapters[1][name], atol=2e-3, rtol=1e-2)
