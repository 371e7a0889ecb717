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
    """Learning rate factor of each group: 0 before its start, linear warm-up, then a cosine to ``final``.

    Args:
        optimiser: optimiser whose groups are scheduled.
        warmup: number of warm-up steps, at least 1.
        steps: length of the whole run, where the cosine ends.
        starts: first step of each group; None starts all at 0.
        final: last factor, in [0, 1]; 1 is a constant rate.
        every: number of steps between updates of the factor (10 in the release).
    """

    def factor(start: int, step: int) -> float:
        step -= step % every
        if step < start:
            return 0.0
        if step < start + warmup:
            return (step - start + 1) / warmup
        progress = min((step - start - warmup) / max(steps - start - warmup, 1), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    starts = starts or [0] * len(optimiser.param_groups)
    return LambdaLR(optimiser, [partial(factor, start) for start in starts])
