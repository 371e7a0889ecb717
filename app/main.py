"""The page: clip and class names above, tabs of results below."""

import time
from collections.abc import Iterator
from functools import partial
from html import escape
from importlib.metadata import version
from typing import Any

import gradio as gr

from app import html, texts
from app.actions.labels import names_from_address, names_to_address
from app.address import OLD_TABS, ON_LOAD, OPEN_TAB, REMEMBER
from app.endpoints import add_endpoints
from app.events import (
    BACKGROUND,
    CANCEL_SECONDS,
    INSTANT,
    MODEL,
    PRIVATE,
    TOAST,
    UNMEASURED,
    downscale_frames,
    guard_all,
)
from app.inputs import chooser, conversion_updates
from app.services import Services
from app.stage import patch_reader, restore_sample, samples, stage_box
from app.stale import QUIET, changed
from app.tabs.across_frames import AcrossFramesTab
from app.tabs.attention import AttentionTab
from app.tabs.classes import classes_tab
from app.tabs.collection import collection_tab
from app.tabs.embeddings import EmbeddingsTab
from app.tabs.export import Export
from app.tabs.frame_values import frame_values
from app.tabs.long_video import long_video_tab
from app.tabs.models import Suggestion, models_tab
from app.tabs.motion import motion_tab
from app.tabs.ood import ood_tab
from app.tabs.workbench import Workbench
from app.zero_gpu import LONG, on_gpu
from ezclip import __version__
from ezclip.checkpoints.catalog import training_labels
from ezclip.errors import UserError, as_user_error
from ezclip.progress import Watch, with_time_left
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.stage.document import film_or_stills, stage
from ezclip.types import Keywords

HOUR = 3600
PACKAGES = ("torch", "open_clip_torch", "gradio", "captum", "av")  # versions listed on the page
INPUTS = ("clip", "labels", "model", "baseline", "texts")  # parameters compared to detect outdated results of See
_SET_INTERACTIVE = "() => ({{__type__: 'update', interactive: {}}})"  # for a button
# Scroll to the results if they are below the window, as on a phone.
_SCROLL_TO_RESULTS = """() => { const tabs = document.querySelector('#choose-tab');
    if (tabs.getBoundingClientRect().top > innerHeight) tabs.scrollIntoView({behavior: 'smooth'}) }"""


