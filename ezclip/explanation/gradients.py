"""Attribution of a label's score to patches: captum's methods, and rollout weighted by gradients.

The score is the cosine between the video's and the label's embedding. A method's heat (T, N) is the positive
contribution of each patch to it; negative ones count as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace, attention_hooks, hooked, probabilities
from ezclip.model.block import Block
from ezclip.model.interface import VideoText

IG_STEPS = (16, 256)  # at first and at most
IG_WITHIN = 0.01  # convergence delta, relative to the change of the cosine
_BATCH = 4  # clips in one pass of captum


def cosine(model: VideoText, pixels: Tensor, text: Tensor) -> Tensor:
    """Cosine between videos (B, T, 3, S, S) and one label's embedding (E,): (B,) float32."""
    return model.cosines(model.encode(pixels), text[None])[:, 0]


def integrated_gradients(inputs: Inputs) -> Map:
    """Gradients along the line from the clip's mean colour to the clip, with the convergence delta.

    The delta is the difference of the sum of all attributions to the change of the cosine. The steps of the sum, 16 at
    first, double until the delta is under 1 % of that change; the note says so where 256 do not suffice.
    """
    from captum.attr import IntegratedGradients

    pixels, start = inputs.pixels, _mean_colour(inputs.pixels)
    with torch.no_grad():
        change = float(cosine(inputs.model, pixels, inputs.label) - cosine(inputs.model, start, inputs.label))
    method = IntegratedGradients(_counted(inputs, 2 * IG_STEPS[1]))
    steps, most = IG_STEPS
    while True:
        values, delta = method.attribute(
            pixels, start, n_steps=steps, internal_batch_size=_BATCH, return_convergence_delta=True
        )
        converged = abs(float(delta)) <= IG_WITHIN * abs(change)
        if converged or steps >= most:
            break
        steps *= 2
    note = f"Convergence delta {float(delta):+.4f} of a change of the cosine by {change:+.4f}, {steps} steps."
    note += "" if converged else " It did not converge: read the map with care."
    return Map(_patches(values, inputs.model.grid), note=note)


def occlusion(inputs: Inputs) -> Map:
    """Drop in the cosine when 2x2 patches of one frame are covered with the clip's mean colour."""
    from captum.attr import Occlusion

    pixels, grid = inputs.pixels, inputs.model.grid
    window = (1, 3, *2 * [2 * pixels.shape[-1] // grid])
    windows = pixels.shape[1] * (-(-grid // 2)) ** 2
    with torch.no_grad():
        values = Occlusion(_counted(inputs, windows)).attribute(
            pixels,
            sliding_window_shapes=window,
            strides=window,
            baselines=_mean_colour(pixels),
            perturbations_per_eval=_BATCH,
        )
    return Map(_patches(values, grid), note="Cells of 2x2 patches in one frame at a time.")


def grad_cam(inputs: Inputs) -> Map:
    """Grad-CAM on the last block's attention input: its layer norm, without class and prompt tokens.

    The patch tokens are reshaped to (T, D, grid, grid) for captum; channels are weighted by the mean
    gradient of the cosine over a frame's patches.
    """
    from captum.attr import LayerGradCam

    last = inputs.model.vision.blocks[-1]
    assert isinstance(last, Block)
    tap, grid = nn.Identity(), inputs.model.vision.grid
    N = grid * grid

    def detour(module: nn.Module, inputs: tuple[Tensor, ...], tokens: Tensor) -> Tensor | None:
        if tokens.shape[1] <= N:  # the prompts pass through the same layer norm
            return None
        patches = tap(tokens[:, 1 : 1 + N].transpose(1, 2).unflatten(-1, (grid, grid)))
        return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2), tokens[:, 1 + N :]], dim=1)

    with hooked([(last.ln_1, detour)]):
        cam = LayerGradCam(_counted(inputs, 1), tap)
        heat = cam.attribute(inputs.pixels.clone().requires_grad_(), relu_attributions=True)
    assert isinstance(heat, Tensor)
    return Map(heat.flatten(1))


def gradient_rollout(inputs: Inputs) -> Map:
    """Rollout of attention weighted by gradients, see ``gradient_trace``.

    The rollout normalises its rows again; a row without positive gradient passes nothing through attention.
    """
    result = roll_out(gradient_trace(inputs), inputs.settings)
    return Map(result.heat, result.influence)


def gradient_trace(inputs: Inputs) -> AttentionTrace:
    """Each attention A, among the prompts too, as the head mean of relu(dA * A), dA the gradient of the cosine."""
    inputs.report(0.0)
    seen = AttentionTrace.of(inputs.model)
    with hooked(attention_hooks(inputs.model, materialise, seen)):
        score = cosine(inputs.model, inputs.pixels.clone().requires_grad_(), inputs.label).sum()
        inputs.report(0.4)
        every = [p for p in (*seen.frames, *seen.prompts, *seen.across) if p is not None]
        gradients = torch.autograd.grad(score, every, materialize_grads=True)  # 0 where the score does not depend on A
    inputs.report(0.9)
    positive = {p: (dp * p).clamp_min(0).mean(dim=1).detach() for p, dp in zip(every, gradients, strict=True)}
    return replace(
        seen,
        frames=[positive[p] for p in seen.frames],
        prompts=[p if p is None else positive[p] for p in seen.prompts],
        across=[positive[p] for p in seen.across],
    )


def materialise(keep: Callable[[Tensor], None], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention through float32 probabilities, which keep their gradients."""
    keep(p := probabilities(q, k))
    return p.to(v.dtype) @ v


def _counted(inputs: Inputs, clips: int) -> Callable[[Tensor], Tensor]:
    """The score function for captum; reports the fraction of about ``clips`` forward passes."""
    seen = 0

    def forward(pixels: Tensor) -> Tensor:
        nonlocal seen
        inputs.report(min(seen / clips, 1.0))
        seen += len(pixels)
        return cosine(inputs.model, pixels, inputs.label)

    return forward


def _mean_colour(pixels: Tensor) -> Tensor:
    return pixels.mean(dim=(1, 3, 4), keepdim=True).expand_as(pixels)


def _patches(values: Tensor, grid: int) -> Tensor:
    """Attributions (1, T, 3, S, S) to heat (T, N): the positive part of each patch's sum."""
    side = values.shape[-1] // grid
    sums = F.avg_pool2d(values[0].sum(dim=1).float(), side) * side**2  # (T, grid, grid)
    return sums.clamp_min(0).flatten(1)
