"""Corruptions of a clip, by hand."""

from pathlib import Path

import numpy as np
import pytest

from ezclip.errors import UserError
from ezclip.progress import finish
from ezclip.studies.corruption import Corrupt
from ezclip.studies.host import Host
from ezclip.video.corrupt import Corruption, corrupt
from tests.ezclip.studies.conftest import SAMPLES


def test_corruptions(host: Host, movie: Path) -> None:
    clip = finish(host.clip(str(movie), 8))
    assert np.array_equal(corrupt(clip, Corruption()).images, clip.images)
    dark = corrupt(clip, Corruption(darkness=1.0)).images
    assert np.abs(dark - clip.images * 0.1).max() <= 1
    dropped = corrupt(clip, Corruption(frame_drop=1.0))
    assert all(np.array_equal(image, clip.images[0]) for image in dropped.images)
    with pytest.raises(UserError, match="between 0 and 1"):
        Corrupt(str(movie), corruption=Corruption(blur=2))


def test_both_models_score_the_corrupted_clip(host: Host, movie: Path) -> None:
    result = finish(Corrupt(str(movie), "a, b", corruption=Corruption(noise=0.5)).run(host))
    assert set(result.predictions) == {"tabletop/base", "tabletop/ezclip"}
    assert result.as_json()["damage"]["noise"] == 0.5 and len(result.clip) == 8
    assert result.caveat and result.report().lead.startswith(f"{result.caveat}Corruption: noise 0.5")
    lines = result.text().splitlines()
    assert lines[0] == result.caveat.strip() and lines[2].split()[0] == "guess" and "%" not in result.text()


def test_a_drawn_clip_has_scores(host: Host) -> None:
    result = finish(Corrupt(str(SAMPLES[0])).run(host))
    assert result.caveat == "" and result.text().count("%") == 10 and result.report().lead.startswith("Corruption")
