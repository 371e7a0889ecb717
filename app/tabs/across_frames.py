"""Tab: influence between frames through the prompts per layer, the spread of frames, and tokens of high norm."""

from functools import partial

import gradio as gr

from app import html, texts
from app.events import INSTANT, start
from app.services import Services
from ezclip.errors import UserError
from ezclip.progress import Steps
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.explain import tokens_of, tokens_table


class AcrossFramesTab:
    """The T x T matrix, attention to the prompt, and the spread; ``show`` returns the values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State) -> None:
        with gr.Tab(texts.TABS["across"], id="across"):
            self.layer = gr.Dropdown([("All layers (rollout)", 0)], value=0, label="Layer", elem_id="layer")
            self.matrix = gr.HTML(html.empty(texts.EMPTY_INFLUENCE), elem_id="influence")
            self.spread = gr.HTML("", elem_id="spread")
            tokens = gr.Button("List tokens of high norm", size="sm", elem_id="tokens-run")
            self.tokens = gr.HTML("", elem_id="tokens")

        def work(analysis: Analysis | None) -> Steps[str]:
            if analysis is None:
                raise UserError("Analyse a clip first; then the norms of its tokens can be measured.")
            norms = yield from services.in_turn(partial(tokens_of, analysis=analysis))
            return html.tokens(tokens_table(norms))

        start(tokens.click, work, [state], [self.tokens], lambda page: [page], show_progress="hidden")
        self.outputs = [self.layer, self.matrix, self.spread, self.tokens]
        self.layer.input(_show_layer, [state, self.layer], self.matrix, **INSTANT)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The choice of layers, the matrix over all layers, the table of spreads, and no tokens yet."""
        view = analysis.view
        layers = [("All layers (rollout)", 0), *((f"Layer {k}", k) for k in (view.layers if view else []))]
        return [gr.Dropdown(layers, value=0), _render(analysis), html.spread(analysis), ""]


def _show_layer(analysis: Analysis | None, layer: int) -> str:
    return html.empty(texts.EMPTY_INFLUENCE) if analysis is None else _render(analysis, layer)


def _render(analysis: Analysis, layer: int = 0) -> str:
    return html.source(analysis) + html.temporal(analysis, layer)
