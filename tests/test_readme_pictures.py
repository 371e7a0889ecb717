"""The animation at the top of the README."""

import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]


def test_the_first_picture_moves_loops_and_is_small() -> None:
    pictures = re.findall(r"!\[.*?\]\((docs/.+?)\)", (ROOT / "README.md").read_text("utf-8"))
    first = ROOT / pictures[0]
    with Image.open(first) as image:
        assert first.suffix == ".webp" and image.n_frames > 1 and image.info["loop"] == 0
    assert first.stat().st_size <= 3e6
    assert all((ROOT / picture).is_file() for picture in pictures)
