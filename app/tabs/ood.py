"""Tab: out-of-distribution clips (Fig. 7), versions that test for static bias, and corruptions of the user's clip."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from app import html, texts
from app.controls import Controls, control
from app.events import start, stop
from app.services import Services
from app.stale import Stale
from app.tabs.export import StudyExport
from app.tabs.opened_clip import CHOOSE, Choice, OpenedClip
from ezclip.checkpoints.cards import shipped_accuracy, shipped_static_bias, shipped_variants
from ezclip.data.tabletop.generate import EXAMPLE
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.data.tabletop.truth import sample_entry
from ezclip.parameters import parameters_of
from ezclip.progress import Steps
from ezclip.studies.analysis import Analyse
from ezclip.studies.corruption import Corrupt, CorruptedPredictions
from ezclip.video.corrupt import Corruption

CORRUPT = "Move a slider: the clip in the player is corrupted and both models score it again."


def chosen_clip(entries: html.Entries, row: int, folder: Callable[[], Path]) -> tuple[str, str, str]:
    """Path, label, and family or version of a row of ``html.gallery``; a version is rendered into ``folder()``."""
    from ezclip.evaluation.shipped import draw_version

    if row < len(entries):
        path, entry = entries[row]
        return path, str(entry["label"]), str(entry["family"])
    version = list(VERSIONS)[row - len(entries)]
    return str(draw_version(version, folder())), EXAMPLE[0], version


def ood_tab(services: Services, controls: Controls, samples: list[str]) -> None:
    """Lay out the tab and register its handlers."""
    entries = [(path, entry) for path in samples if (entry := sample_entry(path) or {}).get("family")]
    accuracy = {variant: shipped_accuracy(variant)["families"] for variant in shipped_variants()}
    static = shipped_static_bias()
    kinds = [field.name for field in parameters_of(Corruption)]
    with gr.Tab(texts.TABS["ood"], id="ood"):
        gallery = gr.HTML(html.gallery(entries, accuracy, static), elem_id="gallery", js_on_load=CHOOSE)
        opened = OpenedClip(services, "ood")
        with gr.Accordion("Corrupt your own clip", open=False):
            sliders = [control(Corrupt, kind, elem_id=f"corrupt-{kind}") for kind in kinds]
            cancel = gr.Button("Cancel", elem_id="corrupt-cancel")
            stale = Stale()
            corrupted = gr.HTML(html.empty(CORRUPT), elem_id="corrupted")
            export = StudyExport(services, "corruption")

    def choose(row: int, *values: Any) -> Choice:
        path, label, family = chosen_clip(entries, row, services.scratch)
        study = controls.study(Analyse, values, clip=path, labels="", texts="trained", sentences={})
        by_variant = {variant: accuracy[variant] | static.get(variant, {}).get("versions", {}) for variant in accuracy}
        accuracies = {variant: families[family] for variant, families in by_variant.items() if family in families}
        return Choice(study, label, family, accuracies)

    def study(*values: Any) -> Corrupt:
        strengths = dict(zip(kinds, values[: len(kinds)], strict=True))
        return controls.study(Corrupt, values[len(kinds) :], **strengths)

    def work(*values: Any) -> Steps[CorruptedPredictions]:
        return services.run(study(*values))

    def show(result: CorruptedPredictions) -> list[Any]:
        return [html.corrupted(result), result]

    opened.open_on(gallery, choose, list(controls))
    inputs, outputs = [*sliders, *controls], [corrupted, export.state]
    triggers = [*(slider.input for slider in sliders), stale.note.select]
    jobs = [start(trigger, work, inputs, outputs, show, trigger_mode="always_last") for trigger in triggers]
    stop(cancel, jobs, corrupted)
    stale.watch(jobs, study, inputs, export.state)
