"""Chefer's rule by hand."""

import pytest
import torch
from torch import Tensor

from ezclip.explanation.methods import MapSettings
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace


def relevance(frames: list[Tensor], prompts: list[Tensor | None] | None = None, start: int = 0) -> Tensor:
    trace = AttentionTrace(frames, prompts or [None] * len(frames))
    return roll_out(trace, MapSettings(start_layer=start), normalised=False).weights


def test_two_blocks_and_one_patch() -> None:
    blocks = [torch.tensor([[[0.2, 0.4], [0.0, 0.5]]]), torch.tensor([[[0.1, 0.3], [0.0, 0.0]]])]
    torch.testing.assert_close(relevance(blocks), torch.tensor([[[1.32, 0.89]]]))
    assert float(relevance(blocks, start=1)[0, 0, 1]) == pytest.approx(0.3)  # the authors' default
    assert float(roll_out(AttentionTrace(blocks, [None, None])).heat) == pytest.approx(7 / 12)  # gradient rollout
    assert float(relevance([100 * block for block in blocks])[0, 0, 1]) == pytest.approx(1970)


def test_the_scale_of_the_score_matters() -> None:
    first, second = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3)
    first[0, 0, 1], first[0, 2, 1] = 0.1, 0.9
    second[0, 0] = torch.tensor([0.0, 0.2, 0.3])
    torch.testing.assert_close(relevance([first, second])[0, 0, 1:], torch.tensor([0.57, 0.30]))
    torch.testing.assert_close(relevance([100 * first, 100 * second])[0, 0, 1:], torch.tensor([2730.0, 30.0]))


def test_two_frames_through_their_prompts() -> None:
    C = torch.zeros(2, 3, 3)
    C[0, 0], C[1, 0] = torch.tensor([0.1, 0.2, 0.4]), torch.tensor([0.0, 0.1, 0.2])
    W = relevance([C], [torch.tensor([[[0.5, 0.5], [0.25, 0.75]]])])
    torch.testing.assert_close(W[:, :, 1], torch.tensor([[0.3, 0.1], [0.025, 0.175]]))
    torch.testing.assert_close(W[:, :, 1].sum(dim=0), torch.tensor([0.325, 0.275]))
