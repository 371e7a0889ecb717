"""Tab: frames and attention maps of the models, row under row, with their proof."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts, widgets
from app.downloads import download_button
from app.services import Services
from app.tabs.opened_clip import proof_steps
from app.tabs.take_away import proofs_of
from ezclip.studies.analysis import Analysis
from ezclip.studies.faithfulness import truth

METHODS = {
    "rollout": "Attention rollout",
    "rollout-own-frame": "Rollout, own frame only",
    "last-layer": "Last layer, class token",
    "released": "The release's map",
    "gradient-rollout": "Gradient rollout (of the label)",
    "grad-cam": "Grad-CAM (of the label)",
    "integrated-gradients": "Integrated gradients (of the label)",
    "occlusion": "Occlusion (of the label)",
}
_SET_OPACITY = "(v) => { document.querySelectorAll('.ez-strip').forEach(e => e.style.setProperty('--heat', v)) }"
_SET_FRAME = """(t) => document.querySelectorAll('.ez-strip').forEach(s => {
    s.querySelectorAll('[data-t]').forEach(c => c.classList.toggle('ez-on', +c.dataset.t === t - 1));
    const on = s.querySelector('.ez-on'), head = s.querySelector('th');
    if (on) s.scrollTo({left: on.offsetLeft - (head ? head.offsetWidth : 0) - 8, behavior: 'smooth'}) })"""


class AttentionTab:
    """The strip with its controls; ``show`` gives the new values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, proofs: gr.State) -> None:
        self.services, self.state, self.proofs = services, state, proofs
        with gr.Tab(texts.TABS["attention"], id="attention"):
            with gr.Row():
                titles = [(title, name) for name, title in METHODS.items()]
                self.method = gr.Dropdown(titles, value="rollout", label="Map", min_width=260, elem_id="method")
                self.target = gr.Dropdown(
                    [], label="Label that is explained", info=texts.TARGET, min_width=260, elem_id="target"
                )
            self.strip = gr.HTML(widgets.empty(texts.EMPTY_MAPS), elem_id="strip")
            self.proof = gr.HTML("", elem_id="proof")
            with gr.Row():
                self.opacity = gr.Slider(
                    0, 1, 0.6, step=0.05, label="Opacity of the maps", min_width=260, elem_id="opacity"
                )
                self.frame = gr.Slider(
                    1, 8, 1, step=1, label="Frame to look at in all rows", min_width=260, elem_id="frame"
                )
            with gr.Accordion("Settings of the map (those in grey are not of this map)", open=False), gr.Row():
                self.fusion = gr.Dropdown(["mean", "max", "min"], label="Heads become one by", elem_id="fusion")
                self.start = gr.Dropdown([("all layers", 0)], value=0, label="Layers", elem_id="start-layer")
                self.discard = gr.Slider(0, 0.9, 0.0, step=0.1, label="Smallest attention dropped", elem_id="discard")
                self.all = gr.Checkbox(label="Show all variants", elem_id="all-variants")
                self.subtract = gr.Checkbox(label="Show the difference model minus baseline", elem_id="difference")
            with gr.Row():
                for label, suffix in (("Maps as PNG", "png"), ("Maps as NPZ", "npz"), ("Overlay as video", "mp4")):
                    make = partial(_file, services, suffix)
                    download_button(label, f"download-{suffix}", make, [state, self.proofs, self.opacity])
        self.outputs = [self.strip, self.proof, self.target, self.frame, self.fusion, self.start, self.discard]
        self.inputs = [
            *(self.method, self.target, self.fusion, self.start, self.discard, self.all, self.opacity, self.subtract)
        ]
        self.changes = [
            *(self.method.input, self.target.input, self.fusion.input, self.start.input, self.discard.release),
            *(self.all.input, self.subtract.input),
        ]
        self.opacity.input(None, self.opacity, None, js=_SET_OPACITY)
        self.frame.input(None, self.frame, None, js=_SET_FRAME)

    def settings(
        self,
        method: str,
        target: str | None,
        fusion: str,
        start: int,
        discard: float,
        everything: bool,
        opacity: float,
        difference: bool,
    ) -> dict[str, Any]:
        """Fields of the request, from the values of ``inputs``."""
        further = tuple(name for name in self.services.model_names() if everything and name.startswith("tabletop/"))
        return {
            "method": method,
            "target": target or "",
            "fusion": fusion,
            "start_layer": start,
            "discard": discard,
            "further": further,
            "opacity": opacity,
            "difference": difference,
        }

    def prove(self, current: Analysis | None, known: Any) -> Iterator[Any]:
        """Measure the maps' faithfulness in the background and show it under them; once for each analysis."""
        if current is None or (known and known[0] is current):
            return
        for html, found in proof_steps(self.services, current):
            yield html, (current, found) if found else gr.skip()

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The strip as HTML, what is known of the maps, the labels that can be explained, the frames, the settings."""
        from ezclip.explanation.methods import METHODS as known

        takes = known[analysis.request.method].takes
        names = [p.label for p in analysis.model.predictions]
        depth = min(len(self.services.predictor(r.name).model.vision.blocks) for r in analysis.results)
        layers = [("all layers", 0), *((f"from layer {k + 1} of {depth}", k) for k in range(1, depth))]
        return [
            widgets.strip(analysis),
            widgets.proof(analysis, truth(analysis)),
            gr.Dropdown(names, value=analysis.target),
            gr.Slider(1, max(2, len(analysis.clip)), 1, step=1),
            gr.Dropdown(interactive="fusion" in takes),
            gr.Dropdown(layers, value=analysis.request.start_layer, interactive="start_layer" in takes),
            gr.Slider(interactive="discard" in takes),
        ]


def _file(services: Services, suffix: str, analysis: Analysis, known: Any, opacity: float) -> str:
    """Path of the maps as PNG, NPZ or video; ``known`` is (an analysis, its proofs) or None."""
    from ezclip.evaluation.analysis_files import save_maps, save_overlay

    from ezclip.studies.analysis_report import strip_figure

    path = services.scratch() / f"{Path(analysis.clip.name).stem}-{analysis.request.method}.{suffix}"
    proofs = proofs_of(analysis, known)
    if suffix == "npz":
        save_maps(path, analysis, proofs, services)
    elif suffix == "png":
        strip_figure(analysis, proofs, opacity).savefig(path, dpi=110)
    else:
        save_overlay(path, analysis, opacity)
    return str(path)
