"""Rewording with the thesaurus."""

import re
from pathlib import Path

import numpy as np

from ezclip.text import synonyms
from ezclip.text.labels import label_set
from ezclip.text.synonyms import reword

GROUPS = [line.split(" | ") for line in Path(synonyms.__file__).with_name("thesaurus.txt").read_text().splitlines()]
OPPOSITES = [
    ("to the left", "to the right"), ("up", "down"), ("into", "out of"), ("behind", "in front of"),
    ("closer to", "away from"), ("towards the camera", "away from the camera"), ("pushing", "pulling"),
    ("lifting", "lowering"), ("opening", "closing"), ("covering", "uncovering"),
    ("panning left", "panning right"), ("tilting up", "tilting down"), ("zooming in", "zooming out"),
    ("coming together", "separating"), ("upright", "upside down"),
]  # fmt: skip


def test_groups_are_clean_and_never_hold_opposites() -> None:
    for group in GROUPS:
        assert len(group) == len(set(group)) > 2
        assert all(re.fullmatch(r"[a-z' -]+", e) and e == " ".join(e.split()) for e in group), group
    assert not [(a, b) for a, b in OPPOSITES for group in GROUPS if a in group and b in group]
    assert all(any(word in group for group in GROUPS) for pair in OPPOSITES for word in pair)


def test_expressions_are_replaced_whole_and_longest_first() -> None:
    rng = np.random.default_rng(0)
    groups = {group[0]: group for group in GROUPS}
    assert reword("Pushing SOMETHING", rng, 0.0) == "pushing something"
    drawn = {reword("pushing something", rng, 1.0) for _ in range(100)}
    assert len(drawn) > 40
    whole = {f"{a} {b}" for a in groups["pushing"] for b in groups["something"]}
    assert drawn <= whole
    # "from left to right" is one expression, not "left" and "right" with words between them
    assert {reword("from left to right", rng, 1.0) for _ in range(200)} == set(groups["from left to right"])
    assert reword("a kickstand", rng, 1.0).endswith("kickstand"), "parts of words stay"


def test_half_of_the_expressions_are_replaced() -> None:
    rng = np.random.default_rng(1)
    kept = np.mean([reword("pushing", rng, 0.5) == "pushing" for _ in range(2000)])
    assert 0.48 < kept < 0.58, "half, and those replaced by themselves"
    assert any(reword(label, rng, 1.0) != label.lower() for label in label_set("tabletop"))
