"""The identity of a loaded model: what its results are attributed to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ezclip.checkpoints.catalog import ADAPTER, ModelConfig
from ezclip.files import sha256_of
from ezclip.types import Reading, Variant

DIGITS = 12  # of a hash, for display


@dataclass(frozen=True)
class Identity:
    """A loaded model's name as requested, the hashes of the weights that were loaded, and how it was trained.

    ``adapter_sha256``, of the adapter file, is empty for plain CLIP. ``reading`` is the formulation of its motion
    statistics, ``data`` the manifest that it was trained on and ``labels`` its class names, both empty if not recorded;
    the other fields are those of ``ModelConfig``.
    """

    name: str
    variant: Variant = "clip"
    num_frames: int = 8
    backbone: str = ""
    backbone_sha256: str = ""
    adapter_sha256: str = ""
    preset: str = ""
    text: str = "names"
    reading: Reading = "released"
    data: str = ""
    labels: tuple[str, ...] = ()

    @classmethod
    def of_folder(cls, name: str, folder: Path, config: ModelConfig) -> Identity:
        """Of a model folder with its configuration."""
        return cls(
            name,
            config.variant,
            config.num_frames,
            config.backbone,
            config.backbone_sha256,
            sha256_of(folder / ADAPTER),
            config.preset,
            config.text or "templates",
            config.training.get("reading", "released"),
            str(config.training.get("data") or ""),
            tuple(config.labels),
        )

    @property
    def weights(self) -> str:
        """What its embeddings depend on: the hashes of adapter and backbone, or the name of a plain CLIP."""
        if not self.adapter_sha256:
            return self.name
        return f"adapter {self.adapter_sha256[:DIGITS]}, backbone {self.backbone_sha256[:DIGITS]}"

    def describe(self) -> str:
        """One line for a provenance card."""
        if not self.adapter_sha256:
            return f"plain CLIP, nothing added, backbone sha256 {self.backbone_sha256[:DIGITS]}"
        return (
            f"{self.variant}, T = {self.num_frames}, preset {self.preset or 'unknown'}, texts {self.text}, adapter "
            f"sha256 {self.adapter_sha256[:DIGITS]}, backbone {self.backbone} sha256 {self.backbone_sha256[:DIGITS]}"
        )
