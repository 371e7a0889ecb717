"""Below the tabs: the analysis as one page, as a zip, and as a command; and each tab's own export."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from app.actions.export import complete, page_and_archive
from app.downloads import download_button
from app.services import Services
from ezclip.studies.analysis_report import Analysis, commands
from ezclip.studies.declaration import Result


class Export:
    """Downloads and the command box, with the maps' opacity as it is; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, measured: gr.State, opacity: gr.Slider) -> None:
        with gr.Accordion("Export", open=False, elem_id="export"):
            with gr.Row():
                for label, name, which in (
                    ("Report (one HTML page)", "report", 0),
                    ("Figures, tables (zip)", "archive", 1),
                ):
                    download_button(label, name, partial(analysis_file, services, which), [state, measured, opacity])
            self.code = gr.Code(label="Reproduce on the command line or in Python", language="shell", elem_id="command")
        self.outputs = [self.code]
        opacity.release(_commands, [state, opacity], self.code, queue=False, api_visibility="private")

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The commands."""
        return [commands(analysis)]


class StudyExport:
    """A button that packs a tab's result; ``state`` holds it."""

    def __init__(self, services: Services, name: str) -> None:
        self.state = gr.State(None)

        def make(result: Result) -> str:
            return page_and_archive(services, f"ezclip-{name}", result)[1]

        download_button("Export (zip: page, figures, tables)", f"{name}-archive", make, [self.state])


def analysis_file(services: Services, which: int, analysis: Analysis, measured: Analysis | None, opacity: float) -> str:
    """Path of an analysis's page (0) or zip (1)."""
    drawn = with_opacity(complete(services, newest(analysis, measured)), opacity)
    return page_and_archive(services, "ezclip-report", drawn)[which]


def newest(analysis: Analysis, measured: Analysis | None) -> Analysis:
    """``measured`` if it is the same analysis with its faithfulness measured."""
    return measured if measured is not None and measured.results is analysis.results else analysis


def with_opacity(analysis: Analysis, opacity: float) -> Analysis:
    """The analysis with its maps drawn at another opacity."""
    return replace(analysis, study=analysis.study.but(opacity=opacity))


def _commands(analysis: Analysis | None, opacity: Any) -> str:
    return commands(with_opacity(analysis, opacity)) if analysis else ""
