"""The optimiser and its schedule: AdamW, linear warm-up, cosine to 0."""

import math

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(groups: list[dict], *, weight_decay: float, betas: tuple[float, float], eps: float) -> AdamW:
    """AdamW over parameter groups of the form {"params": [...], "lr": ...}."""
    return AdamW(groups, weight_decay=weight_decay, betas=betas, eps=eps, fused=True)


def warmup_cosine(optimiser: torch.optim.Optimizer, *, warmup: int, steps: int) -> LambdaLR:
    """Factor of every group's rate: grows linearly over ``warmup`` steps, then falls as a cosine to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(steps - warmup, 1), 1.0)))

    return LambdaLR(optimiser, factor)
