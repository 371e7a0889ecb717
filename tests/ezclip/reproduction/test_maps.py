"""Every map on clips with masks."""

from pathlib import Path

import pytest

from ezclip import Predictor
from ezclip.data.manifest import read_rows
from ezclip.reproduction.maps import UNIFORM, MapScores, maps_table, measure_maps, summarise


def test_rows_by_hand() -> None:
    """The best SRG first, the distances of the others paired by clip, the uniform map last."""
    nan = float("nan")
    clips: list[MapScores] = [
        {UNIFORM: (0.1, nan, 0.0), "a": (0.2, 0.1, 1.0), "b": (0.4, 0.3, 3.0)},
        {UNIFORM: (0.3, nan, 0.0), "a": (0.2, 0.5, 1.0), "b": (0.4, 0.7, 3.0)},
    ]
    b, a, uniform = summarise(clips)
    assert (b["map"], a["map"], uniform["map"]) == ("b", "a", UNIFORM)
    assert b["srg"][0] == pytest.approx(0.5) and a["below"] == pytest.approx([0.2, 0.2, 0.2])
    assert uniform["moving"][0] == pytest.approx(0.2) and "srg" not in uniform
    cells = ["a", "0.200", "0.200 to 0.200", "+0.300", "+0.100 to +0.500", "0.200 to 0.200", "1.0"]
    assert maps_table([b, a, uniform])[2] == cells


@pytest.mark.slow
def test_cost_counts_a_backward_pass_as_two(drawn: Path) -> None:
    predictor = Predictor.load("tabletop/ezclip")
    labels = list(predictor.identity.labels)
    texts = predictor.encode_texts([s for group in predictor.sentences(labels).values() for s in group])
    path = read_rows(drawn)[0].path
    measures = measure_maps(predictor, path, ["rollout", "gradient-rollout"], labels, texts)
    assert [round(cost, 2) for _, _, cost in measures.values()] == [0.0, 1.0, 3.0]
    assert 0 < measures[UNIFORM][0] < measures["rollout"][0] < 1 and -1 < measures["rollout"][1] < 1
