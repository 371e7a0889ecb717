"""Tab: frames of this clip and of samples under two models, in one plane (Fig. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import texts, widgets
from app.actions.embeddings import frame_plane, sample_paths
from app.controls import Controls
from app.feedback import guarded
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.evaluation.analysis import Request

PAIR = ("tabletop/prompts", "tabletop/ezclip")
MOST_SAMPLES = 7  # beside the clip in the player
EMPTY = (
    "Each frame becomes a point. Choose clips and two models, then press the button: models that see motion spread the "
    "frames of a moving clip, and only of a moving clip."
)


class EmbeddingsTab:
    """Wired by itself: works on the clip in the player and on samples, before or after an analysis."""

    def __init__(self, services: Services, controls: Controls, samples: list[str]) -> None:
        names = services.model_names()
        first, second = (name if name in names else fallback for name, fallback in zip(PAIR, names[::-1] * 2))
        folder = Path(samples[0]).parent if samples else Path()
        with gr.Tab(texts.TABS["embeddings"], id="embeddings"):
            with gr.Row():
                first_box = gr.Dropdown(names, value=first, label="First model", min_width=220, elem_id="first-model")
                second_box = gr.Dropdown(
                    names, value=second, label="Second model", min_width=220, elem_id="second-model"
                )
                method = gr.Dropdown(
                    ["t-SNE", "UMAP", "PCA"], value="t-SNE", label="Projection", min_width=220, elem_id="projection"
                )
            others = gr.Dropdown(
                [Path(s).stem for s in samples],
                value=[Path(s).stem for s in samples[:3]],
                multiselect=True,
                max_choices=MOST_SAMPLES,
                label="Clips beside the one in the player",
                elem_id="other-clips",
            )
            run = gr.Button("Lay the frames out", elem_id="project")
            plane = gr.HTML(widgets.empty(EMPTY), elem_id="plane")
            archive = StudyArchive(services, "frames")

        def draw(chosen: list[str], a: str, b: str, how: str, *values: Any) -> tuple[str, Any]:
            own = controls.request(*values).path
            paths = [*([own] if own else []), *sample_paths(chosen or [], folder)]
            found = frame_plane(services, paths, [a, b], how)
            return widgets.frame_plane(found), (found.report, Request(own, baseline=a, model=b))

        run.click(
            on_gpu(guarded(draw)), [others, first_box, second_box, method, *controls.inputs], [plane, archive.state],
            concurrency_id="model", concurrency_limit=1, api_visibility="private",
        )  # fmt: skip
