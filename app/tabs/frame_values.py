"""Below the stage: Shapley values of the frames, on request."""

from functools import partial
from typing import Any

import gradio as gr

from app import html
from app.events import start, stop
from app.services import Services
from ezclip.errors import UserError
from ezclip.progress import Steps
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.stage.frames import frame_values_update, shapley_by_model, summarise_any_frame

BUTTONS = {
    "readout": "Which frames carry the score?",
    "removal": "By removal (slower: one pass for each set of frames)",
}


def frame_values(services: Services, state: gr.State, stage: gr.HTML) -> None:
    """Lay out the buttons and register their handlers; the values are drawn on the stage."""
    with gr.Row(elem_classes="ez-after"):
        run = {game: gr.Button(title, size="sm", elem_id=f"frames-{game}") for game, title in BUTTONS.items()}
        cancel = gr.Button("Cancel", size="sm", elem_id="frame-values-cancel", min_width=80)
    summary = gr.HTML("", elem_id="frames-told")

    def work(game: str, analysis: Analysis | None) -> Steps[Any]:
        if analysis is None:
            raise UserError("Analyse a clip first; then compute what its frames contribute.")
        removed = game == "removal"
        values = yield from services.in_turn(partial(shapley_by_model, analysis=analysis, removed=removed))
        return html.verdict(summarise_any_frame(values), []), frame_values_update(analysis, values, game)

    jobs = [
        start(button.click, partial(work, game), [state], [summary, stage], list, show_progress="hidden")
        for game, button in run.items()
    ]
    stop(cancel, jobs, summary)
