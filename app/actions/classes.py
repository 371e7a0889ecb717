"""Class by class on many clips: the shipped results, or a zip of class folders."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.services import Services
from ezclip.data.manifest import SUFFIXES, labels_of, read_rows
from ezclip.errors import UserError
from ezclip.evaluation.classwise import Comparison, Difference, compare
from ezclip.evaluation.jobs import Step
from ezclip.text.templates import Texts

if TYPE_CHECKING:
    from ezclip.evaluation.class_study import ClassStudy

RESULTS = Path(__file__).resolve().parents[2] / "results" / "tabletop" / "study"
MOST_FILES = 2000
MOST_BYTES = 2_000_000_000  # unpacked
BATCH = 8  # clips between looks at Cancel


def shipped() -> dict[str, Any]:
    """report.json of the shipped models' study; empty where it does not ship."""
    path = RESULTS / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_study(pair: str) -> ClassStudy:
    """One of the study's comparisons, for example "base->ezclip", with what pictures ship of it."""
    from ezclip.evaluation.class_study import ClassStudy

    found = shipped().get("comparisons", {}).get(pair)
    if found is None:
        raise UserError(f"The shipped results hold no comparison {pair!r}; run `python -m ezclip reproduce tabletop`.")

    def difference(row: dict[str, Any]) -> Difference:
        return Difference(**{k: v for k, v in row.items() if k != "difference"})

    comparison = Comparison(
        tuple(found["models"]),
        difference(found["overall"]),
        [difference(row) for row in found["classes"]],
        [tuple(row) for row in found["fixed"]],
        [tuple(row) for row in found["created"]],
    )
    names = [f"confusion_{name}.png" for name in comparison.models]
    pictures = [RESULTS / name for name in (*names, *(["class_map.png"] if pair == "base->ezclip" else []))]
    return ClassStudy(comparison, pictures=[path for path in pictures if path.is_file()])


def _unpack(path: str, folder: Path) -> Path:
    """Unpack a zip of class folders, only its videos, nothing outside the folder; returns what holds the classes."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                m
                for m in archive.infolist()
                if not m.is_dir()
                and (Path(m.filename).suffix.lower() in SUFFIXES or Path(m.filename).name == "manifest.jsonl")
            ]
            if len(members) > MOST_FILES or sum(m.file_size for m in members) > MOST_BYTES:
                raise UserError(f"The zip holds {len(members)} videos; at most {MOST_FILES} and 2 GB are allowed.")
            for member in members:
                archive.extract(member, folder)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"{Path(path).name} is not a zip file; zip a folder with one sub-folder for each class."
        ) from error
    inside = [p for p in folder.iterdir() if p.is_dir()]
    return inside[0] if len(inside) == 1 and not (folder / "manifest.jsonl").exists() and _nested(inside[0]) else folder


def _nested(folder: Path) -> bool:
    return any(p.is_dir() for p in folder.iterdir()) or (folder / "manifest.jsonl").is_file()


def evaluate_zip(
    services: Services, path: str, baseline: str, model: str, texts: Texts = "trained"
) -> Iterator[Step | ClassStudy]:
    """Evaluate two models on a zip of labelled clips and compare them class by class.

    What was scored before a cancel is kept: the same zip goes on from there.

    Yields:
        Steps, and the study last. Closing the iterator cancels.

    Raises:
        UserError: a zip that cannot be used, or no readable clip in it.
    """
    from ezclip.evaluation.class_map import map_classes
    from ezclip.evaluation.class_study import ClassStudy
    from ezclip.evaluation.run import check_labels, joined, score_batch

    yield Step(0.0, "unpacking")
    folder = services.unpacked(path, _unpack)
    rows = read_rows(folder)
    if outside := [row for row in rows if not row.path.resolve().is_relative_to(folder.resolve())]:
        raise UserError(f"{len(outside)} rows of the manifest point outside the zip; list files inside it.")
    names = labels_of(rows)
    check_labels(rows, names)
    evaluations = []
    for i, name in enumerate((baseline, model)):
        predictor = services.predictor(name)
        parts = services.scored(folder, f"{name} {texts}")
        for start in range(len(parts) * BATCH, len(rows), BATCH):
            yield Step((i + start / len(rows)) / 2, f"{name}: {start} of {len(rows)} clips")
            with services.lock:
                parts.append(score_batch(predictor, rows[start : start + BATCH], names, texts))
        evaluations.append(joined(parts))
    if not evaluations[0].rows:
        raise UserError("None of the clips in the zip can be read.")
    yield Step(1.0, "laying the videos out")
    yield ClassStudy(compare(*evaluations), evaluations, map_classes(*evaluations))
