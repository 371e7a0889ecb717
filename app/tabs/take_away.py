"""Below the buttons: the analysis as one page, as a zip, and as a command."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from app.actions.report import report_files, study_archive
from app.downloads import download_button
from app.services import Services
from ezclip.evaluation.analysis import Analysis
from ezclip.evaluation.analysis_report import commands
from ezclip.evaluation.proof import truth


class TakeAway:
    """Downloads and the command box; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, proofs: gr.State) -> None:
        with gr.Accordion("Take away", open=False, elem_id="take-away"):
            with gr.Row():
                for label, name, which in (
                    ("Report (one HTML page)", "report", 0),
                    ("Figures, tables (zip)", "archive", 1),
                ):
                    download_button(label, name, partial(_file, services, which), [state, proofs])
            self.code = gr.Code(label="The same on a command line and in Python", language="shell", elem_id="command")
        self.outputs = [self.code]

    def show(self, analysis: Analysis) -> list[object]:
        """The commands."""
        return [commands(analysis)]


class StudyArchive:
    """A button that packs what a tab has found; ``state`` takes (function that makes the report, the request)."""

    def __init__(
        self, services: Services, name: str, label: str = "Take this away (zip: page, figures, tables)"
    ) -> None:
        self.state = gr.State(None)
        make = lambda found: study_archive(services, f"ezclip-{name}", *found)  # noqa: E731
        download_button(label, f"{name}-archive", make, [self.state])


def _file(services: Services, which: int, analysis: Analysis, known: Any) -> str:
    proofs = known[1] if known and known[0] is analysis else truth(analysis)
    return report_files(services, analysis, proofs)[which]
