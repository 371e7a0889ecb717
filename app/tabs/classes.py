"""Tab: accuracy per class (Fig. 5) of shipped results, a zip or folder of classes, or tables of predictions."""

from typing import Any

import gradio as gr

from app import html, texts
from app.actions.uploads import copy_uploaded_folder, unpack_zip
from app.controls import Controls, control, find
from app.events import INSTANT, PRIVATE, guarded, start, stop
from app.services import Services
from app.stale import Stale
from app.tabs.export import StudyExport
from app.tabs.opened_clip import CHOOSE, Choice, OpenedClip
from app.zero_gpu import LONG
from ezclip.checkpoints.cards import shipped_variants
from ezclip.errors import UserError
from ezclip.progress import Progress, Steps, finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.classes import Classes, ClassStudy, Evaluate
from ezclip.types import Keywords
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

CANCELLED = "Cancelled. The clips scored so far are cached: press the button again to resume."
NO_MAP = "No map of videos: it needs embeddings of two models of equal width, which tables of predictions lack."
EMPTY = "Which classes gain, which lose, and by how much: show the shipped results on Tabletop Motion, or your own."
# Gradio drops the sub-folders of an uploaded folder, so the page records the relative paths.
_REMEMBER_FOLDER = """;document.addEventListener('change', e => { if (e.target.webkitdirectory)
    window.ezFolder = [...e.target.files].map(f => f.webkitRelativePath) }, true)"""
# The charts request strips of frames with the event "input".
_FILMS = "window.ezFilms = ezCharts(element, rows => trigger('input', {rows}));"
MAX_FILMS = 6  # strips per request
_FOLDER = "() => { const n = (window.ezFolder || []).join('\\n'); window.ezFolder = []; return n }"


