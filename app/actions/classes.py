"""Class by class on many clips: the shipped results, a zip of class folders, or two tables of predictions."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.actions.jobs import Step, watched
from app.services import Services
from ezclip.data.manifest import SUFFIXES, Row, labels_of, read_rows
from ezclip.errors import UserError
from ezclip.evaluation.classwise import Comparison, Difference, compare

if TYPE_CHECKING:
    from ezclip.evaluation.run import Evaluation

RESULTS = Path(__file__).resolve().parents[2] / "results" / "tabletop" / "study"
MOST_FILES = 2000
MOST_BYTES = 2_000_000_000  # unpacked


def shipped() -> dict[str, Any]:
    """report.json of the shipped models' study; empty where it does not ship."""
    path = RESULTS / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_comparison(pair: str) -> Comparison:
    """One of the study's comparisons, for example "base->ezclip"."""
    found = shipped().get("comparisons", {}).get(pair)
    if found is None:
        raise UserError(f"The shipped results hold no comparison {pair!r}; run `python -m ezclip reproduce tabletop`.")

    def difference(row: dict[str, Any]) -> Difference:
        return Difference(**{k: v for k, v in row.items() if k != "difference"})

    return Comparison(
        tuple(found["models"]),
        difference(found["overall"]),
        [difference(row) for row in found["classes"]],
        [tuple(row) for row in found["fixed"]],
        [tuple(row) for row in found["created"]],
    )


def unpack(services: Services, path: str) -> Path:
    """A zip of class folders, unpacked into scratch; only videos, nothing outside its folder.

    Raises:
        UserError: not a zip, too large, or without class folders.
    """
    folder = services.scratch()
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


def compare_on(
    services: Services, folder: Path, baseline: str, model: str, labels: list[str] | None = None
) -> Iterator[Step | Comparison | list[Evaluation]]:
    """Evaluate two models on a folder of labelled clips and compare them class by class.

    Yields:
        Steps, then the two evaluations, and the Comparison last. Closing the iterator cancels.
    """
    from ezclip.evaluation.run import Evaluation, evaluate

    rows = read_rows(folder)
    if outside := [row for row in rows if not row.path.resolve().is_relative_to(folder.resolve())]:
        raise UserError(f"{len(outside)} rows of the manifest point outside the zip; list files inside it.")
    names = labels or labels_of(rows)
    evaluations = []
    for i, name in enumerate((baseline, model)):
        predictor = services.predictor(name)

        def work(tick: Any, predictor: Any = predictor) -> Evaluation:
            def progress(starts: range) -> Iterator[int]:
                for start in starts:
                    tick(start / len(rows))
                    yield start

            with services.lock:
                return evaluate(predictor, rows, names, progress=progress)  # type: ignore[arg-type]

        for step in watched(work, f"{name}: {len(rows)} clips"):
            if isinstance(step, Evaluation):
                evaluations.append(step)
            else:
                done = round(step.share * len(rows))
                yield Step((i + step.share) / 2, f"{name}: {done} of {len(rows)} clips")
    yield evaluations
    yield compare(*evaluations)


def read_predictions(path: str, title: str) -> Evaluation:
    """The predictions.csv of ``ezclip evaluate``: path, label, prediction, then one score a class.

    Args:
        path: the file.
        title: stands for its model in the comparison.

    Raises:
        UserError: another kind of file; names the first bad row.
    """
    import torch

    from ezclip.evaluation.run import Evaluation

    name = Path(path).name
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *lines = csv.reader(file)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"{name} is not a table of predictions in CSV.") from error
    labels = header[3:]
    if header[:3] != ["path", "label", "prediction"] or not labels:
        raise UserError(f"{name} does not start with path, label, prediction and one column a class.")
    rows, scores = [], []
    for number, line in enumerate(lines, 2):
        try:
            values = np.array(line[3:], float)
        except ValueError as error:
            raise UserError(f"{name}, row {number}: scores must be numbers.") from error
        if len(values) != len(labels) or line[1] not in labels:
            raise UserError(f"{name}, row {number} does not fit the header: {','.join(line)[:80]}")
        rows.append(Row(Path(line[0]), line[1]))
        scores.append(values)
    if not rows:
        raise UserError(f"{name} lists no clips.")
    return Evaluation(title, labels, rows, torch.tensor(np.stack(scores), dtype=torch.float32))
