"""Class-wise comparison, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ezclip.data.manifest import Row
from ezclip.errors import UserError
from ezclip.evaluation.classwise import changed_clips, compare, paired_difference
from ezclip.evaluation.metrics import confusion_matrix
from ezclip.evaluation.run import Evaluation


def evaluation(name: str, answers: list[int], truth: list[int]) -> Evaluation:
    scores = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    rows = [Row(Path(f"c/{i}.mp4"), "abc"[t]) for i, t in enumerate(truth)]
    return Evaluation(name, list("abc"), rows, scores)


def test_mcnemar_counts_only_clips_that_differ() -> None:
    first = np.array([True] * 5 + [False] * 5)
    second = np.array([True] * 5 + [True] * 5)
    d = paired_difference("x", first, second)
    assert (d.first, d.second, d.difference) == (0.5, 1.0, 0.5)
    assert d.p == pytest.approx(2 * 0.5**5)  # 5 wins, 0 losses, two-sided
    assert 0.1 <= d.low < 0.5 < d.high <= 0.9
    assert paired_difference("x", first, first).p == 1.0


def test_confusions_fixed_and_created() -> None:
    truth = [0, 0, 1, 1, 2]
    first = evaluation("first", [1, 1, 1, 1, 2], truth)
    second = evaluation("second", [0, 1, 1, 2, 2], truth)
    comparison = compare(first, second)
    assert comparison.fixed == [("a", "b", 1)] and comparison.created == [("b", "c", 1)]
    assert [(d.label, d.difference) for d in comparison.classes] == [("a", 0.5), ("c", 0.0), ("b", -0.5)]
    assert comparison.overall.difference == 0
    with pytest.raises(UserError, match="differ in clips"):
        compare(first, evaluation("other", [0], [0]))
    matrix = confusion_matrix(second.scores, second.targets)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_changed_clips_by_their_change_of_margin() -> None:
    rows = [Row(Path(f"c/{i}.mp4"), label) for i, label in enumerate("aabc")]
    first = Evaluation("first", list("abc"), rows, torch.tensor([[4, 5, 1], [1, 9, 0], [0, 9, 1], [1, 0, 9]]) / 10)
    second = Evaluation("second", list("abc"), rows, torch.tensor([[5, 4, 1], [9, 1, 0], [6, 4, 0], [1, 0, 9]]) / 10)
    changes = changed_clips(first, second)
    assert [(c.row, c.label, c.first, c.second, c.fixed) for c in changes] == [
        (1, "a", "b", "a", True),
        (2, "b", "b", "a", False),
        (0, "a", "b", "a", True),
    ]
    assert [c.margin for c in changes] == pytest.approx([0.8 + 0.8, -0.2 - 0.8, 0.1 + 0.1])
    assert changed_clips(first, first) == []
