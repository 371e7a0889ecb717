"""Intervals of differences against published and hand-made numbers, and the verdicts that follow from them."""

import json
from pathlib import Path

import pytest

from ezclip.reproduction.report.claims import Estimate, claims_table, difference
from ezclip.types import Document

REPORT: Document = json.loads(Path("results/tabletop/study/report.json").read_text("utf-8"))


def runs(*top1: float, n: int = 100) -> list[Document]:
    return [{"top1": value, "within_pairs": value, "n": n} for value in top1]


def test_newcombe() -> None:
    """Newcombe 1998, Statistics in Medicine 17, Table II, example (a): 56/70 against 48/80."""
    estimate = difference(runs(48 / 80, n=80), runs(56 / 70, n=70))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert estimate.verdict == "holds" and estimate.over == "70 clips"


def test_welch_over_three_seeds() -> None:
    """Both standard deviations are 0.02: 2.776 (t with 4 degrees of freedom) * 0.02 * sqrt(2 / 3) = 0.0453."""
    estimate = difference(runs(0.78, 0.80, 0.82), runs(0.80, 0.82, 0.84))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.02, -0.0253, 0.0653), abs=1e-4)
    assert estimate.verdict == "undecided" and estimate.over == "3 seeds"
    assert difference(runs(0.78, 0.80), runs(0.80, 0.82, 0.84)).over == "100 clips"


def test_within_pairs_counts_clips_with_a_partner() -> None:
    """28 of 31 classes have one."""
    assert difference(runs(0.5, n=496), runs(0.9, n=496), "within_pairs").over == "448 clips"


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.01, 0.2, "holds"), (-0.2, -0.01, "does not hold"), (-0.1, 0.1, "undecided")]
)
def test_verdicts(low: float, high: float, verdict: str) -> None:
    assert Estimate((low + high) / 2, low, high, "9 clips").verdict == verdict


def test_claims_without_measurements_are_omitted() -> None:
    assert len(claims_table({}, {})) == 1
    table = claims_table({"base": runs(0.4), "prompts": runs(0.8)}, {})
    assert [row[:2] for row in table[1:]] == [
        ["Temporal prompts help", "holds"],
        ["They show the model the order of frames", "holds"],
    ]


def test_spread_and_shifts_are_judged_by_the_study() -> None:
    """Static copies keep 90 % of the spread, and half of the accuracy is lost on shifted clips."""
    verdicts = {row[0]: row[1] for row in claims_table({}, REPORT)[1:]}
    assert verdicts == {
        "Attention moves to what moves": "does not hold",
        "Frames spread because of motion": "does not hold",
        "Better than adapters alone out of distribution": "holds",
        "Keeps its accuracy out of distribution": "does not hold",
    }
    still = json.loads(json.dumps(REPORT))
    spread = still["spread"]["ezclip"]["released unit"]
    spread["static"] = {key: 0.2 * spread["real"][key] for key in ("mean", "low", "high")}
    still["ood"]["ezclip"]["top1"] = still["test"]["ezclip"]["top1"]
    verdicts = {row[0]: row[1] for row in claims_table({}, still)[1:]}
    assert verdicts["Frames spread because of motion"] == "holds"
    assert verdicts["Keeps its accuracy out of distribution"] == "holds"
