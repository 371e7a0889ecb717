"""Tab: shipped clips out of distribution by family (Fig. 7), and damage to the user's own clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts, widgets
from app.actions.report import Found
from app.controls import Controls
from app.jobs import start, stop
from app.services import Services
from app.tabs.opened_clip import CHOOSE, OpenedClip
from app.tabs.take_away import StudyArchive
from ezclip.data.tabletop.truth import sample_entry
from ezclip.evaluation.shipped import measured, shipped_variants
from ezclip.studies.analysis import Request
from ezclip.studies.corruption import Damaged, damage
from ezclip.video.corrupt import Corruption

LEAD = (
    "The models never saw anything of these kinds in training. Bars are the shipped models' top-1, measured on further "
    "clips of the family. Click a clip to see where the chosen baseline and model look."
)
KINDS = ("blur", "noise", "darkness", "tint", "occlusion", "frame_drop")
DAMAGE = "Move a slider: the clip in the player is damaged and both models score it again."


class OODTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls, samples: list[str]) -> None:
        entries = [(path, entry) for path in samples if (entry := sample_entry(path) or {}).get("family")]
        accuracy = {variant: measured(variant)["families"] for variant in shipped_variants()}
        with gr.Tab(texts.TABS["ood"], id="ood"):
            gallery = gr.HTML(
                f"<p>{LEAD}</p>" + widgets.gallery(entries, accuracy),
                elem_id="gallery",
                js_on_load=CHOOSE,
            )
            opened = OpenedClip(services, "ood")
            with gr.Accordion("Damage your own clip", open=False):
                sliders = [
                    gr.Slider(0, 1, 0, step=0.1, label=kind.replace("_", " ").capitalize(), elem_id=f"damage-{kind}")
                    for kind in KINDS
                ]
                cancel_damage = gr.Button("Cancel", elem_id="damage-cancel")
                damaged = gr.HTML(widgets.empty(DAMAGE), elem_id="damaged")
                archive = StudyArchive(services, "damage")

        def choose(chosen: int, *values: Any) -> tuple[Request, str, str]:
            path, entry = entries[chosen]
            asked = controls.request(*values)
            family, label = str(entry["family"]), str(entry["label"])
            rows = {variant: families[family] for variant, families in accuracy.items() if family in families}
            return Request(path, "", asked.baseline, asked.model), label, widgets.family(family, rows)

        def hurt(*values: Any) -> Iterator[Any]:
            corruption = Corruption(*values[: len(KINDS)])
            return damage(services, controls.request(*values[len(KINDS) :]), corruption)

        def show(found: Damaged) -> list[Any]:
            r = found.request
            options = [part for kind, value in vars(found.corruption).items() for part in _flag(kind, value)]
            verb = ("damage", Path(str(r.path)).name, "--model", r.model, "--baseline", r.baseline, *options)
            verb = (*verb, "--out", "damaged")
            return [widgets.damaged(found), Found(found.report, verb, tuple(r.models), (str(r.path),), r)]

        opened.open_on(gallery, choose, controls.inputs, controls.video)
        inputs, outputs = [*sliders, *controls.inputs], [damaged, archive.state]
        moved = [start(s.input, hurt, inputs, outputs, show, trigger_mode="always_last") for s in sliders]
        stop(cancel_damage, moved, damaged)


def _flag(kind: str, value: float) -> list[str]:
    return [f"--{kind.replace('_', '-')}", f"{value:g}"] if value else []
