"""The GPU benchmark table: its structure on a CPU, its thresholds on a GPU."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest import CaptureFixture

from ezclip.cli import main
from ezclip.evaluation.gpu import BATCHES, MODES, format_table, gpu_table
from ezclip.model.backbone import Backbone
from ezclip.progress import finish
from tests.conftest import make_model

CPU = torch.device("cpu")


def test_the_tables_structure(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str | None] = []

    def compile(encode: Any, mode: str | None = None, dynamic: bool | None = None) -> Any:
        assert dynamic is False
        devices.append(mode)
        return encode

    monkeypatch.setattr(torch, "compile", compile)  # takes a minute on a CPU
    build = lambda: make_model(copy.deepcopy(backbone), "ezclip")  # noqa: E731
    measure = partial(gpu_table, build, device=CPU, repeats=1, batches=(1, 2), training_batch=2)
    for dtype in (torch.float32, torch.bfloat16):
        table = finish(measure(dtype=dtype))
        assert json.loads(json.dumps(table)) == table
        assert [row["batch"] for row in table["inference"]] == [1, 2]
        for row in table["inference"]:
            assert min(row[name] for name in (*MODES, "open_clip")) > 0
            for name in MODES:
                tflops = row[name] * table["gflop"] / 1e3
                assert row["share"][name] == pytest.approx(tflops / table["matmul_tflops"])
        steps = [table["training"][name] for name in ("eager", "compiled", "open_clip")]
        assert all(step["seconds"] > 0 and step["peak_bytes"] is None for step in steps)
        assert devices == 2 * ["default", "reduce-overhead"] + [None], "each batch, and the training step"
        devices.clear()
        text = format_table(table)
        assert all(word in text for word in ("GFLOP a view", "graphs views/s", "training step of 2, compiled"))


@pytest.mark.cuda
@pytest.mark.slow
def test_bench_writes_the_table_of_the_card(tmp_path: Path, capsys: CaptureFixture[str]) -> None:
    assert main(["bench", "--device", "cuda", "--out", str(tmp_path), "--repeats", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cuda"
    (path,) = (path for path in tmp_path.glob("*.json") if path.name != "bench.json")
    table = json.loads(path.read_text())
    assert table["card"] == torch.cuda.get_device_name()
    assert [row["batch"] for row in table["inference"]] == list(BATCHES)
    assert table["inference"][BATCHES.index(32)]["share"]["compiled"] >= 0.55
    training = table["training"]
    assert training["eager"]["seconds"] < training["open_clip"]["seconds"]
    assert training["eager"]["peak_bytes"] < training["open_clip"]["peak_bytes"]