def classes_tab(services: Services, controls: Controls) -> None:
    """Lay out the tab and register its handlers."""
    variants, shipped = shipped_variants(), []
    small: Keywords = {"height": 110}
    with gr.Tab(texts.TABS["classes"], id="classes"):
        with gr.Row():
            for role, variant in (("baseline", "base"), ("model", "ezclip")):
                options: Keywords = {"value": variant if variant in variants else None, "min_width": 160}
                title = f"Shipped results: {role}"
                shipped.append(gr.Dropdown(variants, label=title, elem_id=f"shipped-{role}", **options))
            show_shipped = gr.Button("Show", elem_id="shipped-show", interactive=bool(variants))
        with gr.Accordion("Your own clips or predictions", open=False):
            with gr.Row():
                title = "Zip with one folder of clips for each class"
                archive = gr.File(label=title, file_types=[".zip"], elem_id="zip", **small)
                title = "or a folder: click to choose it"
                folder = gr.File(label=title, file_count="directory", elem_id="folder", **small)
            paths = gr.Textbox(visible=False)
            order = control(Evaluate, "order", info=find(Evaluate, "order").parameter.help, elem_id="evaluate-order")
            with gr.Row():
                run = gr.Button("Evaluate baseline and model on these clips", elem_id="zip-run")
                cancel = gr.Button("Cancel", elem_id="zip-cancel")
            with gr.Row():
                title = "predictions.csv of a model (from ezclip evaluate --out)"
                first = gr.File(label=title, file_types=[".csv"], elem_id="one", **small)
                second = gr.File(label="of a second model, to compare", file_types=[".csv"], elem_id="two", **small)
            tables = gr.Button("Show the tables", elem_id="tables-run")
        stale = Stale()
        verdict = gr.HTML(html.empty(EMPTY), elem_id="class-verdict")
        films = gr.JSON(visible=False)  # strips of frames requested by the charts
        charts = html.asset("charts.js") + _FILMS + CHOOSE + _REMEMBER_FOLDER
        plane = gr.HTML("", elem_id="class-map", js_on_load=charts)
        opened = OpenedClip(services, "class")
        evidence = gr.HTML("", elem_id="class-evidence")
        details = gr.HTML("", elem_id="class-table")
        export = StudyExport(services, "classes", figure=True)
        gr.HTML(html.methods(), elem_id="methods")
    outputs = [verdict, plane, evidence, details, export.state, opened.box]

    def work(path: str | None, files: list[str] | None, paths: str, ordered: bool, *values: Any) -> Steps[ClassStudy]:
        if not path and not files:
            raise UserError("No clips yet: upload a zip or a folder with a folder of clips for each class.")
        if path and files:
            raise UserError("Both a zip and a folder were given; remove one of them.")
        yield Progress(0.0, "unpacking")
        folder = unpack_zip(services, path) if path else copy_uploaded_folder(services, files or [], paths.split("\n"))
        study = controls.study(Evaluate, values, data=str(folder), labels="", order=ordered)
        return (yield from services.run(study))

    def settings(ordered: bool, *values: Any) -> Evaluate:
        return controls.study(Evaluate, values, data="", labels="", order=ordered)

    def show_tables(first: str | None, second: str | None) -> list[Any]:
        return _show(finish(services.run(Classes(first or "", second or ""))))

    def choose(row: int, result: ClassStudy | None, *values: Any) -> Choice:
        from ezclip.evaluation.shipped import draw_test_clip

        if result is None:
            raise UserError("Evaluate clips first.")
        clip = result.model.rows[row]
        path = clip.path if isinstance(result.study, Evaluate) else draw_test_clip(clip, services.scratch())
        models = [i.name for i in result.identities] or [f"tabletop/{e.model}" for e in result.evaluations]
        labels = "\n".join(result.model.labels)
        inputs = {"clip": str(path), "labels": labels, "sentences": {}, "baseline": models[0], "model": models[-1]}
        return Choice(controls.study(Analyse, values, **inputs), clip.label)

    def strips(event: gr.EventData, result: ClassStudy | None) -> dict[str, str]:
        if not result:
            return {}
        rows = (int(row) for row in event._data["rows"][:MAX_FILMS])
        strips = {row: _strip(result, row) for row in rows if 0 <= row < len(result.model.rows)}
        return {str(row): strip for row, strip in strips.items() if strip}

    fetched = plane.input(strips, export.state, films, show_progress="hidden", trigger_mode="multiple", **INSTANT)
    fetched.then(None, films, None, js="strips => window.ezFilms(strips)", **INSTANT)
    show_shipped.click(guarded(show_tables), shipped, outputs, **PRIVATE)
    tables.click(guarded(show_tables), [first, second], outputs, **PRIVATE)
    folder.upload(None, None, paths, js=_FOLDER, **PRIVATE)
    inputs = [archive, folder, paths, order, *controls]
    job = start(stale.trigger(run.click), work, inputs, outputs, _show, seconds=LONG)
    stop(cancel, [job], verdict, CANCELLED)
    compared = ("baseline", "model", "texts", "sentences", "order")  # the clips come from the upload
    stale.watch([job], settings, [order, *controls], export.state, only=compared)
    opened.open_on(plane, choose, [export.state, *controls])


def _strip(result: ClassStudy, row: int) -> str:
    """Some frames of a clip side by side, as a data URI; empty if it cannot be read."""
    from ezclip.evaluation.shipped import draw_test_images

    clip = result.model.rows[row]
    try:
        images = (
            read_clip(clip.path, lambda total: segment_centres(total, html.STRIP_FRAMES)).images
            if isinstance(result.study, Evaluate)
            else draw_test_images(clip)
        )
    except UserError:
        return ""
    return html.film_strip(images)


def _show(study: ClassStudy) -> list[Any]:
    skipped = [f"{row.short_name} could not be read: {reason}" for row, reason in study.model.skipped]
    plane = html.class_plane(study, study.class_map) if study.class_map else f'<p class="ez-note">{NO_MAP}</p>'
    return [
        html.verdict(study.verdict, skipped),
        html.class_chart(study) + plane,
        html.class_evidence(study),
        html.class_tables(study),
        study,
        gr.Column(visible=False),
    ]
