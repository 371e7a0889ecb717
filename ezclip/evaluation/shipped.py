"""What ships of the study on Tabletop Motion: the models' measured numbers, their answers, the clips behind them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezclip.data.manifest import Row
from ezclip.data.tabletop.classes import LABELS, PARTNER
from ezclip.errors import UserError

if TYPE_CHECKING:
    from ezclip.evaluation.class_study import ClassStudy

RESULTS = Path(__file__).resolve().parents[2] / "results" / "tabletop" / "study"
TEST_SEED = 2024


def shipped_report() -> dict[str, Any]:
    """report.json of the study; empty where it does not ship."""
    path = RESULTS / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_variants() -> list[str]:
    """Variants whose answers to every test clip ship."""
    return [name for name in shipped_report().get("test", {}) if _answers(name).is_file()]


def shipped_study(variants: Sequence[str]) -> ClassStudy:
    """One of the shipped models class by class, or a baseline and a model; with the map of videos.

    Raises:
        UserError: a variant of which nothing ships.
    """
    from ezclip.evaluation.class_map import read_class_map
    from ezclip.evaluation.class_study import ClassStudy, read_predictions

    known = shipped_variants()
    if unknown := [name for name in variants if name not in known]:
        raise UserError(f"No answers of {unknown[0]!r} ship; choose among {', '.join(known) or 'none'}.")
    evaluations = [read_predictions(_answers(name), name) for name in variants]
    for e in evaluations:
        e.rows = [replace(row, partner=PARTNER.get(row.label)) for row in e.rows]
    maps = shipped_report().get("class_maps", {})
    mapped = next((m for m in maps.values() if len(variants) == 2 and m["silhouette"].keys() == set(variants)), None)
    return ClassStudy(evaluations, read_class_map(mapped, variants) if mapped else None)


def measured(variant: str) -> dict[str, Any]:
    """A shipped model's "test" accuracies and, by name, those on "families" out of distribution; may be empty."""
    report = shipped_report()
    if variant not in report.get("test", {}):
        return {}
    test = {
        key: value for key, value in report["test"][variant].items() if key in ("n", "top1", "top5", "within_pairs")
    }
    return {"test": test, "families": report.get("ood", {}).get(variant, {}).get("families", {})}


def draw_test_clip(row: Row, folder: Path) -> Path:
    """Draw a clip of the study's test set again, with its masks, below ``folder``; the same file as then.

    Raises:
        UserError: not a clip of Tabletop Motion.
    """
    from ezclip.data.tabletop.generate import draw_again

    if row.label not in LABELS or not row.path.stem.isdigit():
        raise UserError(f"{row.short_name} is no clip of Tabletop Motion; it cannot be drawn again.")
    return draw_again(folder, split="val", seed=TEST_SEED, label=row.label, number=int(row.path.stem))


def _answers(variant: str) -> Path:
    return RESULTS / f"predictions_{variant}.csv"
