"""The identity of a loaded model, to which results are attributed."""

from __future__ import annotations

from dataclasses import dataclass

from ezclip.text.templates import VARIED, in_words_of_training
from ezclip.types import METHOD_TITLES, Method, Reading

DIGITS = 12  # of a hash, for display


@dataclass(frozen=True)
class Identity:
    """A loaded model's name, the hashes of its loaded weights, and how it was trained; see ``ModelConfig``."""

    name: str  # as requested
    variant: Method = "clip"
    num_frames: int = 8
    backbone: str = ""
    backbone_sha256: str = ""
    adapter_sha256: str = ""  # of the adapter file; empty for plain CLIP
    preset: str = ""
    text: str = "names"
    reading: Reading = "released"  # formulation of the motion statistics
    data: str = ""  # training manifest; empty if not recorded
    labels: tuple[str, ...] = ()  # empty if not recorded
    order_blind: bool = False  # see ``EZCLIP.order_blind``

    @property
    def weights(self) -> str:
        """What embeddings depend on: the hashes of adapter and backbone, or the name of a plain CLIP."""
        if not self.adapter_sha256:
            return self.name
        return f"adapter {self.adapter_sha256[:DIGITS]}, backbone {self.backbone_sha256[:DIGITS]}"

    def knows(self, name: str) -> bool:
        """Whether a class name is of the training or worded like its texts; true if no labels are recorded."""
        worded = self.text == VARIED and in_words_of_training(name)
        return worded or not self.labels or name in self.labels

    def describe(self) -> str:
        """One line for a provenance card."""
        if not self.adapter_sha256:
            return f"{METHOD_TITLES[self.variant]}, weights {self.backbone} sha256 {self.backbone_sha256[:DIGITS]}"
        return (
            f"{self.variant}, T = {self.num_frames}, preset {self.preset or 'unknown'}, texts {self.text}, adapter "
            f"sha256 {self.adapter_sha256[:DIGITS]}, backbone {self.backbone} sha256 {self.backbone_sha256[:DIGITS]}"
        )
