"""Hooks fire only in the thread that set them."""

import threading

import torch

from ezclip.explanation.trace import trace_attention
from ezclip.model.backbone import Backbone
from tests.conftest import make_model


def test_a_trace_is_not_disturbed_by_another_thread(backbone: Backbone, pixels: torch.Tensor) -> None:
    model = make_model(backbone, "ezclip")
    with torch.no_grad(), trace_attention(model) as trace:
        other = threading.Thread(target=lambda: model.encode_video(pixels))
        other.start()
        other.join()
        assert trace.frames == []
        model.encode_video(pixels[:1])
    assert len(trace.frames) == 3 and trace.frames[0].shape[0] == 8
