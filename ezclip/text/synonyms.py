"""Rewords sentences about motions with a thesaurus of expressions that mean the same in the same grammatical form."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

_THESAURUS = Path(__file__).with_name("thesaurus.txt")  # a group of expressions per line, separated by " | "


def reword(sentence: str, rng: np.random.Generator, fraction: float) -> str:
    """The sentence in lower case, with each expression of the thesaurus replaced with probability ``fraction``.

    The replacement is drawn from the group that the expression heads, or else from its only group; an expression that
    is in several groups and heads none, or several, is ambiguous and stays.
    """
    groups, pattern = _read()

    def replacement(match: re.Match[str]) -> str:
        group = groups[match[0]]
        return group[rng.integers(len(group))] if rng.random() < fraction else match[0]

    return pattern.sub(replacement, sentence.lower())


@cache
def _read() -> tuple[dict[str, list[str]], re.Pattern[str]]:
    """The group of each expression that is not ambiguous, and a pattern of all of these that prefers the longest."""
    groups = [line.split(" | ") for line in _THESAURUS.read_text("utf-8").splitlines()]
    occurrences = Counter(expression for group in groups for expression in group)
    heads = Counter(group[0] for group in groups)
    by_expression = {e: g for g in groups for e in g if occurrences[e] == 1 or (e == g[0] and heads[e] == 1)}
    longest_first = sorted(map(re.escape, by_expression), key=len, reverse=True)
    return by_expression, re.compile(rf"\b(?:{'|'.join(longest_first)})\b")
