"""The provenance card of a result: models with their hashes, inputs, versions and the command."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from ezclip import __version__
from ezclip.checkpoints.cards import limitations
from ezclip.checkpoints.identity import Identity


def provenance(models: Iterable[Identity], /, **entries: str) -> dict[str, str]:
    """Names and values of a provenance card: ``entries``, one line a model, their limitations, and the versions."""
    every = list(dict.fromkeys(models))
    card = dict(entries) | {f"model {model.name}": model.describe() for model in every}
    if limits := limitations(model.name for model in every):
        card["limitations"] = limits
    card["versions"] = f"ezclip {__version__}, torch {version('torch')}, open_clip {version('open_clip_torch')}"
    return card
