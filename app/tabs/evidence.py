"""Tab: one click says whether a model sees motion in this clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts, widgets
from app.actions.evidence import Evidence, motion_evidence
from app.actions.report import Found
from app.controls import Controls
from app.jobs import start, stop
from app.services import Services
from app.tabs.take_away import StudyArchive

EMPTY = (
    "The same frames reversed, shuffled, frozen, at half and double speed: a model that sees motion must notice. "
    "Choose a clip and press the button."
)


class EvidenceTab:
    """Wired by itself: works on the clip in the player."""

    def __init__(self, services: Services, controls: Controls) -> None:
        with gr.Tab(texts.TABS["evidence"], id="evidence"):
            with gr.Row():
                run = gr.Button("Test the order of frames", elem_id="probe")
                cancel = gr.Button("Cancel", elem_id="probe-cancel")
            found = gr.HTML(widgets.empty(EMPTY), elem_id="evidence")
            chart = gr.Plot(visible=False, show_label=False, label="Scores by variation", elem_id="evidence-chart")
            archive = StudyArchive(services, "evidence")

        def vary(*values: Any) -> Iterator[Any]:
            return motion_evidence(services, controls.request(*values))

        def show(seen: Evidence) -> list[Any]:
            plot, r = gr.Plot(widgets.evidence_chart(seen), visible=True), seen.request
            verb = ("probe", Path(str(r.path)).name, "--model", r.model, "--baseline", r.baseline, "--out", "evidence")
            return [widgets.evidence(seen), plot, Found(seen.report, verb, tuple(r.models), (str(r.path),), r)]

        stop(cancel, [start(run.click, vary, controls.inputs, [found, chart, archive.state], show)], found)
