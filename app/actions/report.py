"""Pages and zips of what a tab has found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from app.services import Services
from ezclip.checkpoints.files import sha256_of
from ezclip.evaluation.analysis import Analysis, Request
from ezclip.evaluation.analysis_report import analysis_report
from ezclip.evaluation.proof import MapProof
from ezclip.evaluation.provenance import card
from ezclip.evaluation.report import Report


def report_files(services: Services, analysis: Analysis, proofs: list[MapProof]) -> tuple[str, str]:
    """Paths of the self-contained page, and of a zip with every table and picture."""
    from ezclip.evaluation.analysis_files import texts_of

    return pack(services, "ezclip-report", analysis_report(analysis, proofs), texts_of(analysis))


def study_archive(
    services: Services, name: str, make: Callable[[dict[str, str]], Report], asked: Request | None
) -> str:
    """Path of a zip with everything that a tab has found.

    Args:
        services: for the folder.
        name: of the file.
        make: the report of a provenance card.
        asked: what the study was made of; None where that was tables.
    """
    made = card(asked.models if asked else [])
    if asked and asked.path and Path(asked.path).is_file():
        made = _source(asked.path) | {"texts": asked.texts} | made
    return pack(services, name, make(made))[1]


def _source(path: str) -> dict[str, str]:
    return {"source": f"{Path(path).name}, sha256 {sha256_of(path)[:16]}…"}


def pack(services: Services, name: str, report: Report, more: dict[str, str] | None = None) -> tuple[str, str]:
    """Paths of the report's page and of a zip of all its files and of ``more``: names and texts."""
    folder = services.scratch()
    files = report.write(folder / "report")
    archive = folder / f"{name}.zip"
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for path in files.values():
            packed.write(path, path.name)
        for inside, text in (more or {}).items():
            packed.writestr(inside, text)
    page = folder / f"{name}.html"
    files["page"].rename(page)
    shutil.rmtree(folder / "report")
    return str(page), str(archive)
