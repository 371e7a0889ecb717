"""Cost of models: counts by hand, and ``ezclip bench``."""

import json
from pathlib import Path

import pytest
import torch
from pytest import CaptureFixture

from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.store import save_backbone, save_model
from ezclip.cli import main
from ezclip.data.tabletop.generate import synthesise
from ezclip.evaluation.efficiency import Subject, count_parameters, forward_ratios, gmac, time_alternately
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.rivals.build import build_rival
from ezclip.progress import finish
from tests.conftest import TINY, make_model


def test_multiply_adds_by_hand(backbone: Backbone) -> None:
    T, N, D, E, K, r, S = 8, 16, 64, 32, 3, 16, 8  # frames, patches, widths, layers, adapter, side of a patch
    model = make_model(backbone, "ezclip")
    counts = gmac(lambda: model.encode_video(torch.zeros(1, T, 3, 32, 32)), model)
    conv = T * N * D * 3 * S * S
    # tokens with their prompt; the last block continues with the class token alone
    attention = K * T * ((N + 2) * D * 3 * D + 2 * (N + 2) ** 2 * D)
    out = ((K - 1) * (N + 1) + 1) * T * D * D
    mlp_and_adapter = ((K - 1) * (N + 1) + 1) * T * (2 * D * 4 * D + 2 * D * r)
    prompts = K * (T * D * 3 * D + 2 * T * T * D + T * D * D)
    everything = conv + attention + out + mlp_and_adapter + prompts + T * D * E
    assert counts["all"] * 1e9 == pytest.approx(everything)
    assert counts["linear_and_conv"] * 1e9 == conv + mlp_and_adapter


def test_parameters_by_hand(backbone: Backbone) -> None:
    model = make_model(backbone, "ezclip")
    counts = count_parameters(model)
    adapter = 64 * 16 + 16 + 16 * 64 + 64
    assert counts["tunable"] == 5 * adapter + 3 * 8 * 64
    mlp = 64 * 256 + 256 + 256 * 64 + 64
    assert counts["linear_and_conv"] == 5 * (adapter + mlp) + 64 * 3 * 8 * 8
    assert counts["total"] == sum(p.numel() for p in model.parameters())


def test_parameters_of_a_method_that_trains_clip(tmp_path: Path) -> None:
    """All parameters but the token table are counted as trained, although a loaded model is frozen."""
    backbone = build_backbone("tiny", TINY)
    save_backbone(backbone, tmp_path / "backbone.safetensors")
    save_model(build_rival("vificlip", backbone, 8, {}), backbone, tmp_path / "vificlip", summary={})
    assert count_parameters(load_model(tmp_path / "vificlip"))["tunable"] == 0
    counts = count_parameters(Subject(str(tmp_path / "vificlip")).build(8))
    assert counts["tunable"] == counts["total"] - 49408 * 64


@pytest.mark.slow
def test_bench_measures_models_and_their_accuracy(tmp_path: Path, capsys: CaptureFixture[str]) -> None:
    manifest = finish(synthesise(tmp_path / "drawn", clips_per_class=1, split="val", seed=4))
    arguments = ["--batch-size", "2", "--repeats", "2", "--device", "cpu"]
    out = ["--data", str(manifest), "--out", str(tmp_path / "bench"), "--json"]
    assert main(["bench", "tabletop/base", "tabletop/ezclip", *arguments, *out]) == 0
    document = json.loads(capsys.readouterr().out)
    base, ezclip = document["rows"]
    assert ezclip["gmac"]["all"] > base["gmac"]["all"] > base["gmac"]["linear_and_conv"] > 0
    for row in document["rows"]:
        assert min(row[k] for k in ("latency_seconds", "views_per_second", "training_step_seconds", "peak_bytes")) > 0
        assert row["open_clip"]["time_ratio"] == pytest.approx(row["latency_seconds"] / row["open_clip"]["seconds"])
        assert 0 <= row["top1"] <= 1 and row["clips"] == 31
    assert json.loads((tmp_path / "bench" / "bench.json").read_text()) == document
    assert (tmp_path / "bench" / "bubbles.png").read_bytes().startswith(b"\x89PNG")
    assert main(["bench", "--data", str(manifest)]) == 2
    assert "name them" in capsys.readouterr().err


@pytest.mark.slow
def test_ratios_are_those_of_the_printed_seconds() -> None:
    document = forward_ratios("ViT-S-32", T=2, repeats=1, device="cpu")
    seconds, ratios = document["seconds"], document["ratios"]
    forward = pytest.approx(seconds[f"ezclip_{document['dtype']}"], rel=0.05)
    assert seconds["rollout"] / ratios["forward with rollout/forward"] == forward
    assert seconds["training_step"] / ratios["training step/forward"] == forward
    assert 0 < ratios["forward/matrix products alone, operations a second"] < 2


@pytest.mark.soak
def test_ratios_of_a_small_tower_stay_within_their_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loose bars, far above the figures of ``ezclip bench``; 8 frames of 64 x 64 pixels in 6 blocks of width 384."""
    vision = {"image_size": 64, "layers": 6, "width": 384, "head_width": 64, "patch_size": 8}
    config = TINY | {"embed_dim": 384, "vision_cfg": vision}
    monkeypatch.setattr("ezclip.evaluation.efficiency.open_clip.get_model_config", lambda name: config)
    ratios = forward_ratios("small", T=8, repeats=9, device="cpu")["ratios"]
    print("\n".join(f"{name}: {value}" for name, value in ratios.items()))
    assert max(value for name, value in ratios.items() if name.startswith("ezclip/open_clip")) <= 1.5
    assert ratios["forward with rollout/forward"] <= 2


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_timers_wait_for_the_accelerator_at_hand(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("CUDA was asked for"))
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda *_: order.append("wait"))
    timings = time_alternately({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, device)
    assert set(timings) == {"a", "b"}
    assert "".join(word[0] for word in order) == 2 * (3 * "aw" + 3 * "bw")  # two warm-up runs before each measured one
