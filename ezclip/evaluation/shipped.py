"""Shipped results of the study on Tabletop Motion: the models' predictions and the test clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ezclip.checkpoints.cards import predictions_file, shipped_report, shipped_variants
from ezclip.data.manifest import Row
from ezclip.data.tabletop.classes import LABELS, PARTNER
from ezclip.data.tabletop.generate import EXAMPLE, redraw, redraw_images
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.errors import UserError
from ezclip.evaluation.classwise import ClassMap, read_class_map
from ezclip.evaluation.run import Evaluation, read_predictions

TEST_SEED = 2024


def shipped_evaluations(variants: Sequence[str]) -> list[Evaluation]:
    """The shipped predictions of the given variants.

    Raises:
        UserError: a variant without shipped results.
    """
    shipped = shipped_variants()
    if unknown := [name for name in variants if name not in shipped]:
        raise UserError(f"There are no shipped results of {unknown[0]!r}; choose among {', '.join(shipped) or 'none'}.")
    evaluations = [read_predictions(predictions_file(name), name) for name in variants]
    for e in evaluations:
        e.rows = [replace(row, partner=PARTNER.get(row.label)) for row in e.rows]
    return evaluations


def shipped_map(variants: Sequence[str]) -> ClassMap | None:
    """The class map of two variants, if shipped."""
    maps = shipped_report().get("class_maps", {}).values()
    data = next((m for m in maps if len(variants) == 2 and m["silhouette"].keys() == set(variants)), None)
    return read_class_map(data, variants) if data else None


def draw_test_clip(row: Row, folder: Path) -> Path:
    """Redraw a clip of the study's test set with its masks below ``folder``; the file is identical.

    Raises:
        UserError: not a clip of Tabletop Motion.
    """
    return redraw(folder, split="val", seed=TEST_SEED, label=row.label, number=_number(row))


def draw_test_images(row: Row) -> np.ndarray:
    """The frames of a test clip before video encoding, uint8 (n, H, W, 3).

    Raises:
        UserError: not a clip of Tabletop Motion.
    """
    return redraw_images("val", TEST_SEED, row.label, _number(row))


def draw_version(version: str, folder: Path) -> Path:
    """Redraw the test clip ``EXAMPLE`` below ``folder`` in a version of ``data.tabletop.static_bias``."""
    label, scene = EXAMPLE
    number = scene * len(VERSIONS) + list(VERSIONS).index(version)
    return redraw(folder, split="static", seed=TEST_SEED, label=label, number=number)


def _number(row: Row) -> int:
    if row.label not in LABELS or not row.path.stem.isdigit():
        raise UserError(f"{row.short_name} is not a clip of Tabletop Motion; it cannot be redrawn.")
    return int(row.path.stem)
