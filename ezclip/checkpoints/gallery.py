"""The downloadable models of gallery.yaml, and whether they are on this machine; needs no network."""

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

REVISION = "main"  # of repositories on the Hub
SUGGESTED = "clip:ViT-B-32-256/datacomp_s34b_b86k"  # for videos that the shipped models are not trained for


@dataclass(frozen=True)
class Offer:
    """A downloadable model; its fields are explained in gallery.yaml."""

    name: str  # for fetching and loading
    title: str
    role: str
    licence: str
    commercial: Literal["yes", "no", "not stated"]
    accuracy: str
    host: Literal["hub", "github", "drive"]
    address: str  # repository on the Hub, path on GitHub, or file id on Drive
    files: list[str]
    source: str = ""  # of the accuracy
    maps: str = "not stated"  # supported attention maps
    base: str = ""  # CLIP that is fetched too
    params: float | None = None
    mb: float | None = None
    gmac: float | None = None

    @property
    def page(self) -> str:
        """The web page for downloading the weights with a browser."""
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
    def needs_conversion(self) -> bool:
        """Whether the file is converted to a model folder and then removed."""
        return self.files[0].endswith(".pt")

    def is_local(self) -> bool:
        """Whether the model is on this machine."""
        if self.host == "hub":
            required = [file.split("|") for file in self.files if not file.endswith("?")]
            return all(any(self._is_cached(name) for name in names) for names in required)
        return any((root / self.name / CONFIG).is_file() for root in roots())

    def _is_cached(self, name: str) -> bool:
        return isinstance(try_to_load_from_cache(self.address, name, revision=REVISION), str)

    def download_path(self) -> Path:
        """Where a file that does not go into the Hub's cache is stored."""
        return checkpoints() / "downloads" / self.files[0]

    def as_json(self) -> Document:
        """The row of ``ezclip models --all``."""
        keys = ("name", "title", "role", "params", "mb", "licence", "commercial", "accuracy", "source", "maps", "gmac")
        row = {key: getattr(self, key) for key in (*keys, "host")}
        return row | {"page": self.page, "here": self.is_local()}


def checkpoints() -> Path:
    """The folder for the user's models: checkpoints/ of the current folder, or of the repository."""
    installed = ROOT.is_relative_to(SHIPPED)
    return Path.cwd() / "checkpoints" if installed else roots()[-1]


@cache
def offers() -> tuple[Offer, ...]:
    """All downloadable models."""
    return tuple(
        Offer(**row) for row in yaml.safe_load(files("ezclip.checkpoints").joinpath("gallery.yaml").read_text())
    )


def find_offer(name: str) -> Offer:
    """The model with a name; raises CheckpointError, which lists the names."""
    offer = next((offer for offer in offers() if offer.name == name), None)
    if offer is None:
        raise CheckpointError(f"There is no {name!r} to get. Choose one of {', '.join(o.name for o in offers())}.")
    return offer
