"""Class by class on many clips: a zip or a folder with one folder of clips for each class."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.services import Services
from ezclip.data.manifest import SUFFIXES, labels_of, read_rows
from ezclip.errors import UserError
from ezclip.files import sha256_of
from ezclip.progress import Step

if TYPE_CHECKING:
    from ezclip.evaluation.embed import Embedded
    from ezclip.studies.classes import ClassStudy

MOST_FILES = 2000
MOST_BYTES = 2_000_000_000  # unpacked
BATCH = 8  # clips between looks at Cancel
_PART = r"(?!\.\.?(/|$))[^/\\:\x00-\x1f]+"
_INSIDE = re.compile(rf"{_PART}(/{_PART})*")  # a path that stays in its folder, on every system


def unpacked_zip(services: Services, path: str) -> Path:
    """The folder of classes in a zip: only its videos, nothing outside the folder.

    Raises:
        UserError: not a zip, or one with too much in it.
    """

    def unpack(folder: Path) -> Path:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if not m.is_dir() and _wanted(m.filename)]
                _check_size(len(members), sum(m.file_size for m in members))
                for member in members:
                    archive.extract(member, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise UserError(
                f"{Path(path).name} is not a zip file; zip a folder with one sub-folder for each class."
            ) from error
        return _classes_in(folder)

    if not path or not Path(path).is_file():
        raise UserError("There is no zip; upload it again.")
    return services.unpacked(sha256_of(path), unpack)


def uploaded_folder(services: Services, files: Sequence[str], names: Sequence[str]) -> Path:
    """The folder of classes that a browser uploaded file by file.

    Args:
        services: for a place.
        files: where the uploads lie.
        names: what each was called inside the chosen folder, such as "clips/waving/1.mp4", in the same order.

    Raises:
        UserError: names that do not belong to the files or lead outside the folder, files that are gone, or too much.
    """
    there = all(Path(file).is_file() for file in files)
    if len(files) != len(names) or not there or not all(map(_INSIDE.fullmatch, names)):
        raise UserError("The folder did not arrive whole; click into the box and choose the folder there.")
    wanted = [(Path(file), name) for file, name in zip(files, names, strict=True) if _wanted(name)]
    _check_size(len(wanted), sum(file.stat().st_size for file, _ in wanted))

    def lay(folder: Path) -> Path:
        for file, name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)
        return _classes_in(folder)

    listed = "\n".join(f"{sha256_of(file)} {name}" for file, name in wanted)
    return services.unpacked(hashlib.sha256(listed.encode()).hexdigest(), lay)


def _wanted(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES or Path(name).name == "manifest.jsonl"


def _check_size(files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise UserError(f"These are {files} videos of {size / 1e9:.1f} GB; at most {MOST_FILES} and 2 GB are allowed.")


def _classes_in(folder: Path) -> Path:
    """The folder itself, or the one folder in it that holds the classes."""
    inside = [p for p in folder.iterdir() if p.is_dir()]
    return inside[0] if len(inside) == 1 and not (folder / "manifest.jsonl").exists() and _nested(inside[0]) else folder


def _nested(folder: Path) -> bool:
    return any(p.is_dir() for p in folder.iterdir()) or (folder / "manifest.jsonl").is_file()


def evaluate_classes(
    services: Services, folder: Path, baseline: str, model: str, texts: str = "trained"
) -> Iterator[Step | ClassStudy]:
    """Evaluate two models on a folder of classes and compare them class by class.

    What was encoded is kept: after a cancel, and for other texts, the same folder goes on from there.

    Yields:
        Steps, and the study last. Closing the iterator cancels.

    Raises:
        UserError: a folder that cannot be used, or no readable clip in it.
    """
    from ezclip.evaluation.embed import embed
    from ezclip.evaluation.run import check_labels, score_all
    from ezclip.studies.classes import study_of

    rows = read_rows(folder)
    if outside := [row for row in rows if not row.path.resolve().is_relative_to(folder.resolve())]:
        raise UserError(f"{len(outside)} rows of the manifest point outside its folder; list files inside it.")
    names = labels_of(rows)
    check_labels(rows, names)
    chosen = list(dict.fromkeys((baseline, model)))
    evaluations = []
    for i, name in enumerate(chosen):
        predictor = services.predictor(name)
        parts: list[Embedded] = services.kept(folder, name)
        while (start := len(parts) * BATCH) < len(rows):
            yield Step((i + start / len(rows)) / len(chosen), f"{name}: {start} of {len(rows)} clips")
            services.keep(folder)
            with services.lock:
                if len(parts) * BATCH == start:  # a cancelled run may have ended this batch meanwhile
                    parts.extend(embed(predictor, rows[start : start + BATCH], batch_size=BATCH))
        yield Step((i + 1) / len(chosen), f"{name}: reading {len(names)} class names")
        with services.lock:
            evaluations.append(score_all(predictor, parts, names, texts))
    yield Step(1.0, "laying the videos out")
    yield study_of(evaluations)
