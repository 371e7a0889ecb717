"""``python -m ezclip push`` and ``pull``: models on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import model_folder
from ezclip.checkpoints.hub import check_hub_name, push


@dataclass
class Push:
    """Upload a model to the Hugging Face Hub, with a card of its measured results.

    Example: python -m ezclip push checkpoints/mine organisation/mine
    """

    model: Annotated[str, tyro.conf.Positional]
    """Name or folder."""
    repo: Annotated[str, tyro.conf.Positional]
    """organisation/name on the Hub."""
    private: bool = False
    """Make a newly created repository private."""

    def run(self) -> int:
        """Upload the adapter, its configuration, a card and, where it is in the folder, the backbone."""
        check_hub_name(f"hf:{self.repo}")
        print(push(model_folder(self.model), self.repo, private=self.private))
        return 0


@dataclass
class Pull:
    """Download a model from the Hugging Face Hub into its cache, so that it loads without a network from then on.

    Example: python -m ezclip pull hf:organisation/name@v1
    """

    name: Annotated[str, tyro.conf.Positional]
    """hf:organisation/name or hf:organisation/name@revision."""

    def run(self) -> int:
        """Download and print the folder."""
        check_hub_name(self.name)
        print(model_folder(self.name))
        return 0
