"""Other methods in the training loop: trained parameters, saved files, and losses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from ezclip import Predictor, probe_motion
from ezclip.checkpoints.catalog import read_config
from ezclip.checkpoints.layouts import read_layout
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.rivals import build_from_layout
from ezclip.checkpoints.store import save_backbone, save_model
from ezclip.config import TrainConfig, load_config
from ezclip.errors import ConfigError
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.rivals.build import unfreeze
from ezclip.model.rivals.xclip import build_xclip
from ezclip.progress import finish
from ezclip.training.batches import class_sentences, mix_clips
from ezclip.training.loop import build, parameter_groups, train
from ezclip.training.losses import contrastive_loss, in_batch_kl
from ezclip.training.optim import adamw
from ezclip.training.step import Step
from ezclip.types import IMAGENET_PIXELS, Rival
from tests.conftest import TINY, external, write_video
from tests.ezclip.training.test_step import TARGETS, TOKENS, VIEWS, assert_close, gradients

ROOT = Path(__file__).parents[3]
SETTINGS: dict[Rival, dict[str, int]] = {
    "vificlip": {},
    "actionclip": {"layers": 1},
    "a5": {"layers": 1, "heads": 2, "prefix": 4, "postfix": 4},
    "xclip": {},
}
TUNED = ("vificlip", "actionclip", "xclip")  # which also train CLIP


def recipe(method: str, *settings: str) -> TrainConfig:
    return load_config(TrainConfig, ROOT / "configs" / "methods" / f"{method}.yaml", list(settings))


@pytest.mark.slow
@pytest.mark.parametrize("method", [*SETTINGS])
def test_a_trained_model_is_loaded_again(method: Rival, drawn: Path, tmp_path: Path) -> None:
    """Trained by its official recipe and resumed half-way; then predictions and probes from the saved folder."""
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
        model, recorded = load_model(folder), read_config(folder)
        assert (recorded.variant, recorded.text, model.num_frames) == (method, config.text, 4)
        assert (model.preprocessing.mean == IMAGENET_PIXELS["mean"]) == (method in ("vificlip", "xclip"))
        for key, tensor in start.clip.visual.state_dict().items():
            if key == "proj":
                assert torch.equal(model.vision.proj, tensor.half().float()) == (method not in TUNED)
        tuned = folder / "backbone.safetensors"
        assert tuned.is_file() == (method in TUNED) != (recorded.backbone_sha256 == start.sha256)

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
    config = recipe("xclip", "num_frames=4")
    groups = parameter_groups(build(config, backbone), config)
    assert [(group["name"], group["lr"], group.get("weight_decay")) for group in groups] == [
        (name, rate, decay)
        for name, rate in (("vision", 8e-6), ("prompt", 8e-5), ("temporal", 8e-5), ("reader", 8e-5))
        for decay in (None, 0.0)
    ]  # fmt: skip
    undecayed = {id(p) for group in groups if "weight_decay" in group for p in group["params"]}
    model = build(config, backbone)
    shapes = {name for name, p in model.trainable_parameters().items() if p.ndim == 1}
    assert len(undecayed) == len(shapes | {"vision.positional_embedding", "temporal.positions"})
    config = recipe("a5", "num_frames=4")
    assert [group["name"] for group in parameter_groups(build(config, backbone), config)] == ["text", "temporal"]


def test_xclip_trains_what_its_authors_train() -> None:
    """131,501,056 of ViT-B/16 with T = 8: the vision tower and the new modules, as in their files."""
    arch = "ViT-B-16-quickgelu"
    with torch.device("meta"):
        model = unfreeze(build_xclip(build_backbone(arch, open_clip.get_model_config(arch)), num_frames=8))
    assert sum(p.numel() for p in model.trainable_parameters().values()) == 131_501_056
    assert {name.split(".")[0] for name in model.trainable_parameters()} == {"vision", "temporal", "reader"}
    with pytest.raises(ConfigError, match='X-CLIP, whose texts depend on the video, need contrastive "classes"'):
        recipe("xclip", "contrastive=in_batch", "mixup=false", "label_smoothing=0.0")


def test_xclip_learns_and_keeps_its_scores(tmp_path: Path) -> None:
    """Steps on one batch lower its loss and change only the declared parameters; the saved model scores the same."""
    torch.manual_seed(0)
    start = build_backbone("tiny/start", TINY)
    config = recipe("xclip", "num_frames=8", "precision=fp32", "mixup=false", "lr=1.0e-3", "micro_batch=3")
    model = build(config, start)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = adamw(parameter_groups(model, config), weight_decay=0.001, betas=(0.9, 0.98), eps=1e-8)
    step, losses = Step(model, model, Accelerator(cpu=True), config), []
    for number in range(20):
        losses.append(step(number, VIEWS, TOKENS, TARGETS)["loss"].item())
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < 0.8 * losses[0]
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {*model.trainable_parameters()}

    tuned = replace(start, id="tiny tuned")
    save_backbone(tuned, tmp_path / "backbone.safetensors")
    save_model(model.eval().half().float(), tuned, tmp_path, summary={"preset": "xclip", "text": "names"})
    with torch.no_grad():
        pixels = model.normalise(VIEWS)
        trained, loaded = (m.scores(m.encode(pixels), m.encode_text(TOKENS)) for m in (model, load_model(tmp_path)))
    torch.testing.assert_close(loaded, trained, atol=1e-5, rtol=0)


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_texts_on_videos_have_the_gradients_of_the_whole_batch(backbone: Backbone, micro_batch: int) -> None:
    config = recipe("xclip", "num_frames=8", "precision=fp32", "mixup=false", "micro_batch=4")
    torch.manual_seed(0)
    model = build(config, backbone)
    with torch.no_grad():
        model.get_parameter("reader.alpha").fill_(1.0)
    losses, whole = gradients(model, config)
    in_parts = gradients(model, replace(config, micro_batch=micro_batch))
    assert_close(losses, in_parts[0])
    assert_close(whole, in_parts[1])
    assert whole["reader.layers.0.k.weight"].abs().max() > 1e-6


@pytest.mark.parametrize("name", ["actionclip_transf", "actionclip_meanp"])
def test_losses_of_actionclips_training_step(name: str) -> None:
    """Losses of the official code for a batch with one text per clip."""
    path = external(f"parity/rivals/{name}_official.pt")
    expected: dict[str, Any] = torch.load(external(f"parity/rivals/{name}_expected.pt"), weights_only=True)
    model, *_ = build_from_layout(read_layout(path), num_frames=expected["T"], clip=lambda _: {})
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
    """Clip i is constant at 100 * (i + 1); the mean grey of a mixture gives the shares, for both kinds of mixing."""
    views = (100 * torch.arange(1, 3, dtype=torch.uint8)).view(2, 1, 1, 1, 1).expand(2, 4, 3, 32, 32)
    targets, kinds = torch.tensor([2, 0]), set()
    for seed in range(20):
        mixed, shares = mix_clips(views, targets, 3, [seed, 0])
        again: tuple[Tensor, Tensor] = mix_clips(views, targets, 3, [seed, 0])
        assert torch.equal(mixed, again[0]) and torch.equal(shares, again[1])
        assert mixed.dtype == torch.uint8 and mixed.shape == views.shape
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
        grey = shares[0, 2] * 100 + shares[0, 0] * 200
        assert float(mixed[0].float().mean()) == pytest.approx(float(grey), abs=0.5)
        kinds.add(len(mixed[0].unique()) == 1)
    assert kinds == {True, False}, "all pixels in some batches, a rectangle in others"


def test_a_custom_template() -> None:
    assert class_sentences("a photo of a {}.", ["Opening_a box"]) == [["a photo of a Opening a box."]]
