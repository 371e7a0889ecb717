"""The optimiser and its schedule: AdamW, linear warm-up, cosine."""

import math
from functools import partial

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(groups: list[dict], *, weight_decay: float, betas: tuple[float, float], eps: float) -> AdamW:
    """AdamW over parameter groups of the form {"params": [...], "lr": ...}."""
    return AdamW(groups, weight_decay=weight_decay, betas=betas, eps=eps, fused=True)


def warmup_cosine(
    optimiser: torch.optim.Optimizer,
    *,
    warmup: int,
    steps: int,
    starts: list[int] | None = None,
    final: float = 0.0,
    every: int = 1,
) -> LambdaLR:
    """Factor of a group's rate: 0 before its start, linear growth over ``warmup`` steps, a cosine to ``final``.

    Args:
        optimiser: whose groups are scheduled.
        warmup: number of steps, at least 1.
        steps: of the whole run; the cosine ends there.
        starts: a step for each group; None starts all at 0.
        final: the last factor, in [0, 1]; 1 is a constant rate.
        every: steps for which a factor is kept (10 in the release).
    """

    def factor(start: int, step: int) -> float:
        step -= step % every
        if step < start:
            return 0.0
        if step < start + warmup:
            return (step - start + 1) / warmup
        done = min((step - start - warmup) / max(steps - start - warmup, 1), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    starts = starts or [0] * len(optimiser.param_groups)
    return LambdaLR(optimiser, [partial(factor, start) for start in starts])
