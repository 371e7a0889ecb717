"""Tab: which frame drew on which through the temporal prompts, and how far apart the frames lie."""

from __future__ import annotations

import gradio as gr

from app import texts, widgets
from app.actions import Analysis
from ezclip.figures.maps import draw_influence


class AcrossFramesTab:
    """The T x T matrix and the spread; ``show`` gives the new values of ``outputs``."""

    def __init__(self) -> None:
        with gr.Tab("Across frames", id="across"):
            self.note = gr.HTML(widgets.empty(texts.EMPTY_INFLUENCE), elem_id="across-note")
            self.matrix = gr.Plot(
                label="Influence between frames", show_label=False, visible=False, elem_id="influence"
            )
            self.spread = gr.HTML("", elem_id="spread")
        self.outputs = [self.note, self.matrix, self.spread]

    def show(self, analysis: Analysis) -> list[object]:
        """A sentence, the matrix of the model, and the table of spreads."""
        result = analysis.model
        if result.attribution.influence is None:
            note = widgets.empty("This method looks at one frame at a time; choose rollout to see frames meet.")
            return [note, gr.Plot(visible=False), widgets.spread_table(analysis)]
        figure = draw_influence(result.attribution, title=result.name)
        note = (
            "<p>Each row is a frame; the bright cells are the other frames on which it drew. Models without prompts, "
            "such as the base model, draw on no other frame.</p>"
        )
        return [note, gr.Plot(figure, visible=True), widgets.spread_table(analysis)]
