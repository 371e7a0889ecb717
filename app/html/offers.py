"""The list of models that can be fetched, with their downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.html.pieces import render
from ezclip.checkpoints import gallery

if TYPE_CHECKING:
    from app.fetching import Job


def offers(jobs: dict[str, Job]) -> str:
    """A table with one button per model."""
    rows = [(offer, offer.is_local(), jobs.get(offer.name)) for offer in gallery.offers()]
    return render("offers", rows=rows)
