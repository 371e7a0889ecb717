"""Tab: both models' ranked class names."""

import gradio as gr

from app import texts, widgets
from app.actions import Analysis


class RecogniseTab:
    """The rankings; ``show`` gives the new values of ``outputs``."""

    def __init__(self) -> None:
        with gr.Tab("Recognise", id="recognise"):
            self.ranking = gr.HTML(widgets.empty(texts.EMPTY_RANKING), elem_id="ranking")
        self.outputs = [self.ranking]

    def show(self, analysis: Analysis) -> list[str]:
        """Rankings as HTML."""
        return [widgets.rankings(analysis)]
