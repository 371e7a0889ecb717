"""Below the tabs: the analysis as one page, as a zip, and as a command; and each tab's own export."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import gradio as gr

from app.controls import control
from app.events import INSTANT, download_button
from app.services import Services
from ezclip.figures.paper import Look
from ezclip.parameters import declared
from ezclip.progress import finish
from ezclip.studies.analysis_report import Analysis, commands
from ezclip.studies.declaration import Result, Study
from ezclip.studies.paper.study import DIFFERENCE, INPUT, PaperFigure, figure_of


class Export:
    """Downloads and the command box, with the maps' opacity as it is; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, measured: gr.State, opacity: gr.Slider) -> None:
        with gr.Accordion("Export", open=False, elem_id="export"):
            downloads = [("Report (one HTML page)", "report"), ("Figures, tables (zip)", "archive")]
            with gr.Row():
                for which, (label, name) in enumerate(downloads):
                    download_button(label, name, partial(_file, services, which), [state, measured, opacity])
            self.rows = paper_export(services, "see", state, of_clip=True)
            self.code = gr.Code(label="Reproduce on the command line or in Python", language="shell", elem_id="command")
        self.outputs = [self.code, self.rows]
        opacity.release(_commands, [state, opacity], self.code, **INSTANT)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The commands, and the rows that a figure can have."""
        shown = [INPUT, *(r.name for r in analysis.results), *([DIFFERENCE] if analysis.difference is not None else [])]
        return [commands(analysis), gr.Dropdown(shown, value=shown)]


class StudyExport:
    """A button that packs a tab's result, and one for its figure where it has one, once ``state`` holds a result."""

    def __init__(self, services: Services, name: str, *, figure: bool = False) -> None:
        self.state = gr.State(None, time_to_live=3600)

        def make(result: Result) -> str:
            return page_and_archive(services, f"ezclip-{name}", result)[1]

        with gr.Column(visible=False) as box:
            download_button("Export (zip: page, figures, tables)", f"{name}-archive", make, [self.state])
            if figure:
                with gr.Accordion("Figure for a paper", open=False):
                    paper_export(services, name, self.state)
        self.state.change(lambda: gr.Column(visible=True), None, box, show_progress="hidden", **INSTANT)


def paper_export(services: Services, name: str, state: gr.State, *, of_clip: bool = False) -> gr.Dropdown:
    """Lay out what is chosen for a figure of the result in ``state``, and a button that packs it; returns the rows."""
    with gr.Row():
        rows = gr.Dropdown([], label="Rows", multiselect=True, visible=of_clip, elem_id=f"{name}-rows", min_width=260)
        chosen = {
            one: control(PaperFigure, one, elem_id=f"{name}-{one.replace('_', '-')}", min_width=140)
            for one in ("frame_numbers", *(one.name for one in declared(Look)))
            if of_clip or one != "frame_numbers"
        }

    def make(result: Any, rows: list[str] | None, *values: Any) -> str:
        drawn = figure_of(result, rows=tuple(rows or ()), **dict(zip(chosen, values, strict=True)))
        folder = services.scratch()
        return _packed(folder / f"ezclip-{drawn.name}.zip", drawn.write(folder).values())

    title = "Figure for a paper (zip: PDF, SVG, PNG, LaTeX)"
    download_button(title, f"{name}-figure", make, [state, rows, *chosen.values()])
    return rows


def _packed(archive: Path, files: Iterable[Path]) -> str:
    """Path of a zip of some files, by their names."""
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for path in files:
            packed.write(path, path.name)
    return str(archive)


def page_and_archive(services: Services, name: str, result: Result, *, clips: tuple[str, ...] = ()) -> tuple[str, str]:
    """Paths of a result's page and of a zip with every table, figure and map, what its command reads, and ``clips``."""
    folder = services.scratch()
    report, archive, page = folder / "report", folder / f"{name}.zip", folder / f"{name}.html"
    result.write(report)
    study = getattr(result, "study", None)
    if isinstance(study, Study):
        for inside, text in study.companions().items():
            (report / inside).write_text(text, "utf-8")
    _packed(archive, [*sorted(report.iterdir()), *map(Path, clips)])
    (report / "report.html").rename(page)
    shutil.rmtree(report)
    return str(page), str(archive)


def complete(services: Services, analysis: Analysis) -> Analysis:
    """An analysis with the faithfulness of its maps, and with the frames in every order."""
    if not all(f.measured for f in analysis.faithfulness):
        analysis = finish(services.in_turn(analysis.measured))
    return analysis if analysis.directions else finish(services.in_turn(analysis.in_all_directions))


def _file(services: Services, which: int, analysis: Analysis, measured: Analysis | None, opacity: float) -> str:
    """Path of an analysis's page (0) or zip (1)."""
    drawn = with_opacity(complete(services, newest(analysis, measured)), opacity)
    return page_and_archive(services, "ezclip-report", drawn)[which]


def newest(analysis: Analysis, measured: Analysis | None) -> Analysis:
    """``measured`` if it is the same analysis with its faithfulness measured."""
    same = measured is not None and (measured.study, measured.clip.source) == (analysis.study, analysis.clip.source)
    return measured if measured is not None and same else analysis


def with_opacity(analysis: Analysis, opacity: float) -> Analysis:
    """The analysis with its maps drawn at another opacity."""
    return replace(analysis, study=analysis.study.but(opacity=opacity))


def _commands(analysis: Analysis | None, opacity: Any) -> str:
    return commands(with_opacity(analysis, opacity)) if analysis else ""
