"""Attribution of a label's score to patches: captum's methods and gradient-weighted rollout.

The score is the cosine between the embeddings of the video and the label. Heat (T, N) is the positive contribution of
each patch; negative contributions count as 0.
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

IG_STEPS = (16, 256)  # initial and maximum
IG_WITHIN = 0.01  # tolerated convergence delta, relative to the change of the cosine
_BATCH = 4  # clips in one forward pass of captum


def cosine(model: VideoText, pixels: Tensor, text: Tensor) -> Tensor:
    """Cosine between videos (B, T, 3, S, S) and one label's embedding (E,): (B,) float32."""
    return model.cosines(model.encode(pixels), text[None])[:, 0]


def integrated_gradients(inputs: Inputs) -> Map:
    """Integrated gradients from the clip's mean colour to the clip, with the convergence delta in the note.

    The delta is the difference between the sum of all attributions and the change of the cosine. The number of steps
    doubles from 16 until the delta is below 1 % of that change, up to 256; the note states if it did not converge.
    """
    from captum.attr import IntegratedGradients

    pixels, baseline = inputs.pixels, _mean_colour(inputs.pixels)
    with torch.no_grad():
        change = float(cosine(inputs.model, pixels, inputs.label) - cosine(inputs.model, baseline, inputs.label))
    method = IntegratedGradients(_score_function(inputs, 2 * IG_STEPS[1]))
    steps, max_steps = IG_STEPS
    while True:
        values, delta = method.attribute(
            pixels, baseline, n_steps=steps, internal_batch_size=_BATCH, return_convergence_delta=True
        )
        converged = abs(float(delta)) <= IG_WITHIN * abs(change)
        if converged or steps >= max_steps:
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
        values = Occlusion(_score_function(inputs, windows)).attribute(
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
    probe, grid = nn.Identity(), inputs.model.vision.grid
    N = grid * grid

    def detour(module: nn.Module, inputs: tuple[Tensor, ...], tokens: Tensor) -> Tensor | None:
        if tokens.shape[1] <= N:  # the prompts share this layer norm
            return None
        patches = probe(tokens[:, 1 : 1 + N].transpose(1, 2).unflatten(-1, (grid, grid)))
        return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2), tokens[:, 1 + N :]], dim=1)

    with hooked([(last.ln_1, detour)]):
        cam = LayerGradCam(_score_function(inputs, 1), probe)
        heat = cam.attribute(inputs.pixels.clone().requires_grad_(), relu_attributions=True)
    assert isinstance(heat, Tensor)
    return Map(heat.flatten(1))


def gradient_rollout(inputs: Inputs) -> Map:
    """Rollout of gradient-weighted attention, see ``gradient_trace``.

    The rollout renormalises rows; a row without positive gradients contributes nothing through attention.
    """
    result = roll_out(gradient_trace(inputs), inputs.settings)
    return Map(result.heat, result.influence)


def gradient_trace(inputs: Inputs) -> AttentionTrace:
    """Attention A of all layers, including the prompts, as the head mean of relu(dA * A), dA the cosine's gradient."""
    inputs.report(0.0)
    trace = AttentionTrace.of(inputs.model)
    with hooked(attention_hooks(inputs.model, materialise, trace)):
        score = cosine(inputs.model, inputs.pixels.clone().requires_grad_(), inputs.label).sum()
        inputs.report(0.4)
        attention = [p for p in (*trace.frames, *trace.prompts, *trace.temporal) if p is not None]
        gradients = torch.autograd.grad(score, attention, materialize_grads=True)  # 0 for unused attention
    inputs.report(0.9)
    positive = {p: (dp * p).clamp_min(0).mean(dim=1).detach() for p, dp in zip(attention, gradients, strict=True)}
    return replace(
        trace,
        frames=[positive[p] for p in trace.frames],
        prompts=[p if p is None else positive[p] for p in trace.prompts],
        temporal=[positive[p] for p in trace.temporal],
    )


def materialise(append: Callable[[Tensor], None], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention with explicit float32 probabilities, for their gradients."""
    append(p := probabilities(q, k))
    return p.to(v.dtype) @ v


def _score_function(inputs: Inputs, clips: int) -> Callable[[Tensor], Tensor]:
    """The score function for captum; reports progress as a fraction of ``clips`` forward passes."""
    count = 0

    def forward(pixels: Tensor) -> Tensor:
        nonlocal count
        inputs.report(min(count / clips, 1.0))
        count += len(pixels)
        return cosine(inputs.model, pixels, inputs.label)

    return forward


def _mean_colour(pixels: Tensor) -> Tensor:
    return pixels.mean(dim=(1, 3, 4), keepdim=True).expand_as(pixels)


def _patches(values: Tensor, grid: int) -> Tensor:
    """Sum attributions (1, T, 3, S, S) over each patch and keep the positive part: heat (T, N)."""
    size = values.shape[-1] // grid
    sums = F.avg_pool2d(values[0].sum(dim=1).float(), size) * size**2  # (T, grid, grid)
    return sums.clamp_min(0).flatten(1)
