"""Suggests the opposite of a class among the classes of a data set."""

import re
from collections.abc import Sequence

PAIRS = """
    up|down upwards|downwards left|right in|out into|out of on|off forward|backward front|back
    clockwise|counterclockwise closer to|away from towards|away from
    approach|move away from approaching|moving away from
    open|close opening|closing cover|uncover covering|uncovering fold|unfold folding|unfolding
    plug|unplug plugging|unplugging push|pull pushing|pulling put|take putting|taking
    lift|lower lifting|lowering raise|lower raising|lowering fill|empty filling|emptying
    enter|leave entering|leaving sit|stand sitting|standing rising|falling appearing|disappearing
"""
_PHRASES = ("moving away from", "move away from", "away from", "closer to", "out of")
_WORD = re.compile(rf"{'|'.join(_PHRASES)}|\w+")
_OPPOSITES: set[frozenset[str]] = {
    frozenset(pair) for pair in re.findall(rf"({_WORD.pattern})\|({_WORD.pattern})", PAIRS)
}


def opposite_of(label: str, labels: Sequence[str]) -> str:
    """The label that differs from ``label`` only by opposite words, by as many as possible; "" if there is none."""
    words = _words(label)
    candidates: dict[int, str] = {}  # number of opposite words -> first label
    for candidate in labels:
        candidate_words = _words(candidate)
        changes = [frozenset(pair) for pair in zip(words, candidate_words) if len(set(pair)) == 2]
        if changes and len(candidate_words) == len(words) and _OPPOSITES.issuperset(changes):
            candidates.setdefault(len(changes), candidate)
    return candidates[max(candidates)] if candidates else ""


def _words(label: str) -> list[str]:
    return _WORD.findall(label.casefold())
