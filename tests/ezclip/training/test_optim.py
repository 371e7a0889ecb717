"""The schedule, with factors worked out by hand."""

from typing import Any

import pytest
import torch

from ezclip.training.optim import adamw, warmup_cosine

ADAMW: dict[str, Any] = {"weight_decay": 0.0, "betas": (0.9, 0.98), "eps": 1e-8}


def test_a_group_that_starts_later() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 10.0)]
    optimiser = adamw(groups, **ADAMW)
    assert all(group["fused"] for group in optimiser.param_groups)
    schedule = warmup_cosine(optimiser, warmup=2, steps=10, starts=[0, 4])
    rates = []
    for _ in range(10):
        rates.append(schedule.get_last_lr())
        optimiser.step()
        schedule.step()
    first, second = zip(*rates, strict=True)
    assert first[:3] == (0.5, 1.0, 1.0)  # warm-up over two steps, then the top of the cosine
    assert first[6] == pytest.approx(0.5)  # half of the 8 steps that fall
    assert second[:4] == (0.0, 0.0, 0.0, 0.0) and second[4:7] == (5.0, 10.0, 10.0)
    assert second[8] == pytest.approx(5.0)
    assert schedule.get_last_lr() == [0.0, 0.0]


@pytest.mark.parametrize(("final", "rates"), [(0.01, [0.5, 1.0, 1.0, 0.505, 0.01]), (1.0, [0.5, 1.0, 1.0, 1.0, 1.0])])
def test_a_cosine_that_ends_above_zero(final: float, rates: list[float]) -> None:
    optimiser = adamw([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}], **ADAMW)
    schedule = warmup_cosine(optimiser, warmup=2, steps=4, final=final)
    schedule_rates = []
    for _ in range(5):
        schedule_rates += schedule.get_last_lr()
        optimiser.step()
        schedule.step()
    assert schedule_rates == pytest.approx(rates)  # warm-up, top, half of the fall, end


def test_a_rate_is_kept_for_several_steps() -> None:
    optimiser = adamw([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}], **ADAMW)
    schedule = warmup_cosine(optimiser, warmup=4, steps=20, every=3)
    rates = []
    for _ in range(9):
        rates += schedule.get_last_lr()
        optimiser.step()
        schedule.step()
    # those of steps 0 and 3 of the warm-up and of step 6, two of the 16 that fall
    assert rates == pytest.approx([0.25] * 3 + [1.0] * 3 + [0.9619398] * 3)
