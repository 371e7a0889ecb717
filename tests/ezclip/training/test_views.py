"""Pairs of views: geometry by hand, effect of the carried token, resumed runs equal uninterrupted ones."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from ezclip.config import PretrainConfig
from ezclip.errors import ConfigError
from ezclip.model.backbone import build_backbone
from ezclip.model.block import Block
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.progress import finish
from ezclip.training.grow import grow
from ezclip.training.pretrain import STATE, architecture, pretrain
from ezclip.training.views import (
    RAMP,
    SPREAD,
    Carry,
    HeadOutputs,
    Pairs,
    WithHeads,
    add_ramps,
    auxiliary_losses,
    crops,
    cut,
    displacement,
    draw_pairs,
    init_directional_heads,
    paste,
    thumbnails,
    vary_scenes,
)
from tests.conftest import run_in_two_processes
from tests.ezclip.training.waiting import no_waiting, reads

ROOT = Path(__file__).parents[3]
TINY = {"image_size": 16, "patch_size": 8, "width": 64, "layers": 2, "text_width": 64, "text_layers": 1, "embed_dim": 8}


def centre_of_light(picture: torch.Tensor) -> tuple[float, float]:
    light = picture.float().sum(dim=0)
    at = torch.arange(picture.shape[-1]) + 0.5
    total = light.sum()
    return float((light.sum(dim=0) @ at) / total), float((light.sum(dim=1) @ at) / total)


def test_a_crop_shifted_by_pixels_has_the_stated_displacement() -> None:
    """20 pixels right and 10 down are 1/4 and 1/8 of a side of 80, and 16 and 8 pixels of a view of 64."""
    canvas = torch.zeros(1, 3, 160, 160, dtype=torch.uint8)
    canvas[..., 78:82, 98:102] = 255
    first, second = np.array([[80.0, 80, 80]]), np.array([[100.0, 90, 80]])
    assert displacement(first, second)[0] == pytest.approx([0.25, 0.125, 0])
    (x, y), (there_x, there_y) = (centre_of_light(cut(canvas, square, 64)[0]) for square in (first, second))
    assert (x, y) == pytest.approx((48, 32), abs=0.3)
    assert (x - there_x, y - there_y) == pytest.approx((16, 8), abs=0.3)


def test_displacements_are_in_sides_of_the_first_view() -> None:
    first, second = np.array([[50.0, 50, 40]]), np.array([[70.0, 45, 80]])
    assert displacement(first, second)[0] == pytest.approx([0.5, -0.125, np.log(2)])
    assert displacement(second, first)[0] == pytest.approx([-0.25, 0.0625, -np.log(2)])


def test_pasted_shapes_are_where_their_square_says() -> None:
    views, white = torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.full((1, 3, 80, 80), 255, dtype=torch.uint8)
    square, texture = np.array([[0.25, 0.75, 0.25]]), np.array([[0.5, 0.5, 0.3]])
    pasted = paste(views, white, square, texture, np.zeros((1, 2, 3)))[0]
    assert centre_of_light(pasted) == pytest.approx((16, 48), abs=0.05)
    assert float(pasted[0].float().sum() / 255) == pytest.approx(np.pi * 8**2, rel=0.02)  # a circle of radius 8


def test_pairs_show_what_they_say() -> None:
    scenes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 160, 160)).astype(np.uint8))
    windows = np.tile([80.0, 80, 100], (8, 1))
    one, again, other = (draw_pairs(scenes, windows, 32, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.pixels, again.pixels) and not torch.equal(one.pixels, other.pixels)
    assert one.pixels.shape == (16, 3, 32, 32) and one.displacements.shape == one.mask.shape == (16, 6)
    assert (one.displacements[1::2, :3] == 0).all() and (one.mask[::2, 3:] == 0).all() and one.mask[1::2].all()
    assert torch.allclose(one.displacements[:8, 3:], -one.displacements[8:, 3:])
    squares = crops(windows, np.random.default_rng(3))
    assert squares[:, 2] == pytest.approx(87.5)
    assert np.abs(squares[:, :2] - 80).max() <= 6.25


def test_scenes_are_turned_mirrored_and_recoloured_one_by_one() -> None:
    """All eight versions of a scene with one bright corner appear (in four corners); some become negatives."""
    scenes = torch.zeros(64, 3, 20, 20, dtype=torch.uint8)
    scenes[..., :10, :10] = 200
    varied = vary_scenes(scenes, np.random.default_rng(0)).float()
    assert varied.shape == scenes.shape
    quarters = varied.mean(dim=1).unflatten(1, (2, 10)).unflatten(3, (2, 10)).mean(dim=(2, 4)).flatten(1)  # (64, 4)
    odd = (quarters - quarters.median(dim=1, keepdim=True).values).abs().argmax(dim=1)
    assert set(odd.tolist()) == {0, 1, 2, 3}
    darker = quarters.gather(1, odd[:, None])[:, 0] < quarters.median(dim=1).values
    assert 10 <= int(darker.sum()) <= 32  # a third is expected
    means = varied.mean(dim=(1, 2, 3))
    assert means.min() > 60 and means.max() < 195 and means.std() > 20


def test_each_view_carries_the_others_mean() -> None:
    """As computed by a temporal prompt of one frame and p = 0 from the other view's tokens."""
    backbone = build_backbone("tiny", architecture(PretrainConfig(out="", sizes=TINY)))  # type: ignore[arg-type]
    model = build_ezclip(backbone, "clip", num_frames=1)
    block, x = model.vision.blocks[0], torch.randn(6, 5, 64)
    prompt = TemporalPrompt(num_frames=1, width=64)
    torch.nn.init.zeros_(prompt.embedding)
    carried = Carry()(x, block.ln_1, block.attn)  # type: ignore[arg-type]
    expected = prompt(x.roll(3, 0), block.ln_1, block.attn)  # type: ignore[arg-type]
    assert torch.allclose(carried, expected, atol=1e-6)

    heads, tokens = WithHeads(model), torch.tensor([[49406, 320, 49407]])
    pixels = torch.randn(4, 3, 16, 16)
    changed = pixels.clone()
    changed[2] = 0
    with torch.no_grad():
        displacements = [
            [heads(views, tokens, paired)[2].displacements for views in (pixels, changed)] for paired in (False, True)
        ]
    alone, together = displacements
    assert torch.equal(alone[0][0], alone[1][0]) and not torch.equal(together[0][0], together[1][0])
    assert torch.equal(together[0][[1, 3]], together[1][[1, 3]])


