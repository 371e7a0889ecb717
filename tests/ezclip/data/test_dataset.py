"""The cache of decoded frames."""

from pathlib import Path

import torch

from ezclip.data.dataset import open_cache
from ezclip.data.manifest import Row
from ezclip.files import shipped
from ezclip.progress import finish


def test_two_runs_make_the_same_cache_at_once(tmp_path: Path) -> None:
    """The second one finds its cache in place when it has decoded the clips, too."""
    rows = [Row(path, "label") for path in sorted((shipped("assets") / "samples").glob("*.mp4"))[:2]]
    slow, fast = (open_cache(rows, tmp_path, T=4, size=32) for _ in range(2))
    next(slow)
    caches = [finish(fast), finish(slow)]
    first, second = (frames(1, lambda total: list(range(total))) for frames in caches)
    assert len(first) == 20 and torch.equal(first, second)
    assert len(list(tmp_path.iterdir())) == 1
