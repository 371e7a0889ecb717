"""Tab: frames of this clip and of others under two models, in one plane (Fig. 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from app import texts, widgets
from app.actions.embeddings import frame_plane
from app.actions.report import Found
from app.controls import Controls
from app.jobs import start, stop
from app.services import Services
from app.tabs.take_away import StudyArchive
from ezclip.progress import Step

if TYPE_CHECKING:
    from ezclip.studies.frames import Layout

PAIR = ("tabletop/prompts", "tabletop/ezclip")
MOST_SAMPLES = 7  # beside the clip in the player
EMPTY = (
    "Each frame becomes a point. Choose clips and two models, then press the button: models that see motion spread the "
    "frames of a moving clip, and only of a moving clip."
)


class EmbeddingsTab:
    """Wired by itself: works on the clip in the player and on others; ``models`` are its two boxes."""

    def __init__(self, services: Services, controls: Controls, samples: list[str]) -> None:
        names = services.model_names()
        first, second = (name if name in names else fallback for name, fallback in zip(PAIR, names[::-1] * 2))
        model: dict[str, Any] = {"min_width": 220, "allow_custom_value": services.typed}
        with gr.Tab(texts.TABS["embeddings"], id="embeddings"):
            with gr.Row():
                first_box = gr.Dropdown(names, value=first, label="First model", elem_id="first-model", **model)
                second_box = gr.Dropdown(names, value=second, label="Second model", elem_id="second-model", **model)
                method = gr.Dropdown(
                    ["t-SNE", "UMAP", "PCA"], value="t-SNE", label="Projection", min_width=220, elem_id="projection"
                )
            self.models = [first_box, second_box]
            others = gr.Dropdown(
                [(Path(s).stem, s) for s in samples],
                value=samples[:3],
                multiselect=True,
                max_choices=MOST_SAMPLES,
                label="Samples beside the clip in the player",
                elem_id="other-clips",
            )
            with gr.Accordion("More clips of your own", open=False):
                own = gr.File(
                    label="Clips beside the one in the player", file_count="multiple", height=110, elem_id="more-clips"
                )
            with gr.Row():
                run = gr.Button("Lay the frames out", elem_id="project")
                cancel = gr.Button("Cancel", elem_id="project-cancel")
            plane = gr.HTML(widgets.empty(EMPTY), elem_id="plane")
            archive = StudyArchive(services, "frames")

        def draw(chosen: list[str] | None, more: list[str] | None, a: str, b: str, how: str, *values: Any) -> Iterator:
            path = controls.request(*values).path
            paths = [*([path] if path else []), *(more or []), *(chosen or [])]
            names = [Path(p).name for p in paths]
            verb = ("project", *names, "--first", a, "--second", b, "--method", how, "--out", "plane")
            for step in frame_plane(services, paths, [a, b], how):
                yield step if isinstance(step, Step) else (step, verb, (a, b), tuple(paths))

        def show(found: tuple[Layout, tuple[str, ...], tuple[str, ...], tuple[str, ...]]) -> list[Any]:
            layout, verb, models, files = found
            return [widgets.frame_plane(layout), Found(layout.report, verb, models, files)]

        inputs = [others, own, first_box, second_box, method, *controls.inputs]
        stop(cancel, [start(run.click, draw, inputs, [plane, archive.state], show)], plane)
