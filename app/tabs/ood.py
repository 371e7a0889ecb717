"""Tab: shipped clips out of distribution by family (Fig. 7), and corruptions of the user's own clip."""

from typing import Any

import gradio as gr

from app import html, texts
from app.controls import Controls, control
from app.events import start, stop
from app.services import Services
from app.tabs.export import StudyExport
from app.tabs.opened_clip import CHOOSE, Choice, OpenedClip
from ezclip.checkpoints.cards import measured, shipped_variants
from ezclip.data.tabletop.truth import sample_entry
from ezclip.parameters import declared
from ezclip.progress import Steps
from ezclip.studies.analysis import Analyse
from ezclip.studies.corruption import Corrupt, CorruptedPredictions
from ezclip.video.corrupt import Corruption

CORRUPT = "Move a slider: the clip in the player is corrupted and both models score it again."


def ood_tab(services: Services, controls: Controls, samples: list[str]) -> None:
    """Lay out the tab and register its handlers."""
    entries = [(path, entry) for path in samples if (entry := sample_entry(path) or {}).get("family")]
    accuracy = {variant: measured(variant)["families"] for variant in shipped_variants()}
    kinds = [one.name for one in declared(Corruption)]
    with gr.Tab(texts.TABS["ood"], id="ood"):
        gallery = gr.HTML(html.gallery(entries, accuracy), elem_id="gallery", js_on_load=CHOOSE)
        opened = OpenedClip(services, "ood")
        with gr.Accordion("Corrupt your own clip", open=False):
            sliders = [control(Corrupt, kind, elem_id=f"corrupt-{kind}") for kind in kinds]
            cancel = gr.Button("Cancel", elem_id="corrupt-cancel")
            corrupted = gr.HTML(html.empty(CORRUPT), elem_id="corrupted")
            export = StudyExport(services, "corruption")

    def choose(chosen: int, *values: Any) -> Choice:
        path, entry = entries[chosen]
        study = controls.study(Analyse, values, clip=path, labels="", texts="trained", sentences={})
        family = str(entry["family"])
        rows = {variant: families[family] for variant, families in accuracy.items() if family in families}
        return Choice(study, str(entry["label"]), family, rows)

    def work(*values: Any) -> Steps[CorruptedPredictions]:
        strengths = dict(zip(kinds, values[: len(kinds)], strict=True))
        return services.run(controls.study(Corrupt, values[len(kinds) :], **strengths))

    def show(found: CorruptedPredictions) -> list[Any]:
        return [html.corrupted(found), found]

    opened.open_on(gallery, choose, list(controls))
    inputs, outputs = [*sliders, *controls], [corrupted, export.state]
    moved = [start(s.input, work, inputs, outputs, show, trigger_mode="always_last") for s in sliders]
    stop(cancel, moved, corrupted)
