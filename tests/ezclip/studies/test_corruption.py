"""Corruptions of a clip, by hand."""

from pathlib import Path

import numpy as np
import pytest

from ezclip.errors import UserError
from ezclip.progress import finish
from ezclip.studies.corruption import Corrupt
from ezclip.studies.host import Host
from ezclip.video.corrupt import Corruption, corrupt


def test_corruptions(host: Host, movie: Path) -> None:
    clip = finish(host.clip(str(movie), 8))
    assert np.array_equal(corrupt(clip, Corruption()).images, clip.images)
    dark = corrupt(clip, Corruption(darkness=1.0)).images
    assert np.abs(dark - clip.images * 0.1).max() <= 1
    held = corrupt(clip, Corruption(frame_drop=1.0))
    assert all(np.array_equal(image, clip.images[0]) for image in held.images)
    with pytest.raises(UserError, match="between 0 and 1"):
        Corrupt(str(movie), corruption=Corruption(blur=2))


def test_both_models_score_the_corrupted_clip(host: Host, movie: Path) -> None:
    found = finish(Corrupt(str(movie), "a, b", corruption=Corruption(noise=0.5)).run(host))
    assert set(found.predictions) == {"tabletop/base", "tabletop/ezclip"}
    assert found.as_json()["damage"]["noise"] == 0.5 and len(found.clip) == 8
