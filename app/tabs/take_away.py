"""Below the buttons: the analysis as one page, as a zip, and as a command."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.actions.analysis import Analysis
from app.actions.attention import truth
from app.actions.report import commands, report_files, study_archive
from app.feedback import guarded
from app.services import Services


class TakeAway:
    """Downloads and the command box; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, proofs: gr.State) -> None:
        with gr.Accordion("Take away", open=False, elem_id="take-away"):
            with gr.Row():
                page = gr.DownloadButton("Report (one HTML page)", elem_id="report")
                archive = gr.DownloadButton("Figures and tables (zip)", elem_id="archive")
            self.code = gr.Code(label="The same on a command line and in Python", language="shell", elem_id="command")
        self.outputs = [self.code]

        def files(analysis: Analysis | None, known: Any, which: int) -> str:
            if analysis is None:
                raise gr.Error("Analyse a clip first.", print_exception=False)
            proofs = known[1] if known and known[0] is analysis else truth(analysis)
            return report_files(services, analysis, proofs)[which]

        for button, which in ((page, 0), (archive, 1)):
            make = guarded(lambda analysis, known, which=which: files(analysis, known, which))
            button.click(make, [state, proofs], button, api_visibility="private")

    def show(self, analysis: Analysis) -> list[object]:
        """The commands."""
        return [commands(analysis)]


class StudyArchive:
    """A button that packs what a tab has found; ``state`` takes (function that makes the report, the request)."""

    def __init__(self, services: Services, name: str) -> None:
        self.state = gr.State(None)
        button = gr.DownloadButton("Take this away (zip: page, figures, tables)", elem_id=f"{name}-archive")

        def make(found: Any) -> str:
            if found is None:
                raise gr.Error("There is nothing to take away yet.", print_exception=False)
            return study_archive(services, f"ezclip-{name}", *found)

        button.click(guarded(make), self.state, button, api_visibility="private")
