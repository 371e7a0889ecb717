"""``python -m ezclip pull``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import model_folder
from ezclip.checkpoints.hub import check_hub_name


@dataclass
class Pull:
    """Download a model from the Hugging Face Hub into its cache, so that it loads without a network from then on.

    Example: python -m ezclip pull hf:organisation/name@v1
    """

    name: Annotated[str, tyro.conf.Positional]
    """hf:organisation/name or hf:organisation/name@revision."""

    def run(self) -> int:
        """Download and say where it lies."""
        check_hub_name(self.name)
        print(model_folder(self.name))
        return 0
