"""The models that can be fetched, from gallery.yaml, and whether they are on this machine; needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from huggingface_hub import try_to_load_from_cache

from ezclip.checkpoints.catalog import CONFIG, ROOT, roots
from ezclip.errors import CheckpointError
from ezclip.files import SHIPPED
from ezclip.types import Document

REVISION = "main"  # of a repository on the Hub
SUGGESTED = "clip:ViT-B-32-256/datacomp_s34b_b86k"  # to those whose clips the shipped models do not fit


@dataclass(frozen=True)
class Offer:
    """One model that can be fetched; its values are explained in gallery.yaml."""

    name: str  # by which it is fetched, and loaded afterwards
    title: str
    role: str
    licence: str
    commercial: Literal["yes", "no", "not stated"]
    accuracy: str
    host: Literal["hub", "github", "drive"]
    address: str  # repository on the Hub, path on GitHub, or file id on Drive
    files: list[str]
    source: str = ""  # of the accuracy
    maps: str = "not stated"  # the attention maps that it has
    base: str = ""  # the CLIP that is fetched with it
    params: float | None = None
    mb: float | None = None
    gmac: float | None = None

    @property
    def page(self) -> str:
        """The address for a browser from which the weights can be downloaded by hand."""
        name = self.files[0].partition("|")[0]
        return {
            "hub": f"https://huggingface.co/{self.address}/tree/{REVISION}",
            "github": f"https://github.com/{self.address}/{name}",
            "drive": f"https://drive.google.com/file/d/{self.address}/view",
        }[self.host]

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.mb:.0f} MB" if self.mb else "about 600 MB" if self.host == "drive" else "size not published"

    @property
    def converted(self) -> bool:
        """Whether its file is made into a folder of ours, which remains alone."""
        return self.files[0].endswith(".pt")

    def here(self) -> bool:
        """Whether it is on this machine, so that it needs no network."""
        if self.host == "hub":
            needed = [file.split("|") for file in self.files if not file.endswith("?")]
            return all(any(self._cached(name) for name in names) for names in needed)
        return any((root / self.name / CONFIG).is_file() for root in roots())

    def _cached(self, name: str) -> bool:
        return isinstance(try_to_load_from_cache(self.address, name, revision=REVISION), str)

    def download(self) -> Path:
        """Where its file lies that does not go into the Hub's cache."""
        return checkpoints() / "downloads" / self.files[0]

    def as_json(self) -> Document:
        """The public row."""
        keys = ("name", "title", "role", "params", "mb", "licence", "commercial", "accuracy", "source", "maps", "gmac")
        row = {key: getattr(self, key) for key in (*keys, "host")}
        return row | {"page": self.page, "here": self.here()}


def checkpoints() -> Path:
    """The folder for models of the user's: checkpoints/ of the current folder, or that of the repository."""
    installed = ROOT.is_relative_to(SHIPPED)
    return Path.cwd() / "checkpoints" if installed else roots()[-1]


@cache
def offers() -> tuple[Offer, ...]:
    """All models that can be fetched."""
    return tuple(
        Offer(**row) for row in yaml.safe_load(files("ezclip.checkpoints").joinpath("gallery.yaml").read_text())
    )


def find_offer(name: str) -> Offer:
    """The model of that name; raises CheckpointError, which lists the names."""
    found = next((offer for offer in offers() if offer.name == name), None)
    if found is None:
        raise CheckpointError(f"There is no {name!r} to get. Choose one of {', '.join(o.name for o in offers())}.")
    return found