def build_app(services: Services) -> gr.Blocks:
    """Lay out the page and register its handlers."""
    shipped_samples = samples()
    paths = [sample.path for sample in shipped_samples]
    first_stage = shipped_samples[0].stage | {"demo": True} if shipped_samples else None
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, HOUR)) as demo:
        gr.Markdown(f"# {texts.TITLE}\n{texts.LEAD}", elem_id="lead")
        state = gr.State(None, time_to_live=HOUR)  # the Analysis in the tabs
        measured = gr.State(None, time_to_live=HOUR)  # the same Analysis with measured faithfulness
        row = chooser(services, shipped_samples)
        controls, run, stop, status = row.controls, row.run, row.stop, row.status
        choose, more = _tab_choice(services)
        with gr.Tabs(elem_id="tabs") as tabs_box:  # their header is hidden: its overflow menu drops some tabs
            with gr.Tab(texts.TABS["see"], id="see"):
                stage_html = stage_box(first_stage, "stage", patch_reader(services, shipped_samples), shipped_samples)
                frame_values(services, state, stage_html)
                suggestion = Suggestion(services)
                ranking = gr.HTML(html.empty(texts.EMPTY_RANKING), elem_id="ranking")
                with gr.Column(elem_classes="ez-after"):
                    attention = AttentionTab(services, state, measured, row.maps)
                    export = Export(services, state, measured, attention.opacity)
            motion_tab(services, controls)
            classes_tab(services, controls)
            embeddings = EmbeddingsTab(services, controls, paths)
            across = AcrossFramesTab(services, state)
            ood_tab(services, controls, paths)
            long_video_tab(services, controls)
            workbench = Workbench(services, controls, state)
            if services.local:
                collection_tab(services, controls)
                models_tab(services, controls, embeddings.models)
            with gr.Tab(texts.TABS["about"], id="about"):
                versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
                gr.Markdown(f"{texts.ABOUT}ezclip {__version__}, {versions}")

        views = [suggestion, attention, workbench, across, export]
        outputs = [state, stage_html, ranking, *(component for view in views for component in view.outputs)]

        def analyse(current: Analysis | None, *values: Any, again: bool = False) -> Iterator[Any]:
            unchanged = [gr.skip() for _ in outputs]
            if again and current is None:
                yield [gr.skip(), *unchanged]  # without an update Gradio clears every output
                return
            map_values, shared = values[: len(attention.inputs)], values[len(attention.inputs) :]
            try:
                study = controls.study(Analyse, shared, **attention.settings(map_values))
                names = study.user_labels()[0] or training_labels(study.model)
                if not again or study.target not in names:  # only a redraw keeps the explained label
                    study = study.replace(target="")
                same_clip = current is not None and current.study["clip"] == study.clip
                films = services.films(study.clip) if study.clip and not same_clip else None
                watch = Watch(with_time_left(services.run(study)))
                for step in watch:
                    yield [html.busy(f"{step.fraction:.0%} · {step.message} …"), *unchanged]
                analysis = downscale_frames(watch.result)
                new_films = film_or_stills(analysis, films.result) if films else {}
                results = [value for view in views for value in view.show(analysis, current)]
                yield [_done(analysis), analysis, stage(analysis, new_films), html.ranked(analysis, current), *results]
            except Exception as error:
                message = escape(str(as_user_error(error)))
                gr.Warning(message, title=TOAST)
                yield [message, *unchanged]

        def analyse_orders(analysis: Analysis | None) -> Iterator[Any]:
            """Analyse the other orders of the frames, for the stage and the export."""
            if analysis is not None:
                watch = Watch(services.in_turn(analysis.with_directions))
                for step in watch:
                    yield gr.skip(), stage(step.partial) if step.partial else gr.skip()
                yield watch.result, gr.skip()

        def result_status(analysis: Analysis | None, *values: Any) -> Any:
            """A summary of the results, or a note that the inputs have changed since."""
            if analysis is None:
                return gr.skip()
            try:
                changed_input = changed(analysis.study, controls.study(Analyse, values), INPUTS)
            except UserError:
                return html.outdated("names")
            return html.outdated(changed_input) if changed_input else _done(analysis)

        inputs = [state, *attention.inputs, *controls]

        def open_sample(event: gr.EventData) -> tuple[Any, ...]:
            sample = shipped_samples[int(event._data["row"])]
            return sample.path, None, sample.stage

        player = [controls.video, controls.preview, stage_html]
        picked = row.gallery.select(open_sample, None, player, **INSTANT)
        url_sample = gr.State("")  # path of the sample named in the URL
        result_id = gr.State("")
        jobs, measurements = [], []
        url_labels = gr.Textbox(visible=False)  # the class names, or the name of their set, for the URL
        triggers = {  # event -> whether it only redraws the results
            run.click: False,
            picked.success: False,
            url_sample.change: False,
            **dict.fromkeys(row.clip_events, False),
            partial(gr.on, attention.changes): True,
            workbench.edited.success: True,
        }
        for trigger, again in triggers.items():
            started = trigger(None, None, run, js=_SET_INTERACTIVE.format("false"), **INSTANT)
            addressed = started.then(names_to_address, [controls.labels, controls.model], url_labels, **INSTANT)
            addressed.then(None, [url_labels, controls.baseline, controls.model], None, js=REMEMBER, **INSTANT)
            work = on_gpu(partial(analyse, again=again))
            job = started.then(work, inputs, [status, *outputs], show_progress_on=status, **MODEL)
            for on_end in (job.then, job.failure):
                on_end(None, None, run, js=_SET_INTERACTIVE.format("true"), **INSTANT)
            if not again:
                job.success(None, None, None, js=_SCROLL_TO_RESULTS, **INSTANT)
            job.success(_result_id, state, result_id, show_progress="hidden", **PRIVATE)
            measure, targets = on_gpu(attention.measure, LONG), [attention.faithfulness, measured, stage_html]
            orders = job.success(on_gpu(analyse_orders), state, [state, stage_html], show_progress="hidden", **MODEL)
            measuring = orders.success(measure, [state, measured], targets, show_progress="hidden", **BACKGROUND)
            measurements += [orders, measuring]
            jobs.append(job)
        for trigger in triggers:
            trigger(None, None, None, cancels=measurements, **INSTANT)

        def cancelled() -> tuple[Any, ...]:
            time.sleep(CANCEL_SECONDS)
            return gr.Button(interactive=True), texts.CANCELLED

        # A single event that runs once at a time: a check started before new results cannot overwrite their status.
        watched = [controls.labels, controls.baseline, controls.model, controls.texts, result_id]
        gr.on([component.change for component in watched], result_status, [state, *controls], status, **QUIET)

        stopped = stop.click(None, None, None, cancels=[*jobs, *measurements], **INSTANT)
        last = stopped.then(cancelled, None, [run, status], **INSTANT)
        last.then(None, attention.faithfulness, attention.faithfulness, js=UNMEASURED, **INSTANT)
        gr.on([choose.input, more.input], None, None, [tabs_box, choose], js=OPEN_TAB, **INSTANT)

        def restore(request: gr.Request) -> list[Any]:
            sample = restore_sample(shipped_samples, request.query_params)
            clip_values = [sample.path, None, sample.stage, sample.path] if sample else [gr.skip()] * 4
            return [*_restore_choices(services, request), *clip_values]

        models, tab_choice = [controls.baseline, controls.model], [choose, more, tabs_box]
        restored = [controls.labels, *models, *tab_choice, *embeddings.models, *row.conversion, *player, url_sample]
        demo.load(restore, None, restored, js=ON_LOAD, show_progress="hidden", **PRIVATE)
        add_endpoints(services)
    guard_all(demo)
    return demo