def test_thumbnails_hold_the_lowest_frequencies_each_with_variance_one() -> None:
    """For waves of one frequency only their coefficient differs between pictures; in colour, that of their contrast."""
    at = (torch.arange(32) + 0.5) / 32
    heights = torch.tensor([-1.0, -0.5, 0.5, 1.0])
    left_right = heights[:, None, None, None] * torch.cos(torch.pi * at).expand(4, 3, 32, 32)
    values = thumbnails(left_right)
    assert values.shape == (4, 27)
    assert values[:, 1] == pytest.approx((heights / heights.std()).numpy(), abs=1e-4)  # u = 0, v = 1 of brightness
    red = left_right.transpose(-1, -2) * torch.tensor([1.0, 0, 0])[:, None, None]
    contrast = thumbnails(red)[:, 15:21]  # red against green: u + v up to 2
    assert contrast[:, 3] == pytest.approx((heights / heights.std()).numpy(), abs=1e-4)  # u = 1, v = 0


def losses_of_pairs(device: torch.device) -> Callable[[], dict[str, torch.Tensor]]:
    """The losses of the heads' predictions for two pairs, on a device."""
    outputs = HeadOutputs(
        *(torch.zeros(size, device=device, requires_grad=True) for size in ((3, 4, 27), (2, 4, 54), (4, 6)))
    )
    pairs = Pairs(torch.zeros(4, 3, 16, 16), torch.tensor(SPREAD).repeat(4, 1), torch.ones(4, 6))
    pixels = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(device)
    return partial(auxiliary_losses, pixels, outputs, pairs)


