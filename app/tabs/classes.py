"""Tab: class by class on many clips (Fig. 5): shipped results, a zip of class folders, or tables of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from app import texts, widgets
from app.actions import classes as actions
from app.controls import Controls
from app.feedback import guarded, guarded_steps
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.errors import UserError
from ezclip.evaluation.analysis import Request, analyse, finish
from ezclip.evaluation.jobs import Step, timed

if TYPE_CHECKING:
    from ezclip.evaluation.class_study import ClassStudy

CANCELLED = "Cancelled. What was scored is kept: press the button again to go on from there."
_CHOOSE = """const choose = e => { const p = e.target.closest('[data-row]');
    if (p && (e.type == 'click' || e.key == 'Enter')) trigger('select', {row: +p.dataset.row}) };
    element.addEventListener('click', choose); element.addEventListener('keydown', choose)"""
EMPTY = "Which classes gain, which lose, and by how much: choose a source."


class ClassesTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls) -> None:
        pairs = list(actions.shipped().get("comparisons", {}))
        with gr.Tab(texts.TABS["classes"], id="classes"):
            with gr.Row():
                pair = gr.Dropdown(
                    [(p.replace("->", " against "), p) for p in pairs],
                    value=pairs[0] if pairs else None,
                    label="Shipped results on Tabletop Motion",
                    elem_id="shipped-pair",
                )
                show = gr.Button("Show", elem_id="shipped-show", interactive=bool(pairs))
            with gr.Accordion("Your own clips or predictions", open=False):
                clips = gr.File(
                    label="Zip with one folder of clips for each class", file_types=[".zip"], height=110, elem_id="zip"
                )
                with gr.Row():
                    run = gr.Button("Evaluate baseline and model on the zip", elem_id="zip-run")
                    stop = gr.Button("Cancel", elem_id="zip-cancel")
                with gr.Row():
                    first = gr.File(label="predictions.csv of a first model", file_types=[".csv"], height=110)
                    second = gr.File(label="predictions.csv of a second model", file_types=[".csv"], height=110)
                tables = gr.Button("Compare the two tables", elem_id="tables-run")
            verdict = gr.HTML(widgets.empty(EMPTY), elem_id="class-verdict")
            chart = gr.Plot(visible=False, show_label=False, label="Differences by class", elem_id="class-chart")
            plane = gr.HTML("", elem_id="class-map", js_on_load=_CHOOSE)
            clip = gr.HTML("", elem_id="class-clip")
            table = gr.HTML("", elem_id="class-table")
            archive = StudyArchive(services, "classes")
        study = gr.State(None)
        outputs = [verdict, chart, plane, clip, table, study, archive.state]
        shared: dict[str, Any] = {"api_visibility": "private"}

        def own(path: str | None, *values: Any) -> Iterator[Any]:
            if not path:
                raise UserError("No zip yet: upload one with a folder of clips for each class.")
            request = replace(controls.request(*values), path=path)
            steps = actions.evaluate_zip(services, path, request.baseline, request.model, request.texts)
            for found in timed(steps):
                if isinstance(found, Step):
                    yield [widgets.progress(found), *(gr.skip() for _ in outputs[1:])]
                else:
                    yield _shown(found, request)

        def two(first: str | None, second: str | None) -> Any:
            if not first or not second:
                raise UserError("Two tables are needed: upload the predictions.csv of both models.")
            from ezclip.evaluation.class_study import two_tables

            return _shown(two_tables(first, second), None)

        def pick(found: Any, event: gr.EventData, *values: Any) -> tuple[Any, str]:
            if found is None or found.class_map is None:
                raise UserError("Evaluate a zip of clips first.")
            row = found.class_map.rows[int(event._data["row"])]
            labels = "\n".join(found.evaluations[0].labels)
            request = replace(controls.request(*values), path=str(row.path), labels=labels, sentences={})
            return gr.Video(str(row.path)), widgets.class_clip(finish(analyse(services, request)), row.label)

        def shipped(chosen: str) -> Any:
            return _shown(actions.shipped_study(chosen), None)

        show.click(guarded(shipped), pair, outputs, **shared)
        model: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
        job = run.click(on_gpu(guarded_steps(own)), [clips, *controls.inputs], outputs, **model, **shared)
        stop.click(lambda: widgets.empty(CANCELLED), None, verdict, cancels=[job], queue=False, **shared)
        tables.click(guarded(two), [first, second], outputs, **shared)
        plane.select(on_gpu(guarded(pick)), [study, *controls.inputs], [controls.video, clip], **model, **shared)


def _shown(study: ClassStudy, request: Request | None) -> list[Any]:
    plane = widgets.class_plane(study.class_map) if study.class_map else ""
    skipped = [f"{name} could not be read: {why}" for e in study.evaluations[:1] for name, why in e.skipped.items()]
    return [
        widgets.class_verdict(study.comparison) + widgets.warnings(skipped),
        gr.Plot(widgets.class_chart(study.comparison), visible=True),
        plane,
        "",
        widgets.class_tables(study.comparison) + widgets.class_pictures(study),
        study,
        (study.report, request),
    ]
