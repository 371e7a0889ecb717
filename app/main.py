"""The page: clip and class names on the left, results in tabs on the right; and how it is served."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts
from app.actions import analysis as actions
from app.endpoints import add_endpoints
from app.feedback import TOAST
from app.inputs import banner_of, cards_of, conversion_now, left_column, model_boxes, offer_conversion, wire_inputs
from app.jobs import LAST_WORDS, MODEL, PROOF, UNMEASURED
from app.services import Services
from app.tabs.about import about_tab
from app.tabs.across_frames import AcrossFramesTab
from app.tabs.attention import AttentionTab
from app.tabs.classes import ClassesTab
from app.tabs.embeddings import EmbeddingsTab
from app.tabs.evidence import EvidenceTab
from app.tabs.long_video import LongVideoTab
from app.tabs.ood import OODTab
from app.tabs.recognise import RecogniseTab
from app.tabs.take_away import TakeAway
from app.theme import CSS, THEME
from app.zero_gpu import on_gpu
from ezclip.checkpoints.catalog import ROOT, check_model_name
from ezclip.errors import UserError
from ezclip.progress import Step, timed
from ezclip.studies.analysis import analyse, wanted_labels

ASSETS = Path(__file__).resolve().parents[1] / "assets"
MAX_FILE = "200mb"
SESSIONS = 20  # whose last results are kept; eight frames of 1920 x 1080 are 50 MB
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # where only this machine's users come from
# The page's address keeps what was chosen, so that it can be shared.
_REMEMBER = """(labels, baseline, model) => { const u = new URL(location);
    for (const [k, v] of Object.entries({labels, baseline, model}))
        v && v.length < 1500 ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    history.replaceState(null, '', u) }"""
# Where the results lie below the window, on a phone, the page goes to them.
_TO_RESULTS = """() => { const tabs = document.querySelector('#choose-tab');
    if (tabs.getBoundingClientRect().top > innerHeight) tabs.scrollIntoView({behavior: 'smooth'}) }"""
_REMEMBER_TAB = """tab => { const u = new URL(location); u.searchParams.set('tab', tab);
    history.replaceState(null, '', u); return [tab] }"""


def build_app(services: Services) -> gr.Blocks:
    """Lay out the page and wire it to the actions."""
    samples = sorted(str(path) for path in (ASSETS / "samples").glob("*.mp4"))
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        gr.Markdown(f"# {texts.TITLE}\n{texts.LEAD}")
        state = gr.State(None)  # the Analysis that the tabs show
        proofs = gr.State(None)  # (an Analysis, its measured MapProofs)
        with gr.Row():
            with gr.Column(scale=2, min_width=320, elem_id="inputs"):
                models = model_boxes(services)
                left = left_column(services, samples, models)
                controls, run, stop, status = left.controls, left.run, left.stop, left.status
            with gr.Column(scale=5, min_width=320):
                with gr.Row():
                    for model in models:
                        model.render()
                banner = gr.HTML(banner_of(services, services.baseline, services.default), elem_id="banner")
                with gr.Accordion("About these models", open=False):
                    cards = gr.HTML(cards_of(services, services.baseline, services.default), elem_id="cards")
                    offer = offer_conversion(services, *models)
                # In place of the tabs' own header, whose menu for those that do not fit loses some of them.
                named = [(title, tab) for tab, title in texts.TABS.items()]
                choose = gr.Radio(named, value="recognise", label="Results", show_label=False, elem_id="choose-tab")
                with gr.Tabs(elem_id="tabs") as tabs_box:
                    recognise = RecogniseTab(services, controls, state)
                    attention = AttentionTab(services, state, proofs)
                    across = AcrossFramesTab(services, state)
                    embeddings = EmbeddingsTab(services, controls, samples)
                    EvidenceTab(services, controls)
                    ClassesTab(services, controls)
                    OODTab(services, controls, samples)
                    LongVideoTab(services, controls)
                    about_tab()
                take_away = TakeAway(services, state, proofs, attention.opacity)
        wire_inputs(services, left, banner, cards)

        shown = [recognise, attention, across, take_away]
        outputs = [state, *(component for tab in shown for component in tab.outputs)]

        def analysed(current: Any, *values: Any, again: bool = False) -> Iterator[Any]:
            unchanged = [gr.skip() for _ in outputs]
            if again and current is None:
                yield [gr.skip(), *unchanged]  # nothing at all would empty every output
                return
            own, shared = values[: len(attention.inputs)], values[len(attention.inputs) :]
            try:
                request = controls.request(*shared, **attention.settings(*own))
                if not again or request.target not in wanted_labels(request)[0]:
                    request = replace(request, target="")
                for step in timed(analyse(services, request)):
                    if isinstance(step, Step):
                        yield [escape(f"{step.share:.0%} · {step.doing} …"), *unchanged]
                    else:
                        found = [value for tab in shown for value in tab.show(step, current)]
                        told = f"Done: {len(step.clip)} frames of {step.clip.total}, label “{escape(step.target)}”."
                        yield [told, step, *found]
            except UserError as error:
                gr.Warning(escape(str(error)), title=TOAST)
                yield [escape(str(error)), *unchanged]

        asked = [state, *attention.inputs, *controls.inputs]
        instant: dict[str, Any] = {"queue": False, "api_visibility": "private"}
        busy, ready = (lambda: gr.Button(interactive=False)), (lambda: gr.Button(interactive=True))
        jobs, proofs_under_way = [], []
        begins = {
            run.click: False,
            left.examples.load_input_event.success: False,
            partial(gr.on, attention.changes): True,
            recognise.edited.success: True,
        }
        for begin, again in begins.items():
            begun = begin(busy, None, run, **instant)
            job = begun.then(on_gpu(partial(analysed, again=again)), asked, [status, *outputs], **MODEL)
            for ended in (job.then, job.failure):
                ended(ready, None, run, **instant)
            told = [attention.proof, proofs]
            if not again:
                job.success(None, None, None, js=_TO_RESULTS, **instant)
            proof = job.success(on_gpu(attention.prove), [state, proofs], told, show_progress="hidden", **PROOF)
            jobs.append(job)
            proofs_under_way.append(proof)
        for begin in begins:
            begin(None, None, None, cancels=proofs_under_way, **instant)

        def cancelled() -> tuple[Any, ...]:
            time.sleep(LAST_WORDS)
            return ready(), texts.CANCELLED

        stopped = stop.click(None, None, None, cancels=[*jobs, *proofs_under_way], **instant)
        last = stopped.then(cancelled, None, [run, status], **instant)
        last.then(None, attention.proof, attention.proof, js=UNMEASURED, **instant)
        remembered = [controls.labels, controls.baseline, controls.model]
        address = gr.Textbox(visible=False)  # the class names, or the set that they are, as the page's address has them
        for job in jobs:
            named = job.then(actions.set_or_names, [controls.labels, controls.model], address, **instant)
            named.then(None, [address, *remembered[1:]], None, js=_REMEMBER, api_visibility="private")
        choose.input(lambda tab: gr.Tabs(selected=tab), choose, tabs_box, js=_REMEMBER_TAB, **instant)

        def recall(request: gr.Request) -> list[Any]:
            return _recall(services, request)

        found = [*remembered, choose, tabs_box, *embeddings.models, *offer]
        demo.load(recall, None, found, api_visibility="private")
        add_endpoints(services)
    return demo


def _recall(services: Services, request: gr.Request) -> list[Any]:
    """What the page's address says, as far as it can be used."""
    asked = dict(request.query_params)
    names = services.model_names()
    boxes = [asked.get(key) for key in ("baseline", "model")]
    known = [gr.Dropdown(names, value=n) if n and services.offers(n) else gr.Dropdown(names) for n in boxes]
    tab, model = asked.get("tab"), asked.get("model", "")
    own = model if services.offers(model) else services.default
    return [
        actions.names_of(asked["labels"], own) if asked.get("labels") else gr.skip(),
        *known,
        *((tab, gr.Tabs(selected=tab)) if tab in texts.TABS else (gr.skip(), gr.skip())),
        *(gr.Dropdown(names) for _ in range(2)),
        *conversion_now(),
    ]


def serve(host: str, port: int, *, model: str, device: str) -> int:
    """Open the port, load the models behind it, and wait for SIGINT or SIGTERM.

    Returns:
        Exit status: 0 ended by a signal, 2 for a model or port that cannot be used.
    """
    try:
        check_model_name(model)
        services = Services(model, device, typed=host in LOOPBACK)
        demo = build_app(services)
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            print(f"Port {port} on {host} is taken or not allowed; choose another with --port.", file=sys.stderr)  # noqa: T201
            return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    demo.queue(default_concurrency_limit=1, max_size=32)
    demo.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        theme=THEME,
        css=CSS,
        show_error=False,
        run_history=False,
        ssr_mode=False,
        max_file_size=MAX_FILE,
        allowed_paths=[str(ASSETS)],
        blocked_paths=[str(ROOT), str(ROOT.parent / ".git")],
        footer_links=["api", "settings"],
        state_session_capacity=SESSIONS,
        enable_monitoring=False,
    )
    services.start()
    ended.wait()
    services.close()
    hurry = threading.Timer(1.5, os._exit, (0,))  # an analysis under way does not hold the end up
    hurry.daemon = True
    hurry.start()
    demo.close(verbose=False)
    return 0
