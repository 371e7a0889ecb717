"""Exports: the analysis as one page, as a zip and as a command, and the results of other tabs."""

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
from ezclip.parameters import parameters_of
from ezclip.progress import finish
from ezclip.studies.analysis_report import Analysis, commands
from ezclip.studies.declaration import Result, Study
from ezclip.studies.paper.study import DIFFERENCE, INPUT, PaperFigure, figure_of


class Export:
    """Downloads and the command box, at the current map opacity; ``show`` returns the values of ``outputs``."""

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
        """The commands, and the rows available for a figure."""
        rows = [INPUT, *(r.name for r in analysis.results), *([DIFFERENCE] if analysis.difference is not None else [])]
        return [commands(analysis), gr.Dropdown(rows, value=rows)]


class StudyExport:
    """Buttons for a tab's result as a zip and optionally as a figure, visible once ``state`` holds a result."""

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
    """Lay out the settings and the download of a figure of the result in ``state``; returns the choice of rows."""
    with gr.Row():
        rows = gr.Dropdown([], label="Rows", multiselect=True, visible=of_clip, elem_id=f"{name}-rows", min_width=260)
        settings = {
            setting: control(PaperFigure, setting, elem_id=f"{name}-{setting.replace('_', '-')}", min_width=140)
            for setting in ("frame_numbers", *(field.name for field in parameters_of(Look)))
            if of_clip or setting != "frame_numbers"
        }

    def make(result: Any, rows: list[str] | None, *values: Any) -> str:
        figure = figure_of(result, rows=tuple(rows or ()), **dict(zip(settings, values, strict=True)))
        folder = services.scratch()
        return _pack(folder / f"ezclip-{figure.name}.zip", figure.write(folder).values())

    title = "Figure for a paper (zip: PDF, SVG, PNG, LaTeX)"
    download_button(title, f"{name}-figure", make, [state, rows, *settings.values()])
    return rows


def _pack(archive: Path, files: Iterable[Path]) -> str:
    """Write a flat zip of some files; returns its path."""
    with ZipFile(archive, "w", ZIP_DEFLATED) as zip_file:
        for path in files:
            zip_file.write(path, path.name)
    return str(archive)


def page_and_archive(services: Services, name: str, result: Result, *, clips: tuple[str, ...] = ()) -> tuple[str, str]:
    """Paths of a result's page and of a zip with all tables, figures and maps, the command's inputs, and ``clips``."""
    folder = services.scratch()
    report, archive, page = folder / "report", folder / f"{name}.zip", folder / f"{name}.html"
    result.write(report)
    study = getattr(result, "study", None)
    if isinstance(study, Study):
        for file, text in study.companions().items():
            (report / file).write_text(text, "utf-8")
    _pack(archive, [*sorted(report.iterdir()), *map(Path, clips)])
    (report / "report.html").rename(page)
    shutil.rmtree(report)
    return str(page), str(archive)


def complete(services: Services, analysis: Analysis) -> Analysis:
    """Complete an analysis with the faithfulness of its maps and the results of all frame orders."""
    if not all(f.measured for f in analysis.faithfulness):
        analysis = finish(services.in_turn(analysis.with_faithfulness))
    return analysis if analysis.directions else finish(services.in_turn(analysis.with_directions))


def _file(services: Services, which: int, analysis: Analysis, measured: Analysis | None, opacity: float) -> str:
    """Path of the page (0) or zip (1) of an analysis."""
    analysis = with_opacity(complete(services, newest(analysis, measured)), opacity)
    return page_and_archive(services, "ezclip-report", analysis)[which]


def newest(analysis: Analysis, measured: Analysis | None) -> Analysis:
    """``measured``, the analysis with measured faithfulness, if it belongs to ``analysis``; else ``analysis``."""
    same = measured is not None and (measured.study, measured.clip.source) == (analysis.study, analysis.clip.source)
    return measured if measured is not None and same else analysis


def with_opacity(analysis: Analysis, opacity: float) -> Analysis:
    """The analysis with another map opacity."""
    return replace(analysis, study=analysis.study.replace(opacity=opacity))


def _commands(analysis: Analysis | None, opacity: Any) -> str:
    return commands(with_opacity(analysis, opacity)) if analysis else ""
