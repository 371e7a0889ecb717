"""The page: clip and class names above, results in tabs below; and how it is served."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html import escape
from importlib.metadata import version
from typing import Annotated, Any, Literal

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import tyro
from starlette.middleware import Middleware

from app import html, texts
from app.actions.labels import names_of, set_or_names
from app.address import OLD_TABS, ON_LOAD, OPEN_TAB, REMEMBER
from app.endpoints import add_endpoints
from app.events import (
    BACKGROUND,
    INSTANT,
    JOBS,
    LAST_WORDS,
    MODEL,
    PRIVATE,
    TOAST,
    UNMEASURED,
    guard_all,
    light,
    shown_cancels,
)
from app.gate.guard import Guard
from app.inputs import chooser, conversion_now
from app.services import Services
from app.stage import patch_sources, restored, samples, stage_box
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
from app.theme import CSS, THEME
from app.zero_gpu import LONG, ON, on_gpu
from ezclip import __version__
from ezclip.checkpoints.catalog import DEFAULT, ROOT, check_model_name, own_labels
from ezclip.errors import UserError, as_user_error
from ezclip.files import shipped
from ezclip.progress import Watch, with_time_left
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.stage.document import film_or_stills, stage
from ezclip.types import Keywords
from ezclip.video.worker import SECONDS

ASSETS = shipped("assets")
MAX_FILE = "200mb"
MAX_WEIGHTS = "4gb"  # where only this machine can reach the app, for weights that a browser downloaded
HOUR = 3600
QUEUE = 10 - JOBS  # jobs that wait; more are told that the server is busy
PATIENCE = 60.0  # seconds that a job of others may compute, and
DECODING = "10"  # seconds that a decoder may take for one answer
SESSIONS = 20  # whose last results are kept; eight frames of 1920 x 1080 are 50 MB
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine can reach
PACKAGES = ("torch", "open_clip_torch", "gradio", "captum", "av")  # whose versions the page shows
INPUTS = ("clip", "labels", "model", "baseline", "texts")  # what the results of See are of
_SET = "() => ({{__type__: 'update', interactive: {}}})"  # of a button
# If the results are below the window, as on a phone, the page scrolls to them.
_TO_RESULTS = """() => { const tabs = document.querySelector('#choose-tab');
    if (tabs.getBoundingClientRect().top > innerHeight) tabs.scrollIntoView({behavior: 'smooth'}) }"""


def build_app(services: Services) -> gr.Blocks:
    """Lay out the page and register its handlers."""
    found = samples()
    paths, first = [sample.path for sample in found], found[0].stage | {"demo": True} if found else None
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, HOUR)) as demo:
        gr.Markdown(f"# {texts.TITLE}\n{texts.LEAD}", elem_id="lead")
        state = gr.State(None, time_to_live=HOUR)  # the Analysis that the tabs show
        measured = gr.State(None, time_to_live=HOUR)  # the same with the faithfulness of its maps measured
        row = chooser(services, found)
        controls, run, stop, status = row.controls, row.run, row.stop, row.status
        choose, more = _tab_choice(services)
        with gr.Tabs(elem_id="tabs") as tabs_box:  # their own header has an overflow menu that drops some of them
            with gr.Tab(texts.TABS["see"], id="see"):
                stage_shown = stage_box(first, "stage", patch_sources(services, found), found)
                frame_values(services, state, stage_shown)
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
            if services.typed:
                collection_tab(services, controls)
                models_tab(services, controls, embeddings.models)
            with gr.Tab(texts.TABS["about"], id="about"):
                versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
                gr.Markdown(f"{texts.ABOUT}ezclip {__version__}, {versions}")

        shown = [suggestion, attention, workbench, across, export]
        outputs = [state, stage_shown, ranking, *(component for tab in shown for component in tab.outputs)]

        def analyse(current: Analysis | None, *values: Any, again: bool = False) -> Iterator[Any]:
            unchanged = [gr.skip() for _ in outputs]
            if again and current is None:
                yield [gr.skip(), *unchanged]  # no update at all would empty every output
                return
            own, shared = values[: len(attention.inputs)], values[len(attention.inputs) :]
            try:
                study = controls.study(Analyse, shared, **attention.settings(own))
                names = study.given_labels()[0] or own_labels(study.model)
                if not again or study.target not in names:  # only a redraw keeps the label
                    study = study.but(target="")
                known = current is not None and current.study["clip"] == study.clip
                films = services.films(study.clip) if study.clip and not known else None
                watch = Watch(with_time_left(services.run(study)))
                for step in watch:
                    yield [html.busy(f"{step.share:.0%} · {step.doing} …"), *unchanged]
                analysis = light(watch.result)
                new = film_or_stills(analysis, films.result) if films else {}
                results = [value for tab in shown for value in tab.show(analysis, current)]
                yield [_done(analysis), analysis, stage(analysis, new), html.ranked(analysis, current), *results]
            except Exception as error:
                sentence = escape(str(as_user_error(error)))
                gr.Warning(sentence, title=TOAST)
                yield [sentence, *unchanged]

        def turn(analysis: Analysis | None) -> Iterator[Any]:
            """The other orders of the frames, for the stage and the export."""
            if analysis is not None:
                watch = Watch(services.in_turn(analysis.in_all_directions))
                for step in watch:
                    yield gr.skip(), stage(step.partial) if step.partial else gr.skip()
                yield watch.result, gr.skip()

        def outdated(analysis: Analysis | None, *values: Any) -> Any:
            """The status: what the results are of, or a mark while the inputs are no longer those of the results."""
            if analysis is None:
                return gr.skip()
            try:
                what = changed(analysis.study, controls.study(Analyse, values), INPUTS)
            except UserError:
                return html.outdated("names")
            return html.outdated(what) if what else _done(analysis)

        inputs = [state, *attention.inputs, *controls]

        def open_sample(event: gr.EventData) -> tuple[Any, ...]:
            sample = found[int(event._data["row"])]
            return sample.path, None, sample.stage

        player = [controls.video, controls.shown, stage_shown]
        picked = row.gallery.select(open_sample, None, player, **INSTANT)
        asked = gr.State("")  # the sample that the page's address named
        made = gr.State("")  # what the results are of
        jobs, measurements = [], []
        address = gr.Textbox(visible=False)  # the class names, or the name of their set, for the page's address
        begins = {
            run.click: False,
            picked.success: False,
            asked.change: False,
            **dict.fromkeys(row.played, False),
            partial(gr.on, attention.changes): True,
            workbench.edited.success: True,
        }
        for begin, again in begins.items():
            begun = begin(None, None, run, js=_SET.format("false"), **INSTANT)
            named = begun.then(set_or_names, [controls.labels, controls.model], address, **INSTANT)
            named.then(None, [address, controls.baseline, controls.model], None, js=REMEMBER, **INSTANT)
            work = on_gpu(partial(analyse, again=again))
            job = begun.then(work, inputs, [status, *outputs], show_progress_on=status, **MODEL)
            for ended in (job.then, job.failure):
                ended(None, None, run, js=_SET.format("true"), **INSTANT)
            if not again:
                job.success(None, None, None, js=_TO_RESULTS, **INSTANT)
            job.success(_identity, state, made, show_progress="hidden", **PRIVATE)
            measure, filled = on_gpu(attention.measure, LONG), [attention.faithfulness, measured, stage_shown]
            turned = job.success(on_gpu(turn), state, [state, stage_shown], show_progress="hidden", **MODEL)
            after = turned.success(measure, [state, measured], filled, show_progress="hidden", **BACKGROUND)
            measurements += [turned, after]
            jobs.append(job)
        for begin in begins:
            begin(None, None, None, cancels=measurements, **INSTANT)

        def cancelled() -> tuple[Any, ...]:
            time.sleep(LAST_WORDS)
            return gr.Button(interactive=True), texts.CANCELLED

        # One event, of which one runs at a time: what was asked before the results came cannot be answered after it.
        watched = [controls.labels, controls.baseline, controls.model, controls.texts, made]
        gr.on([one.change for one in watched], outdated, [state, *controls], status, **QUIET)

        stopped = stop.click(None, None, None, cancels=[*jobs, *measurements], **INSTANT)
        last = stopped.then(cancelled, None, [run, status], **INSTANT)
        last.then(None, attention.faithfulness, attention.faithfulness, js=UNMEASURED, **INSTANT)
        gr.on([choose.input, more.input], None, None, [tabs_box, choose], js=OPEN_TAB, **INSTANT)

        def recall(request: gr.Request) -> list[Any]:
            sample = restored(found, request.query_params)
            played = [sample.path, None, sample.stage, sample.path] if sample else [gr.skip()] * 4
            return [*_recall(services, request), *played]

        models = [controls.baseline, controls.model]
        recalled = [controls.labels, *models, choose, more, tabs_box, *embeddings.models, *row.offer, *player, asked]
        demo.load(recall, None, recalled, js=ON_LOAD, show_progress="hidden", **PRIVATE)
        add_endpoints(services)
    guard_all(demo)
    return demo


def _identity(analysis: Analysis | None) -> str:
    """What differs between results of different inputs."""
    return repr(analysis and analysis.study)


def _done(analysis: Analysis) -> str:
    frames = f"{len(analysis.clip)} frames of {analysis.clip.total}"
    return f"Done: {frames}, label “{escape(analysis.target)}”."


def _tabs(services: Services) -> dict[str, str]:
    """The tabs and their titles here."""
    return {tab: title for tab, title in texts.TABS.items() if services.typed or tab not in texts.OWN}


def _tab_choice(services: Services) -> tuple[gr.Radio, gr.Radio]:
    """The tabs by name: the first ones and More, and those under More."""
    plain: Keywords = {"show_label": False, "elem_classes": "ez-tabs", "interactive": True}
    first = [*((texts.TABS[tab], tab) for tab in texts.FIRST), ("More", "more")]
    rest = [(title, tab) for tab, title in _tabs(services).items() if tab not in texts.FIRST]
    choose = gr.Radio(first, value=texts.FIRST[0], label="Results", elem_id="choose-tab", **plain)
    return choose, gr.Radio(rest, value=rest[0][1], label="More", elem_id="choose-more", **plain)


def _opened(tab: str) -> list[Any]:
    """The two choices and the tabs when ``tab`` is open."""
    first = tab in texts.FIRST
    return [tab if first else "more", gr.skip() if first else tab, gr.Tabs(selected=tab)]


def _recall(services: Services, request: gr.Request) -> list[Any]:
    """Restore the state in the page's URL, as far as it is valid."""
    asked = dict(request.query_params)
    names = services.model_names()
    boxes = [asked.get(key) for key in ("baseline", "model")]
    known = [gr.Dropdown(names, value=n) if n and services.offers(n) else gr.Dropdown(names) for n in boxes]
    tab, model = asked.get("tab"), asked.get("model", "")
    tab = OLD_TABS.get(tab or "", tab or "")
    own = model if services.offers(model) else services.default
    return [
        names_of(asked["labels"], own) if asked.get("labels") else gr.skip(),
        *known,
        *(_opened(tab) if tab in _tabs(services) else [gr.skip()] * 3),
        *(gr.Dropdown(names) for _ in range(2)),
        *conversion_now(),
    ]


