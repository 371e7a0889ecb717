"""Hooks fire only in the thread that set them, and traces in bfloat16 agree with float32."""

import threading

import pytest
import torch

from ezclip.explanation.methods import Fusion
from ezclip.explanation.trace import compute_trace, hooked, trace_attention
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.types import Variant
from tests.conftest import TINY, make_model


def test_a_trace_is_not_disturbed_by_another_thread(backbone: Backbone, pixels: torch.Tensor) -> None:
    model = make_model(backbone, "ezclip")
    with torch.no_grad(), trace_attention(model) as trace:
        other = threading.Thread(target=lambda: model.encode_video(pixels))
        other.start()
        other.join()
        assert trace.frames == []
        model.encode_video(pixels[:1])
    assert len(trace.frames) == 3 and trace.frames[0].shape[0] == 8


@pytest.mark.parametrize("variant", ["base", "ezclip"])
@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_a_bfloat16_model_records_the_probabilities_that_it_computes(
    variant: Variant, fusion: Fusion, pixels: torch.Tensor
) -> None:
    torch.manual_seed(0)
    model = make_model(build_backbone("tiny", TINY), variant)
    exact = compute_trace(model, pixels[:1], fusion)
    model.to(torch.bfloat16)
    used: list[torch.Tensor] = []
    points = [model.get_submodule(f"vision.blocks.{k}.mix.probabilities") for k in range(model.layers)]
    with hooked([(point, lambda *call: used.append(call[-1])) for point in points]):
        trace = compute_trace(model, pixels[:1], fusion)
    fuse = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}[fusion]
    torch.testing.assert_close(trace.frames, [fuse(A.float(), dim=1) for A in used])
    for rounded, full in zip(trace.frames + trace.prompts, exact.frames + exact.prompts, strict=True):
        if full is None:
            assert rounded is None
        else:
            torch.testing.assert_close(rounded, full, atol=0.02, rtol=0.05)
