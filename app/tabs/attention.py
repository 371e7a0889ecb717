"""Tab: frames and attention maps of both models, row under row."""

from __future__ import annotations

import gradio as gr

from app import texts, widgets
from app.actions import Analysis, strip_png
from app.services import Services

OPACITY = 0.6
_SET_OPACITY = "(v) => { document.querySelectorAll('.ez-strip').forEach(e => e.style.setProperty('--heat', v)) }"


class AttentionTab:
    """The strip with its controls; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services) -> None:
        self.services = services
        with gr.Tab("Attention", id="attention"):
            self.strip = gr.HTML(widgets.empty(texts.EMPTY_MAPS), elem_id="strip")
            with gr.Row():
                self.opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity of the maps", elem_id="opacity")
                self.download = gr.DownloadButton("Download as PNG", interactive=False, elem_id="download-strip")
        self.opacity.input(None, self.opacity, None, js=_SET_OPACITY)
        self.outputs = [self.strip, self.opacity, self.download]

    def show(self, analysis: Analysis) -> list[object]:
        """The strip as HTML, the opacity it has, and its PNG."""
        png = strip_png(self.services, analysis)
        return [widgets.strip(analysis, OPACITY), OPACITY, gr.DownloadButton(value=png, interactive=True)]
