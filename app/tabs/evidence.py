"""Tab: one click says whether a model sees motion in this clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import texts, widgets
from app.actions.evidence import Evidence, motion_evidence
from app.controls import Controls
from app.feedback import guarded_steps
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.evaluation.jobs import Step, timed

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
                stop = gr.Button("Cancel", elem_id="probe-cancel")
            found = gr.HTML(widgets.empty(EMPTY), elem_id="evidence")
            chart = gr.Plot(visible=False, show_label=False, label="Scores by variation", elem_id="evidence-chart")
            archive = StudyArchive(services, "evidence")

        def vary(*values: Any) -> Iterator[Any]:
            for step in timed(motion_evidence(services, controls.request(*values))):
                if isinstance(step, Step):
                    yield widgets.progress(step), gr.skip(), gr.skip()
                elif isinstance(step, Evidence):
                    chart_shown = gr.Plot(widgets.evidence_chart(step), visible=True)
                    yield widgets.evidence(step), chart_shown, (step.report, step.request)

        job = run.click(
            on_gpu(guarded_steps(vary)), controls.inputs, [found, chart, archive.state],
            concurrency_id="model", concurrency_limit=1, api_visibility="private",
        )  # fmt: skip
        stop.click(
            lambda: widgets.empty("Cancelled."), None, found, cancels=[job], queue=False, api_visibility="private"
        )
