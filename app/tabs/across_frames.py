"""Tab: influence between frames through the temporal prompts, layer by layer, and the spread of the frames."""

import gradio as gr

from app import html, texts
from app.events import INSTANT
from ezclip.studies.analysis_report import Analysis


class AcrossFramesTab:
    """The T x T matrix, attention to the prompt, and the spread; ``show`` gives the new values of ``outputs``."""

    def __init__(self, state: gr.State) -> None:
        with gr.Tab(texts.TABS["across"], id="across"):
            self.layer = gr.Dropdown([("All layers (rollout)", 0)], value=0, label="Layer", elem_id="layer")
            self.matrix = gr.HTML(html.empty(texts.EMPTY_INFLUENCE), elem_id="influence")
            self.spread = gr.HTML("", elem_id="spread")
        self.outputs = [self.layer, self.matrix, self.spread]
        self.layer.input(_draw, [state, self.layer], self.matrix, **INSTANT)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The layers to choose from, the matrix over all layers, and the table of spreads."""
        view = analysis.view
        layers = [("All layers (rollout)", 0), *((f"Layer {k}", k) for k in (view.layers if view else []))]
        return [gr.Dropdown(layers, value=0), html.temporal(analysis), html.spread(analysis)]


def _draw(analysis: Analysis | None, layer: int) -> str:
    return html.empty(texts.EMPTY_INFLUENCE) if analysis is None else html.temporal(analysis, layer)
