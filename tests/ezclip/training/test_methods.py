"""Other methods in the training loop: what they train, what they leave on disk, and their losses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip import Predictor, probe_motion
from ezclip.checkpoints.catalog import read_config
from ezclip.checkpoints.layouts import read_layout
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.rivals import build_from
from ezclip.checkpoints.store import save_backbone
from ezclip.config import TrainConfig, load_config
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.progress import finish
from ezclip.training.batches import class_sentences, mixed
from ezclip.training.loop import build, parameter_groups, train
from ezclip.training.losses import contrastive_loss, in_batch_kl
from ezclip.types import IMAGENET_PIXELS, Rival
from tests.conftest import TINY, external, write_video

ROOT = Path(__file__).parents[3]
SETTINGS: dict[Rival, dict[str, int]] = {
    "vificlip": {},
    "actionclip": {"layers": 1},
    "a5": {"layers": 1, "heads": 2, "prefix": 4, "postfix": 4},
}


def recipe(method: str, *settings: str) -> TrainConfig:
    return load_config(TrainConfig, ROOT / "configs" / "methods" / f"{method}.yaml", list(settings))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vificlip", "actionclip", "a5"])
def test_a_trained_model_is_loaded_again(method: Rival, drawn: Path, tmp_path: Path) -> None:
    """By its own recipe, resumed half-way; then predictions and probes from what lies on disk."""
    torch.manual_seed(0)
    start = build_backbone("tiny/start", TINY)
    save_backbone(start, tmp_path / "backbone.safetensors")
    config = replace(
        recipe(method), backbone=str(tmp_path), out=str(tmp_path / "run"), data=str(drawn), validation=str(drawn),
        cache=str(tmp_path / "cache"), settings=SETTINGS[method], num_frames=4, steps=4, batch_size=8, eval_every=2,
        precision="fp32", workers=0, lr=1e-3, flip=False,
    )  # fmt: skip
    finish(train(config))
    for name in ("model", "best"):
        folder = tmp_path / "run" / name
        model, told = load_model(folder), read_config(folder)
        assert (told.variant, told.text, model.num_frames) == (method, config.text, 4)
        assert (model.preprocessing.mean == IMAGENET_PIXELS["mean"]) == (method == "vificlip")
        for key, tensor in start.clip.visual.state_dict().items():
            if key == "proj":
                assert torch.equal(model.vision.proj, tensor.half().float()) == (method == "a5"), (
                    "A5 leaves CLIP as it is"
                )
        tuned = folder / "backbone.safetensors"
        assert tuned.is_file() == (method != "a5") and (told.backbone_sha256 == start.sha256) == (method == "a5")

    saved = load_model(tmp_path / "run" / "model")
    before = [state.name for state in (tmp_path / "run").glob("state-*.pt")]
    (tmp_path / "run" / max(before)).unlink()
    finish(train(config, resume=True))
    again = load_model(tmp_path / "run" / "model")
    for one, other in zip(saved.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), "a resumed run ends where the whole one ended"

    movie = write_video(tmp_path / "grey.mp4")
    predictor = Predictor.load(tmp_path / "run" / "model", device="cpu")
    predictor.set_video(movie)
    assert sum(p.score for p in predictor.score(["waving", "clapping"])) == pytest.approx(1, abs=1e-3)
    probes = probe_motion(movie, ["waving", "clapping"], model=str(tmp_path / "run" / "model"), baseline="")
    assert ("encodes them one by one" in probes.verdicts[0]) == (method == "vificlip")


def test_rates_of_the_parts(backbone: Backbone) -> None:
    config = recipe("actionclip", "num_frames=4")
    groups = {group["name"]: group for group in parameter_groups(build(config, backbone), config)}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "vision": 5e-6, "text": 5e-6, "temporal": 5e-5, "logit_scale": 5e-6
    }  # fmt: skip
    config = recipe("a5", "num_frames=4")
    assert [group["name"] for group in parameter_groups(build(config, backbone), config)] == ["text", "temporal"]


@pytest.mark.parametrize("name", ["actionclip_transf", "actionclip_meanp"])
def test_losses_of_actionclips_training_step(name: str) -> None:
    """What the official code computed for a batch with one text for each clip."""
    path = external(f"parity/rivals/{name}_official.pt")
    expected: dict[str, Any] = torch.load(external(f"parity/rivals/{name}_expected.pt"), weights_only=True)
    model, *_ = build_from(read_layout(path), num_frames=expected["T"], table=lambda _: torch.empty(0))
    scale = torch.load(path, weights_only=True)["model_state_dict"]["logit_scale"]  # trained, but not used in tests
    model.logit_scale.data = scale.float()
    with torch.no_grad():
        frames, texts = model(expected["frames"].unflatten(0, (-1, expected["T"])), expected["train_tokens"])
        logits = model.logits(frames, texts)
        of_videos, of_texts = in_batch_kl(logits, expected["label_ids"])
    torch.testing.assert_close(logits, expected["train_logits_per_video"], atol=1e-4, rtol=0)
    torch.testing.assert_close(of_videos, expected["loss_video"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(of_texts, expected["loss_text"], atol=1e-4, rtol=1e-4)


def test_smoothed_and_mixed_targets_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    log_p = F.log_softmax(logits, dim=1)[0]
    smoothed = -(0.9 * log_p[0] + 0.1 * log_p.mean())
    torch.testing.assert_close(contrastive_loss(logits, torch.tensor([0]), 0.1), smoothed)
    shares = torch.tensor([[0.25, 0.75, 0.0]])
    torch.testing.assert_close(contrastive_loss(logits, shares), -(0.25 * log_p[0] + 0.75 * log_p[1]))


def test_mixed_clips_have_the_shares_of_their_pixels() -> None:
    """Clip i is all 100 * (i + 1); a mixture's mean grey tells the shares, in both kinds of mixing."""
    views = (100 * torch.arange(1, 3, dtype=torch.uint8)).view(2, 1, 1, 1, 1).expand(2, 4, 3, 32, 32)
    targets, kinds = torch.tensor([2, 0]), set()
    for seed in range(20):
        found, shares = mixed(views, targets, 3, [seed, 0])
        again: tuple[Tensor, Tensor] = mixed(views, targets, 3, [seed, 0])
        assert torch.equal(found, again[0]) and torch.equal(shares, again[1])
        assert found.dtype == torch.uint8 and found.shape == views.shape
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
        grey = shares[0, 2] * 100 + shares[0, 0] * 200
        assert float(found[0].float().mean()) == pytest.approx(float(grey), abs=0.5)
        kinds.add(len(found[0].unique()) == 1)
    assert kinds == {True, False}, "all pixels in some batches, a rectangle in others"


def test_a_template_of_ones_own() -> None:
    assert class_sentences("a photo of a {}.", ["Opening_a box"]) == [["a photo of a Opening a box."]]
