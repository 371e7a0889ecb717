"""Tab: shipped clips out of distribution by family (Fig. 7), and damage to the user's own clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import texts, widgets
from app.actions.ood import damage, family_accuracy, family_analysis
from app.controls import Controls
from app.feedback import guarded
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.data.tabletop.truth import sample_entry
from ezclip.errors import UserError
from ezclip.video.corrupt import Corruption

EMPTY = "Choose a family: the models never saw anything of its kind in training."
KINDS = ("blur", "noise", "darkness", "tint", "occlusion", "frame_drop")


class OODTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls, samples: list[str]) -> None:
        entries = {path: sample_entry(path) or {} for path in samples}
        families = {str(e["family"]): path for path, e in entries.items() if e.get("family")}
        with gr.Tab(texts.TABS["ood"], id="ood"):
            titles = [(family.replace("_", " "), family) for family in families]
            family = gr.Dropdown(titles, label="Family of shipped clips", value=None, elem_id="family")
            shown = gr.HTML(widgets.empty(EMPTY), elem_id="family-shown")
            with gr.Accordion("Damage your own clip", open=False):
                sliders = [
                    gr.Slider(0, 1, 0, step=0.1, label=kind.replace("_", " ").capitalize(), elem_id=f"damage-{kind}")
                    for kind in KINDS
                ]
                damaged = gr.HTML(
                    widgets.empty("Move a slider: the clip in the player is damaged and both models score it again."),
                    elem_id="damaged",
                )
                archive = StudyArchive(services, "damage")
        shared: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}

        def show(chosen: str, *values: Any) -> str:
            if chosen not in families:
                raise UserError("No sample of this family ships; choose another.")
            request = controls.request(*values)
            path = families[chosen]
            analysis = family_analysis(services, path, request.baseline, request.model)
            return widgets.family(analysis, str(entries[path]["label"]), Path(path).stem, family_accuracy(chosen))

        def hurt(*values: Any) -> tuple[str, Any]:
            found = damage(services, controls.request(*values[len(KINDS) :]), Corruption(*values[: len(KINDS)]))
            return widgets.damaged(found), (found.report, found.request)

        family.input(on_gpu(guarded(show)), [family, *controls.inputs], shown, **shared)
        for slider in sliders:
            slider.release(on_gpu(guarded(hurt)), [*sliders, *controls.inputs], [damaged, archive.state], **shared)
