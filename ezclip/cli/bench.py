"""``python -m ezclip bench``."""

from dataclasses import dataclass

from ezclip.cli._shared import print_json
from ezclip.errors import UserError


@dataclass
class Bench:
    """Time one view through EZ-CLIP against plain open_clip on the same frames, interleaved, random weights."""

    arch: str = "ViT-B-16-quickgelu"
    """open_clip architecture."""
    frames: int = 8
    """Frames of the view."""
    repeats: int = 10
    """Runs of each side; medians are compared."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        import open_clip

        from ezclip.evaluation.bench import bench_forward
        from ezclip.predictor import choose_device

        if open_clip.get_model_config(self.arch) is None:
            raise UserError(f"open_clip has no architecture {self.arch!r}.")
        found = bench_forward(self.arch, T=self.frames, repeats=self.repeats, device=str(choose_device(self.device)))
        if self.json:
            print_json(found)
            return 0
        for name, value in (found["seconds"] | found["ratios"]).items():
            print(f"{value:>8}  {name}")
        return 0
