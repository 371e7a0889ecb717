"""Relevance of all patches for one patch, by hand and against the dense product."""

import base64

import numpy as np
import pytest
import torch

from ezclip.data.tabletop.truth import SAMPLES
from ezclip.errors import UserError
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import AttentionTrace
from ezclip.progress import finish
from ezclip.studies.host import Host
from ezclip.studies.stage.reads import patch_reads


def test_one_layer_by_hand() -> None:
    """Two frames of a class token and one patch; the patch of frame 1 attends half to the prompt."""
    A = torch.tensor([[[1.0, 0, 0], [0.25, 0.25, 0.5], [0, 0, 1]]] * 2)
    P = torch.tensor([[[0.75, 0.25], [0.5, 0.5]]])
    row = roll_out(AttentionTrace([A], [P]), token=(1, 1)).weights[0]
    # half stays (residual); the rest: .25 and .25 in its frame, .5 through the prompt, half of that to each frame
    same_frame = [0.5 * (0.25 + 0.5 * 0.5 / 2), 0.5 + 0.5 * (0.25 + 0.5 * 0.5 / 2)]
    other_frame = [0.5 * 0.5 * 0.5 / 2] * 2
    assert row.tolist() == [pytest.approx(other_frame), pytest.approx(same_frame)]
    assert float(row.sum()) == pytest.approx(1)


@pytest.mark.slow
def test_base_draws_on_its_own_frame_alone() -> None:
    host = Host()
    clip = finish(host.clip(str(SAMPLES / "02_uncovering.mp4"), 8))
    document = patch_reads(host, clip, "tabletop/base", "reversed", 2, 5)
    heat = np.frombuffer(base64.b64decode(document["heat"]), "<f4").reshape(8, -1)
    assert "alone" in document["text"] and not heat[np.arange(8) != 2].any() and heat[2].argmax() == 5
    with pytest.raises(UserError, match="no patch"):
        patch_reads(host, clip, "tabletop/base", "reversed", 8, 5)
