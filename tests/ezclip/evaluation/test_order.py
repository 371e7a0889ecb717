"""Variations of the order of frames, by hand."""

from ezclip.evaluation.order import orders


def test_variations_of_order() -> None:
    variations = orders(40, 8)
    centres = [2, 7, 12, 17, 22, 27, 32, 37]
    assert variations["as it is"] == [centres] and variations["reversed"] == [centres[::-1]]
    assert variations["static"] == [[22] * 8]
    assert variations["first, then last"] == [[2] * 4 + [37] * 4]
    assert variations["double speed"] == [[2, 12, 22, 32, 37, 37, 37, 37]]
    assert len(variations["shuffled"]) == 5 and all(sorted(o) == centres for o in variations["shuffled"])
    slow = variations["half speed"][0]
    assert len(slow) == 8 and min(slow) >= 10 and max(slow) < 30
    assert all(0 <= i < 3 for draws in orders(3, 8).values() for order in draws for i in order)