def test_the_losses_of_pairs_read_no_value() -> None:
    work = losses_of_pairs(torch.device("cpu"))
    assert not reads(work)
    assert float(work()["moved"].detach()) == pytest.approx(1), "displacements are divided by their deviations"


@pytest.mark.cuda
def test_the_losses_of_pairs_do_not_wait_for_the_gpu() -> None:
    work = losses_of_pairs(torch.device("cuda"))
    work()
    with no_waiting():
        losses = work()
    assert float(losses["moved"].detach()) == pytest.approx(1)


def test_added_blocks_look_at_one_half_each() -> None:
    """A head for one side gives most of its attention to the left half, whatever the picture shows."""
    sizes = TINY | {"layers": 8, "width": 128}
    before = PretrainConfig(out="", sizes=sizes | {"layers": 4, "image_size": 64})  # type: ignore[arg-type]
    after = PretrainConfig(out="", sizes=sizes | {"image_size": 64})  # type: ignore[arg-type]
    start = build_backbone("tiny", architecture(before))
    model = build_ezclip(grow(start, "grown", architecture(after)), "clip", num_frames=1)
    weights = model.vision.blocks[0].attn.in_proj_weight.clone()
    init_directional_heads(model, add_ramps(model))
    assert torch.equal(weights, model.vision.blocks[0].attn.in_proj_weight)
    x = model.vision.ln_pre(model.vision.embed(torch.randn(16, 3, 64, 64)))
    halves = []
    for number in (1, 3):
        block = model.vision.blocks[number]
        assert isinstance(block, Block)
        tokens = block.ln_1(x)
        _, attended = block.attn(tokens, tokens, tokens, average_attn_weights=False)  # (16, heads, 65, 65)
        grid = attended[..., 1:].mean(dim=(0, 2)).unflatten(-1, (8, 8))
        halves += [(g / g.sum()) for g in grid]
    right, left, lower, upper = halves
    assert left[:, :4].sum() > 0.7 and right[:, 4:].sum() > 0.7 and upper[:4].sum() > 0.7 and lower[4:].sum() > 0.7
    assert left[:4].sum() == pytest.approx(0.5, abs=0.1)


