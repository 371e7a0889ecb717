"""``python -m ezclip models``, ``get``, ``convert``, ``push`` and ``pull``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ezclip.checkpoints.catalog import check_model_name, entries, model_folder, read_config
from ezclip.checkpoints.hub import check_hub_name, push
from ezclip.cli._shared import check_out, print_json, warn
from ezclip.errors import CheckpointError, ConfigError
from ezclip.types import WITHIN_PAIRS


@dataclass
class Models:
    """List the models that can be loaded by name, or print model cards; clip:ARCH/TAG loads any open_clip model.

    Example: python -m ezclip models tabletop/ezclip
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names, folders or clip:ARCH/TAG; by default all listed models."""
    all: bool = False
    """List the models that `ezclip get` fetches, with sizes, licences and published accuracy; works offline."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the catalogue, the models that can be fetched, or model cards."""
        from ezclip.checkpoints.cards import model_card, training_summary

        if self.all:
            return self._offers()
        for name in self.names:
            check_model_name(name)
        if self.json:
            catalogue = [e.as_json() | ({"card": model_card(e.name)} if e.config else {}) for e in entries()]
            print_json([model_card(name) for name in self.names] if self.names else catalogue)
            return 0
        for card in map(model_card, self.names):
            measured = card.get("measured", {})
            training = training_summary(card) or (
                "as is" if card["variant"] == "clip" else "training data not recorded"
            )
            print(f"{card['name']}: {card['variant']}, backbone {card['backbone']['id']}, {training}")
            if test := measured.get("test"):
                print(f"  top-1 {test['top1']:.1%}, {WITHIN_PAIRS} {test['within_pairs']:.1%} on {test['n']} clips")
            for family, row in measured.get("families", {}).items():
                print(f"  {row['top1']:6.1%}  {family} ({row['n']})")
        if self.names:
            return 0
        print(f"{'name':<22} {'variant':<10} {'T':>3} {'size':>9}  backbone")
        for row in (entry.as_json() for entry in entries()):
            state = "" if row["available"] else "  (not available: backbone or configuration missing)"
            size = f"{row['bytes'] / 1e6:>6.1f} MB"
            print(f"{row['name']:<22} {row['variant']:<10} {row['T']:>3} {size}  {row['backbone']}{state}")
        return 0

    def _offers(self) -> int:
        from tabulate import tabulate

        from ezclip.checkpoints.gallery import offers

        if self.names:
            raise ConfigError("Give either names or --all.")
        rows = [offer.as_json() for offer in offers()]
        if self.json:
            print_json(rows)
            return 0
        table = []
        for offer, row in zip(offers(), rows, strict=True):
            state = "yes" if row["here"] else "no"
            licence = f"{offer.licence} (commercial: {offer.commercial})"
            accuracy = f"{offer.accuracy} ({offer.source})" if offer.source else offer.accuracy
            table.append([offer.name, offer.role, offer.params, offer.size, licence, accuracy, offer.maps, state])
        columns = ["name", "role", "M params", "size", "licence", "published top-1, %", "maps", "here"]
        print(tabulate(table, columns, missingval="?"))
        return 0


@dataclass
class Get:
    """Fetch a model that `ezclip models --all` lists; run it again to resume an interrupted download.

    Example: python -m ezclip get clip:ViT-B-32-256/datacomp_s34b_b86k
    """

    name: Annotated[str, tyro.conf.Positional]
    """Name of the model in the list."""
    file: Path | None = None
    """Weights file downloaded with a browser; nothing is fetched."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Fetch, convert an official file, and print how to use the model."""
        from ezclip.checkpoints.gallery import find_offer

        offer = find_offer(self.name)
        from ezclip.checkpoints.fetch import adopt, fetch
        from ezclip.progress import on_terminal, with_time_left

        steps = fetch(offer) if self.file is None else adopt(offer, self.file)
        print(f"{offer.title}, {offer.size}, {offer.licence}; commercial use: {offer.commercial}", file=sys.stderr)
        try:
            fetched = on_terminal(with_time_left(steps), show=not self.json)
        except KeyboardInterrupt:
            print("Cancelled; the partial download is kept, start it again to continue.", file=sys.stderr)
            return 1
        if self.json:
            print_json(fetched.as_json())
        else:
            print(fetched.use)
        return 0


@dataclass
class Convert:
    """Convert a .pt file of EZ-CLIP, T2L, ActionCLIP, ViFi-CLIP, A5, X-CLIP or MoTE into a model folder, or an EZ-CLIP
    model folder into a .pt file of the EZ-CLIP release.

    Example: python -m ezclip convert K400_ViT-B-16.pt checkpoints/k400
    """

    source: Annotated[Path, tyro.conf.Positional]
    """The released file (only tensors are read), or the name or folder of a model."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder for config.json, adapter.safetensors and backbone.safetensors; or a .pt file in the release's layout."""
    frames: int | None = None
    """T, if different from the file's: prompts are interpolated, which only approximates the trained model. Files of
    ActionCLIP and MoTE do not record T; 8 is assumed."""
    clip: str | None = None
    """The CLIP that a ViFi-CLIP or MoTE was trained from, as its file lacks the token embedding or the text tower: a
    folder or clip:ARCH/TAG; by default OpenAI's, if it is on this machine."""
    prefix: int = 16
    """Number of learned vectors before a class name; A5 files do not record it."""
    postfix: int = 16
    """Number of learned vectors after a class name."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Convert and print a summary."""
        if self.out.suffix == ".pt":
            folder = model_folder(str(self.source))
            check_out(self.out.parent)
            from ezclip.checkpoints.convert import export_official

            document = summary = export_official(folder, self.out)
        else:
            if not self.source.is_file():
                raise CheckpointError(f"There is no file {self.source.name}; give an official .pt file.")
            check_out(self.out)
            from ezclip.checkpoints.convert import convert

            document = convert(
                self.source,
                self.out,
                num_frames=self.frames,
                clip=self.clip,
                prefix=self.prefix,
                postfix=self.postfix,
            )
            summary = document | {"backbone": read_config(self.out).openai}
            if document.get("method") in ("actionclip", "mote") and self.frames is None:
                warn([f"The file does not record T; {document['T']} is assumed. Give --frames if it was another."])
            if self.frames is not None and "variant" in document:
                warn([f"The prompts were interpolated to {self.frames} frames; the model was not trained with these."])
        if self.json:
            print_json(document)
        else:
            print(*(f"{key:<11} {value}" for key, value in summary.items()), sep="\n")
        return 0


@dataclass
class Push:
    """Upload a model to the Hugging Face Hub, with a model card of its measured results.

    Example: python -m ezclip push checkpoints/mine organisation/mine
    """

    model: Annotated[str, tyro.conf.Positional]
    """Name or folder."""
    repo: Annotated[str, tyro.conf.Positional]
    """organisation/name on the Hub."""
    private: bool = False
    """Make a newly created repository private."""

    def run(self) -> int:
        """Upload the adapter, its configuration, a model card and, if the folder has one, the backbone."""
        print(push(model_folder(self.model), self.repo, private=self.private))
        return 0


@dataclass
class Pull:
    """Download a model from the Hugging Face Hub into its cache; afterwards it loads offline.

    Example: python -m ezclip pull hf:organisation/name@v1
    """

    name: Annotated[str, tyro.conf.Positional]
    """hf:organisation/name or hf:organisation/name@revision."""

    def run(self) -> int:
        """Download and print the folder."""
        check_hub_name(self.name)
        print(model_folder(self.name))
        return 0
