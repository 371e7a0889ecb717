"""Initial temporal prompts that make the order of frames visible, learned without labels before the training."""

from __future__ import annotations

import random

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor

from ezclip.data.dataset import Clips
from ezclip.model.ezclip import EZCLIP
from ezclip.model.temporal_prompt import TemporalPrompt
from ezclip.progress import Progress, Steps
from ezclip.training import batches

RATE, CLIPS = 0.3, 8  # learning rate of the prompts, and clips of a step


def show_order(model: EZCLIP, clips: Clips, accelerator: Accelerator, *, steps: int, seed: int) -> Steps[None]:
    """Train the prompts alone to give a clip and its reversal different video embeddings.

    With random prompts the two differ by a few percent of what different clips do, and a training sees no order for
    hundreds of steps. This maximises the logarithm of that ratio. Not in the paper.

    Args:
        model: on the device; without temporal prompts, nothing is done.
        clips: clips to draw from.
        accelerator: of the run.
        steps: optimiser steps with ``CLIPS`` clips and their reversals, at a linearly decreasing rate.
        seed: of the clips.
    """
    rng, device = random.Random(seed), accelerator.device
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    prompts = [module.embedding for module in model.modules() if isinstance(module, TemporalPrompt)]
    if not prompts:
        return
    optimiser = torch.optim.Adam(prompts, lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    for parameter in trainable:
        parameter.requires_grad_(False)
    for prompt in prompts:
        prompt.requires_grad_()
    for step in range(1, steps + 1):
        batch = batches.collate([clips[0, rng.randrange(len(clips))] for _ in range(CLIPS)])
        views = model.normalise(batches.views_of(batch, model.image_size, device))
        with accelerator.autocast(), torch.compiler.set_stance("force_eager"):  # compiled for another batch size
            frames = model.encode_video(torch.cat([views, views.flip(1)]))
        ratio = order_ratio(*frames.float().mean(dim=1).chunk(2))
        (-ratio.log()).backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        yield Progress(0.0, f"order, step {step} of {steps}: ratio {ratio.item():.3f}")
    for parameter in trainable:
        parameter.requires_grad_()
    for prompt in prompts:
        prompt.data.copy_(broadcast(prompt.data))


def order_ratio(forward: Tensor, backward: Tensor) -> Tensor:
    """Geometric mean of the clips' distances from their reversals, relative to their mean distance from their centre.

    Args:
        forward: video embeddings (B, E).
        backward: those of the reversed clips.
    """
    spread = (forward - forward.mean(dim=0)).norm(dim=1).mean().detach()
    return ((forward - backward).norm(dim=1) / spread).log().mean().exp()
