"""``python -m ezclip pretrain``."""

from dataclasses import dataclass, field
from pathlib import Path

from ezclip.cli._shared import check_out, print_json
from ezclip.config import PretrainConfig, load_config


@dataclass
class Pretrain:
    """Train the compact CLIP on captioned stills and test what it knows.

    Example: python -m ezclip pretrain --config configs/pretrain_tabletop.yaml
    """

    config: Path
    """YAML file, see ezclip.config.PretrainConfig."""
    set: list[str] = field(default_factory=list)
    """key=value pairs that replace values of the file."""

    def run(self) -> int:
        """Train and print what pretrain.json holds."""
        config = load_config(PretrainConfig, self.config, self.set)
        check_out(Path(config.out))
        from ezclip.training.pretrain import pretrain

        print_json(pretrain(config))
        return 0
