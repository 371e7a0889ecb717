"""Moments and videos of an index as cards whose strips of frames the page fetches one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.html.pieces import render

if TYPE_CHECKING:
    from app.actions.collection import Shown


def moments(shown: Shown, tags: dict[str, str]) -> str:
    """A section for each group; cards have their number in ``data-row``, and tags are class names by path."""
    numbered, groups = 0, []
    for title, cards in shown.groups:
        rows = [(numbered + i, card, json.dumps([str(shown.index), *card.film])) for i, card in enumerate(cards)]
        groups.append((title, rows))
        numbered += len(cards)
    return render("moments", groups=groups, tags=tags, warnings=getattr(shown.result, "warnings", []))
