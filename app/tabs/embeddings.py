"""Tab: frame embeddings of several clips under two models, projected into one plane (Fig. 8)."""

from pathlib import Path
from typing import Any

import gradio as gr

from app import html, texts
from app.controls import Controls, control, find
from app.events import start, stop
from app.services import Services
from app.stale import Stale
from app.tabs.export import StudyExport
from ezclip.parameters import build
from ezclip.progress import Steps
from ezclip.studies.frames import CompareFrames, FramePlane
from ezclip.types import Keywords

MAX_SAMPLES = 7  # in addition to the clip in the player
EMPTY = (
    "Each frame becomes a point. Choose clips and two models, then press the button. Hollow points are static copies "
    "of the clips: spread that they share does not come from motion."
)


class EmbeddingsTab:
    """Projects the clip in the player and other clips; ``models`` are the dropdowns of models."""

    def __init__(self, services: Services, controls: Controls, samples: list[str]) -> None:
        names = services.model_names()
        self.models: list[Any] = []
        with gr.Tab(texts.TABS["embeddings"], id="embeddings"):
            with gr.Row():
                for name, label, fallback in (("baseline", "First model", -1), ("model", "Second model", 0)):
                    default = find(CompareFrames, name).default
                    value = default if default in names else names[fallback]
                    layout = {"allow_custom_value": services.local, "min_width": 220}
                    self.models.append(gr.Dropdown(names, value=value, label=label, elem_id=f"frames-{name}", **layout))
                projection = control(CompareFrames, "projection", min_width=220)
            label = "Samples beside the clip in the player"
            options: Keywords = {"multiselect": True, "max_choices": MAX_SAMPLES, "value": samples[:3]}
            others = gr.Dropdown([(Path(s).stem, s) for s in samples], label=label, elem_id="other-clips", **options)
            with gr.Accordion("More clips of your own", open=False):
                label = "Clips beside the one in the player"
                files = gr.File(label=label, file_count="multiple", height=110, elem_id="more-clips")
            with gr.Row():
                run = gr.Button("Project frames", elem_id="frames-run")
                cancel = gr.Button("Cancel", elem_id="frames-cancel")
            gestures = html.asset("charts.js") + "ezCharts(element);"
            stale = Stale()
            plane = gr.HTML(html.empty(EMPTY), elem_id="plane", js_on_load=gestures)
            export = StudyExport(services, "frames", figure=True)

        def study(chosen: list[str] | None, more: list[str] | None, *values: Any) -> CompareFrames:
            first, second, projection, played, pair, *_ = values
            clips = tuple(filter(None, [controls.clip(played, pair), *(more or []), *(chosen or [])]))
            return build(CompareFrames, {"clips": clips, "baseline": first, "model": second, "projection": projection})

        def work(*values: Any) -> Steps[FramePlane]:
            return services.run(study(*values))

        def show(result: FramePlane) -> list[Any]:
            return [html.frame_plane(result), result]

        inputs = [others, files, *self.models, projection, *controls]
        job = start(stale.trigger(run.click), work, inputs, [plane, export.state], show)
        stop(cancel, [job], plane)
        stale.watch([job], study, inputs[: -len(controls) + 2], export.state)  # without the class names
