"""Measures of static bias, from the scores of clips."""

from pathlib import Path

import pytest
import torch

from ezclip.data.manifest import Row
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.evaluation.run import Evaluation
from ezclip.reproduction.static_bias import measures


def test_contrasted_accuracy_by_hand() -> None:
    """Right on stripes in scenes 1, 2 and 3 of 4, on one frame of them in scene 1: half of the scenes count."""
    right = {"stripes": [1, 1, 1, 0], "still_stripes": [1, 0, 0, 0], "action_swap": [0, 1, 1, 1]}
    rows, answers = [], []
    for scene in range(4):
        for version in VERSIONS:
            rows.append(Row(Path(f"opening/{len(rows)}.mp4"), "opening", "closing", version))
            answers.append(0 if right.get(version, [1] * 4)[scene] else 2)
    frames = torch.tensor([[0.2, 0.9, 0.0], [0.6, 0.6, 1.0]]).expand(len(rows), 2, 3)
    scores = torch.eye(3)[answers]
    evaluation = Evaluation("m", ["opening", "closing", "holding"], rows, scores, single_frames=frames)
    values = measures(evaluation, [("holding",)] * len(rows))
    assert values["contrasted"][0] == 0.5
    assert values["versions"]["stripes"]["top1"] == 0.75 and values["versions"]["original"]["top1"] == 1.0
    assert values["follows_background"] == 0.25
    assert values["single_frames"]["mean_frame"] == 0.5 and values["single_frames"]["any_frame"] == 1.0
    assert values["single_frames"]["most_confident_frame"] == 0.0
    assert values["single_frames"]["frame_information_disparity"] == pytest.approx(0.2)
