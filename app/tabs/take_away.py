"""Below the buttons: the analysis as one page, as a zip, and as a command."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from app.actions.report import report_files, study_archive
from app.downloads import download_button
from app.services import Services
from ezclip.studies.analysis import Analysis
from ezclip.studies.analysis_report import commands
from ezclip.studies.faithfulness import MapProof, truth


class TakeAway:
    """Downloads and the command box, with the maps' opacity as it is; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, proofs: gr.State, opacity: gr.Slider) -> None:
        with gr.Accordion("Take away", open=False, elem_id="take-away"):
            with gr.Row():
                for label, name, which in (
                    ("Report (one HTML page)", "report", 0),
                    ("Figures, tables (zip)", "archive", 1),
                ):
                    download_button(label, name, partial(analysis_file, services, which), [state, proofs, opacity])
            self.code = gr.Code(label="The same on a command line and in Python", language="shell", elem_id="command")
        self.outputs = [self.code]
        opacity.release(_commands, [state, opacity], self.code, queue=False, api_visibility="private")

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The commands."""
        return [commands(analysis)]


class StudyArchive:
    """A button that packs what a tab has found; ``state`` takes it as ``Found``."""

    def __init__(self, services: Services, name: str) -> None:
        self.state = gr.State(None)
        make = partial(study_archive, services, f"ezclip-{name}")
        download_button("Take this away (zip: page, figures, tables)", f"{name}-archive", make, [self.state])


def analysis_file(services: Services, which: int, analysis: Analysis, known: Any, opacity: float) -> str:
    """Path of an analysis's page (0) or zip (1); ``known`` is (an analysis, its proofs) or None."""
    return report_files(services, _drawn(analysis, opacity), proofs_of(analysis, known))[which]


def proofs_of(analysis: Analysis, known: Any) -> list[MapProof]:
    """What is known of an analysis's maps; ``known`` is (an analysis, its proofs) or None."""
    return known[1] if known and known[0] is analysis else truth(analysis)


def _commands(analysis: Analysis | None, opacity: float) -> str:
    return commands(_drawn(analysis, opacity)) if analysis else ""


def _drawn(analysis: Analysis, opacity: float) -> Analysis:
    return replace(analysis, request=replace(analysis.request, opacity=opacity))
