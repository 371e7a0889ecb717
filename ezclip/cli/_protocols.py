"""Options of the verbs that run the paper's protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ezclip.cli._shared import check_out
from ezclip.errors import ConfigError

if TYPE_CHECKING:
    from ezclip.training.protocols import Place


@dataclass
class Where:
    """Folders, and what all runs share."""

    data: Path = Path("data")
    """Folder with one folder for each data set, in it the manifests that configs/protocols names."""
    views: str = "1x1"
    """Views of a tested clip in time x crops."""
    workers: int = 0
    """Processes that decode tested clips."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that replace values of every run's training configuration."""
    root: Path = Path(".")
    """Folder that holds configs/; runs/ and results/ go there."""

    def place(self) -> Place:
        """The same for the runs; raises ConfigError if the folder holds no protocols or cannot be written."""
        check_out(self.root)
        if not (self.root / "configs" / "protocols").is_dir():
            raise ConfigError("There is no configs/protocols here; run this in the project's folder, or give --root.")
        from ezclip.evaluation.embed import ViewCount
        from ezclip.training.protocols import Place

        return Place(self.root, self.data, tuple(self.set), ViewCount.parse(self.views), workers=self.workers)
