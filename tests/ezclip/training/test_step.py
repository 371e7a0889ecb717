"""The gradients of a step are the same for one or two processes and for whole or split batches."""

import copy
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torchvision import tv_tensors
from torchvision.transforms import v2

from ezclip.config import TrainConfig
from ezclip.data.augmentation import Augmentation
from ezclip.data.dataset import Item
from ezclip.errors import ConfigError
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip, cast_frozen_to_bf16
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.build import build_rival, unfreeze
from ezclip.training import batches
from ezclip.training.device import MetricBuffer, start_accelerator
from ezclip.training.loop import StepRunner, build, enable_activation_checkpointing, parameter_groups
from ezclip.training.losses import in_batch_kl
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.step import Step
from tests.conftest import TINY, make_model, run_in_two_processes
from tests.ezclip.training.waiting import no_waiting, reads

ROOT = Path(__file__).parents[3]
CONFIG = TrainConfig(method="ezclip", backbone="", out="", data="", precision="fp32")
VIEWS = torch.randint(0, 256, (4, 8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
TARGETS = torch.tensor([0, 1, 2, 1])
TOKENS = torch.randint(1, 400, (3, 9), generator=torch.Generator().manual_seed(4)).index_fill(
    1, torch.tensor([8]), 49407
)


def gradients(model: EZCLIP, config: TrainConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses and gradients of one step, and the step itself."""
    step = Step(model, model, Accelerator(cpu=True), config)
    model.zero_grad()
    losses = step(7, VIEWS, TOKENS if config.contrastive == "classes" else TOKENS[TARGETS], TARGETS)
    return losses, {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys() and one
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("reading", ["released", "paper", "calibrated"])
@pytest.mark.parametrize("contrastive", ["in_batch", "classes"])
@pytest.mark.parametrize("micro_batch", [1, 3])
def test_a_batch_in_parts_has_the_losses_and_gradients_of_the_whole(
    backbone: Backbone, reading: Any, contrastive: Any, micro_batch: int
) -> None:
    model = make_model(backbone, "ezclip")
    whole = replace(CONFIG, reading=reading, contrastive=contrastive, micro_batch=4)
    losses, expected = gradients(model, whole)
    in_parts = gradients(model, replace(whole, micro_batch=micro_batch))
    assert_close(losses, in_parts[0])
    assert_close(expected, in_parts[1])
    assert expected["vision.blocks.0.prompt.embedding"].abs().sum() > 1e-3, (
        "a gradient of zero would pass every comparison"
    )


def test_in_batch_encodes_one_text_for_each_clip(backbone: Backbone) -> None:
    """The same loss as from the logits of all classes; only the batch's texts are encoded."""
    model = make_model(backbone, "ezclip")
    counts: list[int] = []
    hook = model.text.register_forward_hook(lambda _, inputs, __: counts.append(len(inputs[0])))
    losses, _ = gradients(model, replace(CONFIG, contrastive="in_batch", micro_batch=4))
    hook.remove()
    assert counts == [4]
    with torch.no_grad():
        logits = model.logits(model.encode_video(model.normalise(VIEWS)), model.encode_text(TOKENS))
    expected = sum(in_batch_kl(logits[:, TARGETS], TARGETS)) / 2
    torch.testing.assert_close(losses["contrastive"], expected, atol=1e-5, rtol=1e-4)
    right = TARGETS[logits[:, TARGETS].argmax(dim=1)] == TARGETS
    assert losses["accuracy"] == right.float().mean()


def batch_of(seeds: list[int], targets: list[int]) -> batches.Batch:
    return batches.Batch(torch.empty(0), torch.empty(0), None, seeds, torch.tensor(targets), [])


def test_texts_are_drawn_for_each_clip_or_each_class() -> None:
    sentences = [[f"{word} {i}" for i in range(16)] for word in ("red", "blue")]
    batch = batch_of(list(range(40)), [0, 1] * 20)
    drawn = batches.draw_tokens(replace(CONFIG, contrastive="in_batch"), sentences, 0, batch)
    assert drawn.shape == (40, 5), "cut after the end of the longest text"
    assert len(drawn[::2].unique(dim=0)) > 8, "clips of one class draw their own texts"
    assert not {tuple(row) for row in drawn[::2].tolist()} & {tuple(row) for row in drawn[1::2].tolist()}
    part = batch_of([5], [1])
    again = batches.draw_tokens(replace(CONFIG, contrastive="in_batch"), sentences, 9, part)
    assert torch.equal(again[0], drawn[5]), "a clip's draw depends on nothing else"
    assert batches.draw_tokens(CONFIG, sentences, 0, batch).shape == (2, 5)


def test_parts_are_embedded_again_with_the_same_dropout(backbone: Backbone) -> None:
    model = build_ezclip(backbone, "ezclip", num_frames=8, drop_path=0.5, prompt_dropout=0.5).train()
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    embeddings: list[Tensor] = []
    hook = model.register_forward_hook(lambda _, __, out: embeddings.append(out[0].detach()))
    gradients(model, replace(CONFIG, micro_batch=2))
    hook.remove()
    first, second, first_again, second_again = embeddings
    assert torch.equal(first, first_again) and torch.equal(second, second_again)
    assert not torch.equal(embeddings[0], model.encode_video(torch.zeros(2, 8, 3, 32, 32)))


def test_blocks_that_are_computed_again_give_the_same_gradients(backbone: Backbone) -> None:
    model = build_ezclip(backbone, "ezclip", num_frames=8, drop_path=0.3, prompt_dropout=0.3).train()
    expected = gradients(model, replace(CONFIG, micro_batch=4))[1]
    enable_activation_checkpointing(model)
    calls: list[int] = []
    hook = model.vision.blocks[0].ln_1.register_forward_hook(lambda *_: calls.append(1))
    assert_close(expected, gradients(model, replace(CONFIG, micro_batch=4))[1])
    hook.remove()  # the backbone is shared
    assert len(calls) == 4, "forward and again in the backward pass, for tokens and for prompts"


def full_above(limit: int, message: str, encode: Any, pixels: Tensor) -> Tensor:
    """A machine whose memory holds ``limit`` clips."""
    if len(pixels) > limit:
        raise RuntimeError(message)
    return encode(pixels)


NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."


@pytest.mark.slow
def test_too_large_a_batch_is_cut_until_it_fits(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(backbone, "ezclip")
    expected = gradients(model, replace(CONFIG, micro_batch=4))[1]
    monkeypatch.setattr(model, "encode_video", partial(full_above, 2, NO_MEMORY, model.encode_video))
    assert_close(expected, gradients(model, CONFIG)[1])
    monkeypatch.setattr(model, "encode_video", partial(full_above, 0, NO_MEMORY, model.encode_video))
    with pytest.raises(ConfigError, match="fits into memory"):
        gradients(model, CONFIG)


def test_other_errors_are_not_taken_for_a_lack_of_memory(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(backbone, "ezclip")
    monkeypatch.setattr(model, "encode_video", partial(full_above, 2, "something else", model.encode_video))
    with pytest.raises(RuntimeError, match="something else"):
        gradients(model, CONFIG)


WAYS: list[Any] = [
    ("ezclip", "released", "in_batch", None),
    ("ezclip", "paper", "classes", 1),
    ("actionclip", "released", "in_batch", 1),  # trains CLIP's temperature, too
]


def own_gradients(accelerator: Accelerator) -> list[dict[str, Tensor]]:
    """Gradients of the second step in each of ``WAYS``, from this process's share of the batch."""
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    grads = []
    for method, reading, contrastive, micro_batch in WAYS:
        torch.manual_seed(0)
        tiny = build_backbone("tiny", TINY)
        model = make_model(tiny, "ezclip") if method == "ezclip" else unfreeze(build_rival(method, tiny, 8, {}))
        wrapped = accelerator.prepare(model)
        config = replace(CONFIG, method=method, reading=reading, contrastive=contrastive, micro_batch=micro_batch)
        for number in (0, 1):  # the second finds the first one's hooks
            model.zero_grad()
            tokens = TOKENS if contrastive == "classes" else TOKENS[TARGETS[share]]
            Step(model, wrapped, accelerator, config)(number, VIEWS[share], tokens, TARGETS[share])
        grads.append({k: p.grad for k, p in model.trainable_parameters().items() if p.grad is not None})
    return grads


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    script, out = tmp_path / "gradients.py", tmp_path / "two.pt"
    script.write_text(
        textwrap.dedent(
            """
            import gc, sys, torch
            from accelerate import Accelerator
            from tests.ezclip.training.test_step import own_gradients
            accelerator = Accelerator(cpu=True)
            found = own_gradients(accelerator)
            if accelerator.is_main_process:
                torch.save((accelerator.num_processes, found), sys.argv[1])
            accelerator.wait_for_everyone()
            gc.collect()
            torch.distributed.destroy_process_group()
            """
        )
    )
    run_in_two_processes(script, out)
    processes, of_two = torch.load(out, weights_only=True)
    assert processes == 2
    for one, two in zip(own_gradients(Accelerator(cpu=True)), of_two, strict=True):
        assert_close(one, two)


def test_frozen_weights_in_bf16_change_no_number(backbone: Backbone) -> None:
    """Autocast casts them anyway."""
    runs = []
    for stored in (False, True):
        model = make_model(copy.deepcopy(backbone), "ezclip").train()
        if stored:
            cast_frozen_to_bf16(model)
            kinds = {p.dtype for p in model.trainable_parameters().values()}, model.vision.blocks[0].mlp[0].weight.dtype
            assert kinds == ({torch.float32}, torch.bfloat16)
        accelerator = Accelerator(cpu=True, mixed_precision="bf16")
        wrapped = accelerator.prepare(model)
        losses = Step(model, wrapped, accelerator, replace(CONFIG, micro_batch=4))(7, VIEWS, TOKENS, TARGETS)
        runs.append(losses | {name: p.grad for name, p in model.trainable_parameters().items() if p.grad is not None})
    assert runs[0].keys() == runs[1].keys() and len(runs[0]) > 20
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


def test_a_text_rate_of_zero_keeps_the_text_embeddings(backbone: Backbone) -> None:
    names = [
        {group["name"] for group in parameter_groups(build(config, backbone), config)}
        for config in (replace(CONFIG, text_lr=rate) for rate in (0, 1e-3))
    ]
    assert names == [{"vision", "prompt"}, {"vision", "prompt", "text"}]


def release_batch() -> batches.Batch:
    """Four clips with the release's augmentation, drawn but not yet applied."""
    augment = Augmentation("release", 32, flip=True)
    clips = torch.randint(0, 256, (4, 8, 3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(6))
    return batches.collate([Item(*augment(clip, i), i, int(t), []) for i, (clip, t) in enumerate(zip(clips, TARGETS))])


def whole_step(
    model: EZCLIP, accelerator: Accelerator, config: TrainConfig, readings: MetricBuffer
) -> Callable[[], None]:
    """One step of the loop from a batch to its metrics, which are not read."""
    optimiser = adamw(parameter_groups(model, config), weight_decay=0.2, betas=(0.9, 0.98), eps=1e-8)
    schedule = warmup_cosine(optimiser, warmup=2, steps=100)
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    sentences = [[f"{word} one", f"{word} two"] for word in ("red", "blue", "green")]
    backward = Step(model, wrapped, accelerator, config)
    runner = StepRunner(config, model, accelerator, sentences, 0, backward, optimiser, schedule, readings)
    return partial(runner.run, 7, release_batch())


@pytest.mark.parametrize("micro_batch", [4, 2])
@pytest.mark.parametrize("reading", ["released", "calibrated"])
@pytest.mark.parametrize("contrastive", ["in_batch", "classes"])
def test_no_value_is_read_in_a_step(backbone: Backbone, micro_batch: int, reading: Any, contrastive: Any) -> None:
    model = make_model(copy.deepcopy(backbone), "ezclip").train()
    readings = MetricBuffer(torch.device("cuda"), every=10)
    config = replace(CONFIG, reading=reading, contrastive=contrastive, micro_batch=micro_batch, clip_gradient=1.0)
    step = whole_step(model, Accelerator(cpu=True), config, readings)
    step()
    # The length of the longest text, in main memory. AdamW's kernel for CPUs reads the step of each tensor; the one for
    # GPUs does not.
    assert reads(step) == {"aten::item": 1 + len(model.trainable_parameters())}
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        values = [values for _, values in readings.read()]
    assert len(values) == 2 and all(isinstance(v, float) for v in values[0].values())
    assert sum(event.count for event in prof.key_averages() if event.key == "aten::stack") == 1, "one reading for all"


def test_mixing_reads_nothing_but_what_it_draws(backbone: Backbone) -> None:
    """torchvision draws CutMix in main memory and checks targets that lie there."""
    model = make_model(copy.deepcopy(backbone), "ezclip").train()
    config = replace(CONFIG, mixup=True, micro_batch=4)
    step = whole_step(model, Accelerator(cpu=True), config, MetricBuffer(torch.device("cuda"), every=10))
    step()
    clips = tv_tensors.Video(VIEWS.float())
    cutmix_reads = reads(lambda: v2.CutMix(num_classes=3)(clips, TARGETS))  # what step 7 draws
    assert reads(step) == cutmix_reads + Counter({"aten::item": 1 + len(model.trainable_parameters())})


def test_metrics_are_read_each_step_on_a_cpu_and_together_on_a_gpu() -> None:
    cpu, gpu = (MetricBuffer(torch.device(kind), every=3) for kind in ("cpu", "cuda"))
    assert [cpu.due(step) for step in (1, 2, 3)] == [True, True, True]
    assert [gpu.due(step) for step in (1, 2, 3)] == [False, False, True]
    for step in (1, 2):
        gpu.add(step, {"loss": torch.tensor(0.5 * step), "lr": 0.25})
    assert list(gpu.read()) == [(1, {"loss": 0.5, "lr": 0.25}), (2, {"loss": 1.0, "lr": 0.25})]
    assert list(gpu.read()) == []


@pytest.mark.cuda
@pytest.mark.parametrize(("mixup", "contrastive"), [(False, "classes"), (True, "classes"), (False, "in_batch")])
def test_no_step_waits_for_the_gpu(backbone: Backbone, mixup: bool, contrastive: Any) -> None:
    model = make_model(copy.deepcopy(backbone), "ezclip").train()
    accelerator = start_accelerator("bf16")
    cast_frozen_to_bf16(model)
    readings = MetricBuffer(accelerator.device, every=10)
    config = replace(CONFIG, precision="bf16", micro_batch=2, mixup=mixup, contrastive=contrastive)
    step = whole_step(model, accelerator, config, readings)
    step()
    with no_waiting():
        step()
    assert [values["loss"] > 0 for _, values in readings.read()] == [True, True]
