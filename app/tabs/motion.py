"""Tab: test whether a model recognises motion in the clip."""

from typing import Any

import gradio as gr

from app import html, texts
from app.controls import Controls, control
from app.events import start, stop
from app.services import Services
from app.stale import Stale
from app.tabs.export import StudyExport
from ezclip.progress import Steps
from ezclip.studies.motion import MotionProbes, ProbeMotion

EMPTY = (
    "The same frames reversed, shuffled, static, at half and double speed. If the action has an opposite, a model that "
    "sees motion should answer it when the frames are reversed. Choose a clip and press the button."
)
OPPOSITE = "Proposed from the class names; or type one, such as: closing a door"


def motion_tab(services: Services, controls: Controls) -> None:
    """Lay out the tab and register its handlers; it works on the clip in the player."""
    with gr.Tab(texts.TABS["motion"], id="motion"):
        with gr.Row():
            run = gr.Button("Test the order of frames", elem_id="motion-run")
            cancel = gr.Button("Cancel", elem_id="motion-cancel")
        opposite = control(ProbeMotion, "opposite", placeholder=OPPOSITE, elem_id="motion-opposite")
        stale = Stale()
        result = gr.HTML(html.empty(EMPTY), elem_id="motion-result")
        export = StudyExport(services, "motion")

    def study(opposite: str, *values: Any) -> ProbeMotion:
        return controls.study(ProbeMotion, values, opposite=opposite)

    def work(*values: Any) -> Steps[MotionProbes]:
        return services.run(study(*values))

    def show(probes: MotionProbes) -> list[Any]:
        return [html.motion(probes), probes]

    inputs = [opposite, *controls]
    job = start(stale.trigger(run.click), work, inputs, [result, export.state], show)
    stop(cancel, [job], result)
    stale.watch([job], study, inputs, export.state)
