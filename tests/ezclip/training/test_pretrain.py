"""A step of pretraining waits for no device, with pairs of views and without."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from ezclip.config import PretrainConfig
from ezclip.model.backbone import build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.text.tokens import tokenize
from ezclip.training.device import MetricBuffer, start_accelerator
from ezclip.training.optim import adamw, warmup_cosine
from ezclip.training.pretrain import StepRunner, architecture
from ezclip.training.stills import Stills, Views
from ezclip.training.views import WithHeads
from tests.ezclip.training.test_grow import SIZES
from tests.ezclip.training.waiting import no_waiting, reads


def one_step(pairs: float, accelerator: Accelerator) -> tuple[Callable[[], None], StepRunner]:
    """A step of pretraining from views of eight stills to metrics, which are not read, and its runner."""
    config = PretrainConfig(out="", sizes=SIZES, stills=8, batch_size=8, pairs=pairs)  # type: ignore[arg-type]
    model = build_ezclip(build_backbone("tiny", architecture(config)), "clip", num_frames=1).train()
    for parameter in model.parameters():
        parameter.requires_grad_()
    trained = WithHeads(model) if pairs else model
    optimiser = adamw([{"params": [*trained.parameters()], "lr": 1e-3}], weight_decay=0.1, betas=(0.9, 0.98), eps=1e-6)
    schedule = warmup_cosine(optimiser, warmup=1, steps=10)
    wrapped, optimiser = accelerator.prepare(trained, optimiser)
    rng = np.random.default_rng(0)
    captions = ["a red cup", "a blue ball"] * 4
    data = Stills(rng.integers(0, 256, (8, 3, 80, 80), np.uint8), np.tile([40.0, 40.0, 80.0], (8, 1)), captions)
    tokens, _ = tokenize(captions[:2])
    buffer = MetricBuffer(torch.device("cuda"), every=10)
    runner = StepRunner(config, tokens, model, wrapped, accelerator, optimiser, schedule, buffer)
    batch = Views(config, data, torch.arange(8) % 2, [np.arange(8)], 0, 1)[1]
    return partial(runner.run, 1, *batch), runner


@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_no_value_is_read_in_a_step(pairs: float) -> None:
    step, runner = one_step(pairs, Accelerator(cpu=True))
    step()
    # The length of the longest text, in main memory; AdamW's kernel for CPUs reads the step of each tensor.
    assert reads(step) == {"aten::item": 1 + len(runner.optimiser.state)}


@pytest.mark.cuda
@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_no_step_waits_for_the_gpu(pairs: float) -> None:
    step, runner = one_step(pairs, start_accelerator("bf16"))
    step()
    with no_waiting():
        step()
    assert [values["loss"] > 0 for _, values in runner.buffer.read()] == [True, True]
