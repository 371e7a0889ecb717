"""Files of results for export: a self-contained page, and a zip of everything."""

from __future__ import annotations

import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from app.services import Services
from ezclip.progress import finish
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.declaration import Result, Study


def page_and_archive(services: Services, name: str, result: Result, *, clips: tuple[str, ...] = ()) -> tuple[str, str]:
    """Paths of a result's page and of a zip with every table, figure and map, what its command reads, and ``clips``."""
    folder = services.scratch()
    files = list(result.write(folder / "report").values())
    study = getattr(result, "study", None)
    if isinstance(study, Study):
        for inside, text in study.companions().items():
            files.append(folder / "report" / inside)
            files[-1].write_text(text, "utf-8")
    archive, page = folder / f"{name}.zip", folder / f"{name}.html"
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for path in dict.fromkeys([*files, *map(Path, clips)]):
            packed.write(path, path.name)
    (folder / "report" / "report.html").rename(page)
    shutil.rmtree(folder / "report")
    return str(page), str(archive)


def complete(services: Services, analysis: Analysis) -> Analysis:
    """An analysis whose maps' faithfulness is measured."""
    if all(f.measured for f in analysis.faithfulness):
        return analysis
    return finish(analysis.measured(services))
