"""Rollout: by hand, top-down against the dense matrix, and invariants of every model."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ezclip.errors import UserError
from ezclip.explanation.maps import explain
from ezclip.explanation.methods import METHODS, MapSettings
from ezclip.explanation.rollout import Rollout, roll_out
from ezclip.explanation.trace import AttentionTrace, compute_trace, trace_attention
from ezclip.model.backbone import Backbone
from ezclip.types import Variant
from tests.conftest import make_model


def dense(trace: AttentionTrace) -> Tensor:
    """R of the last block, (T, 1+N, T, 1+N), bottom-up by the definition."""
    T = len(trace.frames[-1])
    n = trace.frames[-1].shape[-1] - int(trace.prompts[-1] is not None)
    R = torch.eye(T * n).view(T, n, T, n)
    for A, P in zip(trace.frames, trace.prompts, strict=True):
        new = torch.empty_like(R)
        for t in range(T):
            new[t] = R[t] + torch.einsum("ij,jsk->isk", A[t, :n, :n], R[t])
            if P is not None:
                r = sum(P[0, t, s] * R[s].mean(dim=0) for s in range(T))
                new[t] += A[t, :n, n, None, None] * r
        R = new / 2
    return R


@pytest.mark.parametrize(("variant", "depth"), [("base", "none"), ("ezclip", "deep"), ("ezclip", "shallow")])
def test_downwards_equals_dense(backbone: Backbone, pixels: Tensor, variant: str, depth: str) -> None:
    model = make_model(backbone, variant, depth=depth)
    trace = compute_trace(model, pixels[:1])
    R = dense(trace)
    torch.testing.assert_close(R.sum(dim=(2, 3)), torch.ones(8, 17), atol=1e-5, rtol=0)
    torch.testing.assert_close(roll_out(trace).weights, R[:, 0], atol=1e-6, rtol=1e-4)


def test_by_hand_with_one_patch() -> None:
    # T = 2, N = 1. Frame 0: the class token attends half to the patch, half to the prompt; all others to themselves.
    A = torch.zeros(2, 3, 3)
    A[:] = torch.eye(3)
    A[0, 0] = torch.tensor([0.0, 0.5, 0.5])
    P = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])  # each prompt reads the other frame
    W = roll_out(AttentionTrace([A], [P])).weights
    # 1/2 (class token 1 + patch 0.5 + 0.5 of the mean of frame 1's two tokens)
    expected = torch.tensor([[[0.5, 0.25], [0.125, 0.125]], [[0.0, 0.0], [1.0, 0.0]]])
    torch.testing.assert_close(W, expected)
    torch.testing.assert_close(Rollout(W).influence, torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    torch.testing.assert_close(Rollout(W).heat, torch.tensor([[0.125], [0.0625]]))
    torch.testing.assert_close(Rollout(W).own_frame, torch.tensor([[0.25], [0.0]]))


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.5])
def test_rows_sum_to_one(backbone: Backbone, pixels: Tensor, fusion: str, discard: float) -> None:
    trace = compute_trace(make_model(backbone, "ezclip"), pixels[:1], fusion)
    result = roll_out(trace, MapSettings(discard=discard))
    torch.testing.assert_close(result.influence.sum(dim=1), torch.ones(8), atol=1e-5, rtol=0)
    assert (result.weights >= 0).all()


def test_base_frames_draw_on_themselves_only(backbone: Backbone, pixels: Tensor) -> None:
    influence = roll_out(compute_trace(make_model(backbone, "base"), pixels[:1])).influence
    torch.testing.assert_close(influence, torch.eye(8), atol=1e-5, rtol=0)
    mixed = roll_out(compute_trace(make_model(backbone, "ezclip"), pixels[:1])).influence
    assert (mixed - torch.eye(8)).abs().max() > 1e-3


def test_start_layer_above_all_leaves_one_block(backbone: Backbone, pixels: Tensor) -> None:
    trace = compute_trace(make_model(backbone, "base"), pixels[:1])
    weights = roll_out(trace, MapSettings(start_layer=2)).weights
    A = trace.frames[2]
    expected = (torch.eye(17)[0] + A[:, 0]) / 2
    torch.testing.assert_close(weights[torch.arange(8), torch.arange(8)], expected, atol=1e-6, rtol=1e-4)


def test_attention_equals_a_softmax_and_no_hook_survives(backbone: Backbone, pixels: Tensor) -> None:
    model = make_model(backbone, "ezclip")
    with pytest.raises(RuntimeError), trace_attention(model) as trace, torch.no_grad():
        model.encode_video(pixels[:1])
        assert [p.shape for p in trace.prompts] == [(1, 8, 8)] * 3
        raise RuntimeError
    assert not any(m._forward_hooks for m in model.modules())
    before = len(trace.frames)
    model.encode_video(pixels[:1])
    assert len(trace.frames) == before == 3


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.needs_label])
def test_every_method_gives_finite_maps(backbone: Backbone, pixels: Tensor, method: str) -> None:
    model = make_model(backbone, "ezclip")
    attribution = explain(model, pixels[:1], torch.arange(8).numpy(), name="m", method=method)
    assert attribution.heat.shape == (8, 4, 4)
    assert (attribution.influence is None) == (not method.startswith("rollout"))
    assert 0 < attribution.heat.sum() <= 8 + 1e-4


def test_settings_out_of_range(backbone: Backbone, pixels: Tensor) -> None:
    model = make_model(backbone, "base")
    trace = compute_trace(model, pixels[:1])
    with pytest.raises(UserError, match="start layer is 3"):
        roll_out(trace, MapSettings(start_layer=3))
    with pytest.raises(UserError, match="discard is 1;"):
        roll_out(trace, MapSettings(discard=1.0))
    with pytest.raises(UserError, match="median"):
        compute_trace(model, pixels[:1], "median")
    with pytest.raises(UserError, match="gradcam"):
        explain(model, pixels[:1], torch.arange(8).numpy(), name="m", method="gradcam")


def test_own_frame_is_the_rollouts_part_without_the_other_frames(backbone: Backbone, pixels: Tensor) -> None:
    """The whole rollout if frames exchange nothing, less than that otherwise."""

    def heat(variant: Variant, method: str) -> np.ndarray:
        model = make_model(backbone, variant)
        return explain(model, pixels[:1], np.arange(8.0), name="m", method=method).heat

    np.testing.assert_allclose(heat("base", "rollout-own-frame"), heat("base", "rollout"), rtol=1e-5)
    assert (heat("ezclip", "rollout-own-frame") < heat("ezclip", "rollout")).all()
