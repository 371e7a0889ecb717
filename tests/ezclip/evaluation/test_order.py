"""Variations of the order of frames, by hand."""

from ezclip.evaluation.order import orders


def test_variations_of_order() -> None:
    found = orders(40, 8)
    centres = [2, 7, 12, 17, 22, 27, 32, 37]
    assert found["as it is"] == [centres] and found["reversed"] == [centres[::-1]]
    assert found["frozen"] == [[22] * 8]
    assert found["first, then last"] == [[2] * 4 + [37] * 4]
    assert found["double speed"] == [[2, 12, 22, 32, 37, 37, 37, 37]]
    assert len(found["shuffled"]) == 5 and all(sorted(o) == centres for o in found["shuffled"])
    slow = found["half speed"][0]
    assert len(slow) == 8 and min(slow) >= 10 and max(slow) < 30
    assert all(0 <= i < 3 for draws in orders(3, 8).values() for order in draws for i in order)