def test_ramps_rise_to_the_right_and_downwards() -> None:
    sizes = {"image_size": 16, "patch_size": 8, "width": 64, "layers": 1, "text_width": 64, "text_layers": 1}
    config = PretrainConfig(out="", sizes=sizes)  # type: ignore[arg-type]
    model = build_ezclip(build_backbone("tiny", architecture(config)), "clip", num_frames=1)
    before = model.vision.positional_embedding.clone()
    directions = add_ramps(model)
    change = (model.vision.positional_embedding - before) @ directions.T
    expected = RAMP * torch.tensor([[0.0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]])  # class token, then row by row
    torch.testing.assert_close(change, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(directions @ directions.T, torch.eye(2), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    options = {"stills": 24, "test_stills": 4, "steps": 6, "batch_size": 8, "save_every": 2, "surfaces": 0.5}

    def config(name: str, **more: int) -> PretrainConfig:
        return PretrainConfig(out=str(tmp_path / name), pairs=0.6, sizes=TINY, **options, **more)  # type: ignore[arg-type]

    finish(pretrain(config("whole", workers=2)))
    steps = pretrain(config("cut"))
    while "step 5 " not in next(steps).message:
        pass
    with pytest.raises(ConfigError, match="Another process trains into cut"):
        next(pretrain(config("cut")))
    steps.close()
    assert (tmp_path / "cut" / STATE).is_file()
    (tmp_path / "cut" / f".{STATE}.0123abcd.partial").write_bytes(b"of a save that was killed")
    finish(pretrain(config("cut"), resume=True))
    one, two = ((tmp_path / name / "backbone.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == two
    assert sorted(p.name for p in (tmp_path / "cut").iterdir() if p.name != ".lock") == [
        "backbone.safetensors", "metrics.jsonl", "pretrain.json",
    ]  # fmt: skip


def pretrain_and_keep(out: Path) -> None:
    """Pretrain without and with pairs; each process writes its weights to ``out``.

    Crops and pairs are drawn per process; crops are the whole windows, so any number of processes gets the same data.
    """

    def keep(model: EZCLIP, **_: int) -> dict[str, float]:
        torch.save(model.state_dict(), out / f"{name}-{rank}.pt")
        return {}

    rank = os.environ.get("RANK", "0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ezclip.training.stills.crops", lambda windows, rng: windows)
        patch.setattr("ezclip.training.pretrain.zero_shot", keep)
        for name, pairs in (("plain", 0.0), ("pairs", 0.8)):
            options = {"stills": 24, "steps": 4, "batch_size": 8, "precision": "fp32", "pairs": pairs}
            finish(pretrain(PretrainConfig(out=str(out / name), sizes=TINY, **options)))  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_processes_pretrain_like_one(tmp_path: Path) -> None:
    """Two processes with half batches give the losses and weights of one; with pairs both have the same weights."""
    one, two = tmp_path / "one", tmp_path / "two"
    script = tmp_path / "script.py"
    script.write_text(
        "import gc, sys, torch\n"
        "from pathlib import Path\n"
        "from tests.ezclip.training.test_views import pretrain_and_keep\n"
        "pretrain_and_keep(Path(sys.argv[1]))\n"
        "assert torch.distributed.get_world_size() == 2\n"
        "gc.collect()\n"
        "torch.distributed.destroy_process_group()\n"
    )
    two.mkdir()
    run_in_two_processes(script, two)
    one.mkdir()
    pretrain_and_keep(one)
    weights = {path.stem: torch.load(path, weights_only=True) for path in two.glob("*.pt")}
    assert set(weights) == {"plain-0", "plain-1", "pairs-0", "pairs-1"}
    for name in ("plain", "pairs"):
        assert all(torch.equal(value, weights[f"{name}-1"][key]) for key, value in weights[f"{name}-0"].items())
    for key, value in torch.load(one / "plain-0.pt", weights_only=True).items():
        torch.testing.assert_close(
            weights["plain-0"][key], value, atol=1e-4, rtol=1e-3, msg=lambda m, k=key: f"{k}: {m}"
        )
    lines = [[json.loads(line) for line in (out / "plain" / "metrics.jsonl").open()] for out in (one, two)]
    assert len(lines[0]) == len(lines[1]) == 4
    for alone, together in zip(*lines, strict=True):
        assert together == pytest.approx(alone, rel=1e-4)


def test_a_gradient_that_is_not_finite_stops_before_the_state_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Accelerator.clip_grad_norm_

    def poisoned(self: Accelerator, parameters: list[torch.nn.Parameter], most: float) -> torch.Tensor | None:
        grad = next(p.grad for p in parameters if p.grad is not None)
        if len(norms) == 4:
            grad.view(-1)[0] = torch.nan
        norms.append(clip(self, parameters, most))
        return norms[-1]

    norms: list[torch.Tensor | None] = []
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", poisoned)
    options = {"stills": 24, "test_stills": 4, "steps": 8, "batch_size": 8, "save_every": 2}
    with pytest.raises(ConfigError, match="The gradient is not finite at step 5"):
        finish(pretrain(PretrainConfig(out=str(tmp_path), sizes=TINY, **options)))  # type: ignore[arg-type]
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert state["step"] == 4 and all(value.isfinite().all() for value in state["trained"].values())
