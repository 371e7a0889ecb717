"""Pages and zips of what a tab has found."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from app.services import Services
from ezclip.checkpoints.provenance import card
from ezclip.figures.report import Report
from ezclip.files import sha256_of
from ezclip.studies.analysis import Analysis, Request, wanted_labels
from ezclip.studies.analysis_report import label_files, label_options
from ezclip.studies.faithfulness import MapProof


@dataclass(frozen=True)
class Found:
    """What a tab has found, and how.

    Attributes:
        make: the report of a provenance card.
        verb: the words of the command that finds the same, files by their names.
        models: that found it.
        files: paths of the clips or tables.
        asked: whose class names and texts were asked for; None where there were none.
    """

    make: Callable[[dict[str, str]], Report]
    verb: tuple[str, ...]
    models: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    asked: Request | None = None

    @property
    def command(self) -> str:
        """The command that finds the same; names.txt and sentences.csv lie in the zip."""
        words = label_options(self.asked) if self.asked else []
        return shlex.join(["python", "-m", "ezclip", *self.verb, *words])


def report_files(
    services: Services, analysis: Analysis, proofs: list[MapProof], *, with_clip: bool = False
) -> tuple[str, str]:
    """Paths of the self-contained page, and of a zip with every table, picture and map, if wanted also the clip."""
    from ezclip.evaluation.analysis_files import write_analysis

    folder = services.scratch()
    files = write_analysis(folder / "report", analysis, proofs, services)["files"]
    clip = [Path(analysis.request.path)] if with_clip and analysis.request.path else []
    return _packed(folder, "ezclip-report", [*map(Path, files.values()), *clip])


def study_archive(services: Services, name: str, found: Found) -> str:
    """Path of a zip with everything that a tab has found."""
    made = {"command": found.command}
    sources = [f"{Path(path).name}, sha256 {sha256_of(path)[:16]}…" for path in found.files if Path(path).is_file()]
    if sources:
        made["source"] = "; ".join(sources)
    made |= ({"texts": found.asked.texts} if found.asked else {}) | card(list(found.models))
    folder = services.scratch()
    files = list(found.make(made).write(folder / "report").values())
    if found.asked:
        for inside, text in label_files(wanted_labels(found.asked)[0], found.asked.sentences).items():
            files.append(folder / "report" / inside)
            files[-1].write_text(text, "utf-8")
    return _packed(folder, name, files)[1]


def _packed(folder: Path, name: str, files: list[Path]) -> tuple[str, str]:
    """Move report.html out of ``folder``/report and put all of ``files`` into a zip; paths of both."""
    archive, page = folder / f"{name}.zip", folder / f"{name}.html"
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for path in files:
            packed.write(path, path.name)
    (folder / "report" / "report.html").rename(page)
    shutil.rmtree(folder / "report")
    return str(page), str(archive)
