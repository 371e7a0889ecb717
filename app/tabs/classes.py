"""Tab: class by class on many clips (Fig. 5): shipped results, a zip or folder of classes, or tables of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from app import texts, widgets
from app.actions.classes import evaluate_classes, unpacked_zip, uploaded_folder
from app.actions.report import Found
from app.controls import Controls
from app.feedback import guarded
from app.jobs import start, stop
from app.services import Services
from app.tabs.opened_clip import CHOOSE, OpenedClip
from app.tabs.take_away import StudyArchive
from ezclip.errors import UserError
from ezclip.evaluation.shipped import draw_test_clip, shipped_study, shipped_variants
from ezclip.progress import Step
from ezclip.studies.analysis import Request

if TYPE_CHECKING:
    from ezclip.studies.classes import ClassStudy

CANCELLED = "Cancelled. What was scored is kept: press the button again to go on from there."
NO_MAP = "No map of videos: it needs embeddings of two models of one width, which tables of predictions do not hold."
EMPTY = "Which classes gain, which lose, and by how much: show what ships of Tabletop Motion, or bring your own."
# Gradio drops the folders of an uploaded folder's files, so the page remembers them.
_REMEMBER_FOLDER = """;document.addEventListener('change', e => { if (e.target.webkitdirectory)
    window.ezFolder = [...e.target.files].map(f => f.webkitRelativePath) }, true)"""
_FOLDER = "() => { const n = (window.ezFolder || []).join('\\n'); window.ezFolder = []; return n }"


# The study, whether its clips are the user's own, and for ``Found`` the command, models and files.
Study = tuple["ClassStudy", bool, tuple[str, ...], tuple[str, ...], tuple[str, ...]]


class ClassesTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls) -> None:
        variants = shipped_variants()
        with gr.Tab(texts.TABS["classes"], id="classes"):
            with gr.Row():
                first_shipped = _shipped_box(variants, "baseline", "base")
                second_shipped = _shipped_box(variants, "model", "ezclip")
                show_shipped = gr.Button("Show", elem_id="shipped-show", interactive=bool(variants))
            with gr.Accordion("Your own clips or predictions", open=False):
                with gr.Row():
                    archive_file = gr.File(
                        label="Zip with one folder of clips for each class",
                        file_types=[".zip"],
                        height=110,
                        elem_id="zip",
                    )
                    folder = gr.File(
                        label="or a folder: click to choose it", file_count="directory", height=110, elem_id="folder"
                    )
                names = gr.Textbox(visible=False)
                with gr.Row():
                    run = gr.Button("Evaluate baseline and model on these clips", elem_id="zip-run")
                    cancel = gr.Button("Cancel", elem_id="zip-cancel")
                with gr.Row():
                    first = gr.File(
                        label="predictions.csv of a model (of ezclip evaluate --out)",
                        file_types=[".csv"],
                        height=110,
                        elem_id="one",
                    )
                    second = gr.File(
                        label="of a second model, to compare", file_types=[".csv"], height=110, elem_id="two"
                    )
                tables = gr.Button("Show the tables", elem_id="tables-run")
            verdict = gr.HTML(widgets.empty(EMPTY), elem_id="class-verdict")
            chart = gr.Plot(visible=False, show_label=False, label="Differences by class", elem_id="class-chart")
            plane = gr.HTML("", elem_id="class-map", js_on_load=CHOOSE + _REMEMBER_FOLDER)
            opened = OpenedClip(services, "class")
            bars = gr.Plot(visible=False, show_label=False, label="Accuracy by class", elem_id="class-bars")
            table = gr.HTML("", elem_id="class-table")
            archive = StudyArchive(services, "classes")
        shown = gr.State(None)
        outputs = [verdict, chart, plane, bars, table, shown, archive.state, opened.box]

        def own(path: str | None, files: list[str] | None, listed: str, *values: Any) -> Iterator[Any]:
            if not path and not files:
                raise UserError("No clips yet: upload a zip or a folder with a folder of clips for each class.")
            if path and files:
                raise UserError("There are a zip and a folder; remove one of them.")
            yield Step(0.0, "unpacking")
            asked = controls.request(*values)
            place = unpacked_zip(services, path) if path else uploaded_folder(services, files or [], listed.split("\n"))
            name = Path(path).stem if path else place.name
            verb = ("evaluate", "--data", name, "--model", asked.model, "--baseline", asked.baseline)
            verb = (*verb, "--texts", asked.texts, "--out", "report")
            for found in evaluate_classes(services, place, asked.baseline, asked.model, asked.texts):
                made = (verb, tuple(asked.models), (path,) if path else ())
                yield found if isinstance(found, Step) else (found, True, *made)

        def read(one: str | None, two: str | None) -> list[Any]:
            given = [path for path in (one, two) if path]
            if not given:
                raise UserError("No table yet: upload the predictions.csv of one model or of two.")
            from ezclip.studies.classes import study_tables

            names = ("predictions_baseline.csv", "predictions.csv")[-len(given) :]  # as the zip has them
            return _shown((study_tables(given), False, ("compare", *names, "--out", "compared"), (), tuple(given)))

        def show_two(one: str, two: str) -> list[Any]:
            variants = list(dict.fromkeys((one, two)))
            models = tuple(f"tabletop/{name}" for name in variants)
            return _shown((shipped_study(variants), False, ("compare", *variants, "--out", "compared"), models, ()))

        def choose(chosen: int, found: Study | None, *values: Any) -> tuple[Request, str, str]:
            if found is None or found[0].class_map is None:
                raise UserError("Evaluate clips first.")
            study, own_clips, _, models, _ = found
            assert study.class_map is not None
            clip = study.class_map.rows[chosen]
            path = clip.path if own_clips else draw_test_clip(clip, services.scratch())
            asked = replace(controls.request(*values), labels=tuple(study.model.labels), sentences={}, target="")
            return replace(asked, path=str(path), baseline=models[0], model=models[-1]), clip.label, ""

        shared: dict[str, Any] = {"api_visibility": "private"}
        show_shipped.click(guarded(show_two), [first_shipped, second_shipped], outputs, **shared)
        tables.click(guarded(read), [first, second], outputs, **shared)
        folder.upload(None, None, names, js=_FOLDER, **shared)
        job = start(run.click, own, [archive_file, folder, names, *controls.inputs], outputs, _shown)
        stop(cancel, [job], verdict, CANCELLED)
        opened.open_on(plane, choose, [shown, *controls.inputs], controls.video)


def _shipped_box(variants: list[str], role: str, variant: str) -> gr.Dropdown:
    """A choice among the shipped results."""
    value = variant if variant in variants else None
    return gr.Dropdown(
        variants, value=value, label=f"Shipped results: {role}", min_width=160, elem_id=f"shipped-{role}"
    )


def _shown(found: Study) -> list[Any]:
    study, _, verb, models, files = found
    skipped = [f"{name} could not be read: {why}" for name, why in study.model.skipped.items()]
    return [
        widgets.class_verdict(study) + widgets.warnings(skipped),
        gr.Plot(widgets.class_chart(study), visible=True) if study.comparison else gr.Plot(visible=False),
        widgets.class_plane(study.class_map) if study.class_map else f'<p class="ez-note">{NO_MAP}</p>',
        gr.Plot(widgets.class_bars(study), visible=True),
        widgets.class_tables(study) + widgets.class_pictures(study),
        found,
        Found(study.report, verb, models, files),
        gr.Column(visible=False),
    ]