@dataclass
class App:
    """Open the app: what a video model sees in a clip, and whether it sees motion.

    The port opens first; the models load meanwhile.
    """

    host: str = field(default_factory=lambda: os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    """Address to listen on; 0.0.0.0 accepts other machines."""
    port: int = field(default_factory=lambda: int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    """Port to listen on."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help_behavior_hint="")] = "auto"
    """Device of the models."""
    mcp: bool = False
    """Also serve the studies as MCP tools at /gradio_api/mcp; needs pip install "gradio[mcp]"."""

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM; then the exit status is 0.

        Raises:
            UserError: a model or port that cannot be used.
        """
        check_model_name(self.model)
        os.environ.setdefault(SECONDS, DECODING)
        own = self.host in LOOPBACK
        services = Services(self.model, self.device, typed=own, patience=None if own else PATIENCE)
        demo = build_app(services)
        if ON:
            services.load_before_fork()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except (OSError, OverflowError) as error:
                message = f"Port {self.port} on {self.host} is taken or not allowed; choose another with --port."
                raise UserError(message) from error
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        limits: Keywords = {"max_file_size": MAX_FILE}
        if own:
            limits = {"max_file_size": MAX_WEIGHTS, "app_kwargs": {"middleware": [guard(most_each=None)]}}
        launch(demo, server_name=self.host, server_port=self.port, mcp_server=self.mcp, **limits)
        services.start()
        ended.wait()
        services.close()
        hurry = threading.Timer(1.5, os._exit, (0,))  # a running analysis does not delay shutdown
        hurry.daemon = True
        hurry.start()
        demo.close(verbose=False)
        return 0


def guard(**options: Any) -> Middleware:
    """What stands before Gradio; ``options`` are those of ``Guard``. All clients of a Space come from one address."""
    limits: Keywords = {"most_each": None} if "SPACE_ID" in os.environ else {}
    return Middleware(Guard, public=list(ASSETS.glob("samples/*.mp4")), **limits | options)


def launch(demo: gr.Blocks, **options: Any) -> str:
    """Open the port and return the page's address; ``options`` replace those of ``gr.Blocks.launch``."""
    demo.queue(default_concurrency_limit=1, max_size=QUEUE)
    usual: Keywords = {
        "prevent_thread_lock": True,
        "theme": THEME,
        "css": CSS + shown_cancels(demo),
        "show_error": False,
        "run_history": False,
        "ssr_mode": False,
        "max_file_size": MAX_FILE,
        "allowed_paths": [str(ASSETS)],
        "blocked_paths": [str(ROOT), str(ROOT.parent / ".git")],
        "footer_links": ["api", "settings"],
        "state_session_capacity": SESSIONS,
        "enable_monitoring": False,
        "app_kwargs": {"middleware": [guard()]},
    }
    _, address, _ = demo.launch(**(usual | options))
    return address
