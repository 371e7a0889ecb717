"""Tab: which frame drew on which through the temporal prompts, layer by layer, and how far apart the frames lie."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import texts, widgets
from app.jobs import MODEL
from app.services import Services
from app.zero_gpu import on_gpu
from ezclip.studies.analysis import Analysis


class AcrossFramesTab:
    """The T x T matrix, who reads the prompts, and the spread; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State) -> None:
        self.services = services
        with gr.Tab(texts.TABS["across"], id="across"):
            self.layer = gr.Dropdown([("All layers (rollout)", 0)], value=0, label="Layer", elem_id="layer")
            self.matrix = gr.HTML(widgets.empty(texts.EMPTY_INFLUENCE), elem_id="influence")
            self.spread = gr.HTML("", elem_id="spread")
        self.outputs = [self.layer, self.matrix, self.spread]
        self.layer.input(on_gpu(self._draw), [state, self.layer], self.matrix, **MODEL)

    def _view(self, analysis: Analysis) -> Any:
        from ezclip.explanation.temporal import temporal_view

        predictor = self.services.predictor(analysis.model.name)
        with self.services.lock:
            predictor.set_video(analysis.clip)
            return temporal_view(predictor)

    def _draw(self, analysis: Analysis | None, layer: int) -> str:
        return widgets.empty(texts.EMPTY_INFLUENCE) if analysis is None else widgets.temporal(
            analysis, self._view(analysis), layer
        )  # fmt: skip

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The layers to choose from, the matrix over all layers, and the table of spreads."""
        view = self._view(analysis)
        layers = [("All layers (rollout)", 0), *((f"Layer {k}", k) for k in (view.layers if view else []))]
        return [
            gr.Dropdown(layers, value=0),
            widgets.temporal(analysis, view, 0),
            widgets.spread_table(analysis),
        ]
