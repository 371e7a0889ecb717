"""``python -m ezclip push``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, CONFIG, model_folder, read_config
from ezclip.checkpoints.hub import check_hub_name, push


@dataclass
class Push:
    """Upload a model to the Hugging Face Hub, with a card of what was measured.

    Example: python -m ezclip push checkpoints/mine organisation/mine
    """

    model: Annotated[str, tyro.conf.Positional]
    """Name or folder."""
    repo: Annotated[str, tyro.conf.Positional]
    """organisation/name on the Hub."""
    private: bool = False
    """Visible to its owners alone, if it is made now."""

    def run(self) -> int:
        """Check, upload the adapter, its config, a card and, where it lies in the folder, the backbone."""
        folder = model_folder(self.model)
        config = read_config(folder)
        check_hub_name(f"hf:{self.repo}")
        files = [folder / CONFIG, folder / ADAPTER]
        backbone = next((p for f in (folder, folder.parent) if (p := f / BACKBONE).is_file()), None)
        if backbone is not None:
            files.append(backbone)
        print(push(folder, self.repo, files, config, private=self.private))
        return 0