def _result_id(analysis: Analysis | None) -> str:
    """A string that differs between results of different inputs."""
    return repr(analysis and analysis.study)


def _done(analysis: Analysis) -> str:
    frames = f"{len(analysis.clip)} frames of {analysis.clip.total}"
    return f"Done: {frames}, label “{escape(analysis.target)}”."


def _tabs(services: Services) -> dict[str, str]:
    """The tabs of this server and their titles."""
    return {tab: title for tab, title in texts.TABS.items() if services.local or tab not in texts.LOCAL_TABS}


def _tab_choice(services: Services) -> tuple[gr.Radio, gr.Radio]:
    """Two radios that choose the tab: the first tabs and More, and the tabs under More."""
    options: Keywords = {"show_label": False, "elem_classes": "ez-tabs", "interactive": True}
    first = [*((texts.TABS[tab], tab) for tab in texts.FIRST), ("More", "more")]
    rest = [(title, tab) for tab, title in _tabs(services).items() if tab not in texts.FIRST]
    choose = gr.Radio(first, value=texts.FIRST[0], label="Results", elem_id="choose-tab", **options)
    return choose, gr.Radio(rest, value=rest[0][1], label="More", elem_id="choose-more", **options)


def _tab_updates(tab: str) -> list[Any]:
    """Updates of the two radios and the tabs that open ``tab``."""
    first = tab in texts.FIRST
    return [tab if first else "more", gr.skip() if first else tab, gr.Tabs(selected=tab)]


def _restore_choices(services: Services, request: gr.Request) -> list[Any]:
    """Updates from the valid parameters of the page's URL."""
    query = dict(request.query_params)
    names = services.model_names()
    chosen = [query.get(key) for key in ("baseline", "model")]
    models = [gr.Dropdown(names, value=n) if n and services.offers(n) else gr.Dropdown(names) for n in chosen]
    tab, model = query.get("tab", ""), query.get("model", "")
    tab = OLD_TABS.get(tab, tab)
    labels_model = model if services.offers(model) else services.default
    return [
        names_from_address(query["labels"], labels_model) if query.get("labels") else gr.skip(),
        *models,
        *(_tab_updates(tab) if tab in _tabs(services) else [gr.skip()] * 3),
        *(gr.Dropdown(names) for _ in range(2)),
        *conversion_updates(),
    ]
