"""``python -m ezclip models``."""

from dataclasses import dataclass

from ezclip.checkpoints.catalog import entries
from ezclip.cli._shared import print_json


@dataclass
class Models:
    """List the models that can be loaded by name; clip:ARCH/TAG loads any open_clip ViT besides."""

    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the catalogue."""
        found = entries()
        if self.json:
            print_json([entry.as_json() for entry in found])
            return 0
        print(f"{'name':<22} {'variant':<8} {'T':>3} {'size':>9}  backbone")
        for e in found:
            state = "" if e.available else "  (not available: backbone or configuration missing)"
            print(f"{e.name:<22} {e.variant:<8} {e.num_frames:>3} {e.bytes / 1e6:>6.1f} MB  {e.backbone}{state}")
        return 0
