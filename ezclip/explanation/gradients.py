"""Attribution of a label's score to patches: captum's methods, and rollout weighted by gradients.

The score is the cosine between the video's and the label's embedding. Each method returns the positive contributions
to it, patch by patch; negative ones count as 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.trace import AttentionTrace, Hook, attention_hooks, hooked, probabilities
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.progress import Report

IG_STEPS = 16
_BATCH = 4  # clips in one pass of captum


def cosine(model: EZCLIP, pixels: Tensor, text: Tensor) -> Tensor:
    """Cosine between videos (B, T, 3, S, S) and one label's embedding (E,): (B,) float32."""
    videos = F.normalize(model.encode_video(pixels).float().mean(dim=1), dim=-1)
    return videos @ F.normalize(text.float(), dim=-1)


def integrated_gradients(model: EZCLIP, pixels: Tensor, text: Tensor, report: Report) -> tuple[Tensor, str]:
    """Gradients along the line from the clip's mean colour to the clip, 16 steps.

    Returns:
        Heat (T, N), the positive part of each patch's sum, and a note with the convergence delta: the difference of
        the sum of all attributions to the change of the cosine.
    """
    from captum.attr import IntegratedGradients

    start = pixels.mean(dim=(1, 3, 4), keepdim=True).expand_as(pixels)
    forward = _counted(model, text, report, IG_STEPS + 2)
    values, delta = IntegratedGradients(forward).attribute(
        pixels, start, n_steps=IG_STEPS, internal_batch_size=_BATCH, return_convergence_delta=True
    )
    with torch.no_grad():
        change = float(cosine(model, pixels, text) - cosine(model, start, text))
    note = f"Convergence delta {float(delta):+.4f} of a change of the cosine by {change:+.4f}."
    return _patches(values, model.vision.grid), note


def occlusion(model: EZCLIP, pixels: Tensor, text: Tensor, report: Report) -> Tensor:
    """Drop in the cosine when 2x2 patches of one frame are covered with the clip's mean colour; heat (T, N)."""
    from captum.attr import Occlusion

    grid, T = model.vision.grid, pixels.shape[1]
    side = 2 * pixels.shape[-1] // grid
    windows = T * (-(-grid // 2)) ** 2
    with torch.no_grad():
        values = Occlusion(_counted(model, text, report, windows)).attribute(
            pixels,
            sliding_window_shapes=(1, 3, side, side),
            strides=(1, 3, side, side),
            baselines=pixels.mean(dim=(1, 3, 4), keepdim=True).expand_as(pixels),
            perturbations_per_eval=_BATCH,
        )
    return _patches(values, grid)


def grad_cam(model: EZCLIP, pixels: Tensor, text: Tensor, report: Report) -> Tensor:
    """Grad-CAM on the last block's attention input: its layer norm, without class and prompt tokens.

    The patch tokens are reshaped to (T, D, grid, grid) for captum; channels are weighted by the mean
    gradient of the cosine over a frame's patches. Heat (T, N).
    """
    from captum.attr import LayerGradCam

    last = model.vision.blocks[-1]
    assert isinstance(last, Block)
    tap, grid = nn.Identity(), model.vision.grid
    N = grid * grid

    def detour(module: nn.Module, inputs: tuple[Tensor, ...], tokens: Tensor) -> Tensor | None:
        if tokens.shape[1] <= N:  # the prompts pass through the same layer norm
            return None
        patches = tap(tokens[:, 1 : 1 + N].transpose(1, 2).unflatten(-1, (grid, grid)))
        return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2), tokens[:, 1 + N :]], dim=1)

    with hooked([(last.ln_1, detour)]):
        cam = LayerGradCam(_counted(model, text, report, 1), tap)
        heat = cam.attribute(pixels.clone().requires_grad_(), relu_attributions=True)
    assert isinstance(heat, Tensor)
    return heat.detach().flatten(1).float()


def gradient_trace(model: EZCLIP, pixels: Tensor, text: Tensor, report: Report) -> AttentionTrace:
    """A trace with each attention A replaced by the head mean of relu(dA * A), dA the gradient of the cosine; P too.

    A rollout normalises its rows again; a row without positive gradient passes nothing through attention.
    """
    report(0.0)
    frames: list[Tensor] = []
    prompts: list[Tensor | None] = []
    with hooked(attention_hooks(model, _materialise, frames, prompts)):
        score = cosine(model, pixels.clone().requires_grad_(), text).sum()
        report(0.4)
        every = [p for p in (*frames, *prompts) if p is not None]
        gradients = torch.autograd.grad(score, every, allow_unused=True)
    report(0.9)
    positive = {id(p): _positive(p, gradient) for p, gradient in zip(every, gradients, strict=True)}
    return AttentionTrace([positive[id(p)] for p in frames], [None if p is None else positive[id(p)] for p in prompts])


def _positive(attention: Tensor, gradient: Tensor | None) -> Tensor:
    """Head mean of relu(dA * A); 0 where the score does not depend on A."""
    gradient = torch.zeros_like(attention) if gradient is None else gradient
    return (gradient * attention).clamp_min(0).mean(dim=1).detach()


def _materialise(keep: Callable[[Tensor], None]) -> Hook:
    """A hook that computes attention through float32 probabilities, which keep their gradients."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        q, k, v = inputs
        keep(p := probabilities(q, k))
        return p.to(v.dtype) @ v

    return hook


def _counted(model: EZCLIP, text: Tensor, report: Report, clips: int) -> Callable[[Tensor], Tensor]:
    """The score function for captum; ``report`` receives the fraction of about ``clips`` forward passes."""
    seen = 0

    def forward(pixels: Tensor) -> Tensor:
        nonlocal seen
        report(min(seen / clips, 1.0))
        seen += len(pixels)
        return cosine(model, pixels, text)

    return forward


def _patches(values: Tensor, grid: int) -> Tensor:
    """Attributions (1, T, 3, S, S) to heat (T, N): the positive part of each patch's sum."""
    side = values.shape[-1] // grid
    sums = F.avg_pool2d(values[0].sum(dim=1).float(), side) * side**2  # (T, grid, grid)
    return sums.clamp_min(0).flatten(1)
