"""Below the stage: frames and maps of the models in rows, with their faithfulness, settings and downloads."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app import html, texts
from app.controls import control
from app.events import download_button
from app.services import Services
from app.tabs.export import newest, with_opacity
from ezclip.explanation.methods import FUSIONS, METHODS
from ezclip.progress import Watch
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis, save_maps, save_overlay, strip_figure
from ezclip.studies.stage.document import faithfulness_update

PAUSE = 2.0  # seconds before the faithfulness is measured, which leaves the machine free for a quick next action
_SET_OPACITY = "(v) => { document.querySelectorAll('.ez-strip').forEach(e => e.style.setProperty('--heat', v)) }"
# Parameters of ``Analyse`` in the order of ``AttentionTab.inputs``; its last input is the checkbox of all variants.
_SETTINGS = ("method", "target", "fusion", "start_layer", "discard", "opacity", "difference")


class AttentionTab:
    """The maps with their controls, and settings in the given column; ``show`` returns the values of ``outputs``."""

    def __init__(self, services: Services, state: gr.State, measured: gr.State, settings: gr.Column) -> None:
        self.services = services
        setting = partial(control, Analyse)
        with settings:
            self.method = setting("method", choices=_methods())
            self.fusion = setting("fusion", info="Settings in grey do not apply to this map.")
            self.start = gr.Dropdown([("all layers", 0)], value=0, label="Layers", elem_id="start-layer")
            self.discard = setting("discard")
            self.all = gr.Checkbox(label="Show all variants", elem_id="all-variants")
            self.subtract = setting("difference", label="Show the difference model minus baseline")
        gr.Markdown("## Maps frame by frame")
        with gr.Row():
            self.target = gr.Dropdown([], label="Label to explain", info=texts.TARGET, elem_id="target", min_width=260)
            self.opacity = setting("opacity", label="Opacity of the maps", min_width=260)
        self.strip = gr.HTML("", elem_id="strip")
        self.faithfulness = gr.HTML("", elem_id="faithfulness")
        with gr.Row():
            for label, suffix in (("Maps as PNG", "png"), ("Maps as NPZ", "npz"), ("Overlay as video", "mp4")):
                make = partial(_file, services, suffix)
                download_button(label, f"download-{suffix}", make, [state, measured, self.opacity])
        dropdowns = [self.method, self.target, self.fusion, self.start]
        self.outputs = [self.strip, self.faithfulness, self.discard, *dropdowns]
        self.inputs = [*dropdowns, self.discard, self.opacity, self.subtract, self.all]
        self.changes = [*(box.input for box in [*dropdowns, self.all, self.subtract]), self.discard.release]
        self.opacity.input(None, self.opacity, None, js=_SET_OPACITY)

    def settings(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """Parameters of ``Analyse``, from the values of ``inputs``."""
        *settings, all_variants = values
        further = (name for name in self.services.model_names() if all_variants and name.startswith("tabletop/"))
        return dict(zip(_SETTINGS, settings, strict=True)) | {"further": tuple(further)}

    def measure(self, current: Analysis | None, measured: Analysis | None) -> Iterator[Any]:
        """Measure the faithfulness of the maps in the background, once per analysis, for this tab and the stage."""
        if current is not None and newest(current, measured) is current:
            for _ in range(5):
                time.sleep(PAUSE / 5)
                yield gr.skip(), gr.skip(), gr.skip()
            yield from measured_faithfulness(self.services, current)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """The strip, the faithfulness of the maps, and the settings with their current choices."""
        method = METHODS[analysis.study["method"]]
        names = [p.label for p in analysis.model.predictions]
        depths = [self.services.predictor(r.name).model.layers for r in analysis.results]
        depth = min(filter(None, depths), default=1)
        layers = [("all layers", 0), *((f"from layer {k + 1} of {depth}", k) for k in range(1, depth))]
        return [
            html.source(analysis) + html.strip(analysis),
            html.faithfulness(analysis),
            gr.Slider(interactive="discard" in method.settings),
            gr.Dropdown(_methods(), value=analysis.study["method"]),
            gr.Dropdown(names, value=analysis.target),
            gr.Dropdown(list(FUSIONS), interactive="fusion" in method.settings),
            gr.Dropdown(layers, value=analysis.study["start_layer"], interactive="start_layer" in method.settings),
        ]


def _methods() -> list[tuple[str, str]]:
    return [(method.title, name) for name, method in METHODS.items()]


def measured_faithfulness(services: Services, analysis: Analysis) -> Iterator[tuple[str, Any, Any]]:
    """Measure the faithfulness; yields the table as HTML, and at the end also the analysis and its stage update."""
    watch = Watch(services.in_turn(analysis.with_faithfulness))
    for step in watch:
        message = f"Now measuring faithfulness: {step.fraction:.0%} …"
        yield html.faithfulness(analysis, message=message), gr.skip(), gr.skip()
    yield html.faithfulness(watch.result), watch.result, faithfulness_update(watch.result)


def _file(services: Services, suffix: str, analysis: Analysis, measured: Analysis | None, opacity: float) -> str:
    """Write the maps as PNG, NPZ or video; returns the path."""
    analysis = with_opacity(newest(analysis, measured), opacity)
    path = services.scratch() / f"{Path(analysis.clip.name).stem}-{analysis.study['method']}.{suffix}"
    if suffix == "npz":
        save_maps(path, analysis)
    elif suffix == "png":
        strip_figure(analysis).savefig(path, dpi=110)
    else:
        save_overlay(path, analysis)
    return str(path)
