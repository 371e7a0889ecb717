"""``python -m ezclip models``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import check_model_name, entries
from ezclip.cli._shared import print_json


@dataclass
class Models:
    """List the models that can be loaded by name, or print the cards of some; clip:ARCH/TAG loads any open_clip ViT.

    Example: python -m ezclip models tabletop/ezclip
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names, folders or clip:ARCH/TAG; by default all listed models."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the catalogue, or the cards of some models."""
        from ezclip.checkpoints.cards import model_card, trained_on

        for name in self.names:
            check_model_name(name)
        found = entries()
        if self.json:
            listed = [e.as_json() | ({"card": model_card(e.name)} if e.config else {}) for e in found]
            print_json([model_card(name) for name in self.names] if self.names else listed)
            return 0
        for card in map(model_card, self.names):
            test = card.get("measured", {}).get("test")
            told = trained_on(card) or ("as is" if card["variant"] == "clip" else "training data not recorded")
            print(f"{card['name']}: {card['variant']}, backbone {card['backbone']['id']}, {told}")
            if test:
                print(f"  top-1 {test['top1']:.1%}, within pairs {test['within_pairs']:.1%} on {test['n']} clips")
            for family, row in card.get("measured", {}).get("families", {}).items():
                print(f"  {row['top1']:6.1%}  {family} ({row['n']})")
        if self.names:
            return 0
        print(f"{'name':<22} {'variant':<8} {'T':>3} {'size':>9}  backbone")
        for e in found:
            row, state = e.as_json(), "" if e.available else "  (not available: backbone or configuration missing)"
            size = f"{e.bytes / 1e6:>6.1f} MB"
            print(f"{e.name:<22} {row['variant']:<8} {row['T']:>3} {size}  {row['backbone']}{state}")
        return 0
