"""Opposites among the classes of a data set."""

import pytest

from ezclip.data.tabletop.classes import LABELS, PARTNER
from ezclip.text.labels import label_set
from ezclip.text.opposites import opposite_of

SSV2 = label_set("ssv2")


@pytest.mark.parametrize(
    ("label", "opposite"),
    [
        ("Opening something", "Closing something"),
        ("Moving something up", "Moving something down"),
        ("Folding something", "Unfolding something"),
        ("Moving something and something closer to each other", "Moving something and something away from each other"),
        ("Pushing something from left to right", "Pulling something from right to left"),
        ("Moving something towards the camera", "Moving something away from the camera"),
        ("Approaching something with your camera", "Moving away from something with your camera"),
        ("Putting something into something", "Taking something out of something"),
        ("Holding something", ""),
    ],
)
def test_opposites_among_something_something(label: str, opposite: str) -> None:
    assert opposite_of(label, SSV2) == opposite
    assert not opposite or opposite_of(opposite, SSV2) == label


def test_opposites_agree_with_tabletop() -> None:
    opposites = {label: opposite_of(label, LABELS) for label in LABELS}
    assert all(opposite in ("", PARTNER.get(label)) for label, opposite in opposites.items())
    assert sum(map(bool, opposites.values())) == 22


def test_no_opposite_without_other_labels() -> None:
    assert opposite_of("opening a door", ["opening a door", "closing a window", "closing the door now"]) == ""
    assert opposite_of("Opening a door", ["waving", "closing a door!"]) == "closing a door!"
