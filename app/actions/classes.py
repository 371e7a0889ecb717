"""Class by class on many clips: the shipped results, a zip of class folders, or two tables of predictions."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from app.actions.jobs import Step
from app.services import Services
from ezclip.data.manifest import SUFFIXES, Row, labels_of, read_rows
from ezclip.errors import UserError
from ezclip.evaluation.classwise import Comparison, Difference, compare
from ezclip.evaluation.report import Picture, Report, Table

if TYPE_CHECKING:
    from ezclip.evaluation.class_map import ClassMap
    from ezclip.evaluation.run import Evaluation

RESULTS = Path(__file__).resolve().parents[2] / "results" / "tabletop" / "study"
MOST_FILES = 2000
MOST_BYTES = 2_000_000_000  # unpacked
BATCH = 8  # clips between looks at Cancel


@dataclass(frozen=True, eq=False)
class ClassStudy:
    """Two models, class by class.

    Attributes:
        comparison: differences and changed confusions.
        evaluations: of both models; empty where only the comparison is at hand.
        class_map: videos of the classes that changed most; None where the clips are not at hand.
        pictures: files that ship in place of the two.
    """

    comparison: Comparison
    evaluations: list[Evaluation] = field(default_factory=list)
    class_map: ClassMap | None = None
    pictures: list[Path] = field(default_factory=list)

    def confusions(self) -> list[Picture]:
        """A confusion matrix for each evaluation."""
        from ezclip.evaluation.summary import confusion_part

        return [confusion_part(e) for e in self.evaluations]

    def report(self, provenance: dict[str, str]) -> Report:
        """Everything as figures and tables."""
        from ezclip.evaluation.summary import accuracy_table, comparison_parts

        parts: list[Table | Picture] = [accuracy_table(self.evaluations)] if self.evaluations else []
        parts += [*comparison_parts(self.comparison), *self.confusions()]
        data = {"comparison": self.comparison.as_json()}
        if self.class_map is not None:
            parts.append(self.class_map.picture())
            data["class_map"] = self.class_map.as_json()
        title = " against ".join(self.comparison.models)
        return Report(title, self.comparison.verdict, data, provenance, parts)


def shipped() -> dict[str, Any]:
    """report.json of the shipped models' study; empty where it does not ship."""
    path = RESULTS / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_study(pair: str) -> ClassStudy:
    """One of the study's comparisons, for example "base->ezclip", with what pictures ship of it."""
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


def evaluate_zip(services: Services, path: str, baseline: str, model: str) -> Iterator[Step | ClassStudy]:
    """Evaluate two models on a zip of labelled clips and compare them class by class.

    What was scored before a cancel is kept: the same zip goes on from there.

    Yields:
        Steps, and the study last. Closing the iterator cancels.

    Raises:
        UserError: a zip that cannot be used, or no readable clip in it.
    """
    from ezclip.evaluation.class_map import map_classes
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
        parts = services.scored(folder, name)
        began, known = monotonic(), len(parts)
        for start in range(known * BATCH, len(rows), BATCH):
            left = (monotonic() - began) / max(1, len(parts) - known) * -(-(len(rows) - start) // BATCH)
            told = f", about {left:.0f} s left" if len(parts) > known else ""
            yield Step((i + start / len(rows)) / 2, f"{name}: {start} of {len(rows)} clips{told}")
            with services.lock:
                parts.append(score_batch(predictor, rows[start : start + BATCH], names))
        evaluations.append(joined(parts))
    if not evaluations[0].rows:
        raise UserError("None of the clips in the zip can be read.")
    yield Step(1.0, "laying the videos out")
    yield ClassStudy(compare(*evaluations), evaluations, map_classes(*evaluations))


def two_tables(first: str, second: str) -> ClassStudy:
    """Compare two uploaded tables of predictions.

    Raises:
        UserError: a table that cannot be read, or two that differ in clips or class names.
    """
    evaluations = [read_predictions(first, "first table"), read_predictions(second, "second table")]
    return ClassStudy(compare(*evaluations), evaluations)


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
