"""The trained pair that ships: sizes, order of frames, accuracy on clips of a seed unseen in training."""

import json
from pathlib import Path

import pytest
import torch

from ezclip import Predictor, load_model
from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, BASELINE, DEFAULT, ROOT
from ezclip.checkpoints.store import load_backbone
from ezclip.data.manifest import Row, labels_of, read_rows
from ezclip.data.tabletop.generate import synthesise
from ezclip.data.tabletop.stills.scenes import zero_shot_prompts
from ezclip.evaluation.run import evaluate
from ezclip.files import sha256_of
from ezclip.model.builders import build_ezclip
from ezclip.progress import finish
from ezclip.training.pretrain import zero_shot
from ezclip.types import Document


def test_the_shipped_files_are_small() -> None:
    files = [p for p in (ROOT / "tabletop").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 40e6
    assert {p.suffix for p in files} == {".safetensors", ".json"}


def test_order_of_frames() -> None:
    torch.manual_seed(0)
    pixels = torch.randn(2, 8, 3, 96, 96)
    for name, blind in ((BASELINE, True), (DEFAULT, False)):
        model = load_model(name)
        with torch.no_grad():
            forward, backward = (model.encode_video(p).mean(dim=1) for p in (pixels, pixels.flip(1)))
        assert ((forward - backward).abs().max() <= 1e-5) == blind, name


@pytest.mark.slow
def test_the_backbone_knows_colours_and_shapes() -> None:
    assert all(len(prompts) >= 8 for prompts in zero_shot_prompts().values())
    plain = build_ezclip(load_backbone(ROOT / "tabletop" / BACKBONE), "clip", num_frames=1).eval()
    accuracies = zero_shot(plain, seed=31_337, count=400)
    assert accuracies["colour"] >= 0.9
    assert accuracies["shape"] >= 0.9  # 0.94 on 2,000


@pytest.mark.slow
def test_accuracy_on_an_unseen_seed(tmp_path: Path) -> None:
    rows = read_rows(finish(synthesise(tmp_path, clips_per_class=4, split="val", seed=2_718)))

    def report(variant: str, clips: list[Row]) -> Document:
        predictor = Predictor.load(f"tabletop/{variant}", device="cpu", dtype=torch.float32)
        return finish(evaluate(predictor, clips, labels_of(rows))).report()

    for blind in ("base", "motion"):  # half of any clip and its twin
        first = [row for row in rows if row.path.stem == "00000"]
        assert report(blind, first)["within_pairs"] == pytest.approx(0.5, abs=1e-6)
    accuracies = report("ezclip", rows)
    assert accuracies["within_pairs"] >= 0.85
    assert accuracies["top1"] >= 0.7


def test_the_report_is_of_these_weights() -> None:
    results = ROOT.parent / "results" / "tabletop"
    for variant in ("base", "motion", "prompts", "ezclip"):
        digest = json.loads((results / f"{variant}.json").read_text())["adapter_sha256"]
        assert sha256_of(ROOT / "tabletop" / variant / ADAPTER) == digest
