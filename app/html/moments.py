"""Moments and videos of an index as cards; the page fetches their strips of frames one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.html.pieces import render

if TYPE_CHECKING:
    from app.actions.collection import CardGroups


def moments(view: CardGroups, tags: dict[str, str]) -> str:
    """One section per group; cards have their number in ``data-row``, and tags are class names by path."""
    offset, groups = 0, []
    for title, cards in view.groups:
        index = str(view.index)
        rows = [(offset + i, card, json.dumps([index, *card.strip_arguments])) for i, card in enumerate(cards)]
        groups.append((title, rows))
        offset += len(cards)
    return render("moments", groups=groups, tags=tags, warnings=getattr(view.result, "warnings", []))
