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
from typing import Any, NamedTuple

import gradio as gr

from app import texts, widgets
from app.actions import analysis as actions
from app.actions.models import card_rows, convert_dropped, dropped_files
from app.actions.preview import preview_pair
from app.controls import Controls
from app.endpoints import add_endpoints
from app.feedback import TOAST, guarded
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
from ezclip.evaluation.analysis import analyse, wanted_labels
from ezclip.evaluation.jobs import Step, timed

ASSETS = Path(__file__).resolve().parents[1] / "assets"
MAX_FILE = "200mb"
SESSIONS = 50  # whose last results are kept; eight frames of 1920 x 1080 are 50 MB
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # where only this machine's users come from
# The page's address keeps what was chosen, so that it can be shared.
_REMEMBER = """(labels, baseline, model) => { const u = new URL(location);
    for (const [k, v] of Object.entries({labels, baseline, model}))
        v && v.length < 1500 ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    history.replaceState(null, '', u) }"""
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
                models = _models(services)
                left = _left(services, samples, models)
                controls, run, stop, status = left.controls, left.run, left.stop, left.status
            with gr.Column(scale=5, min_width=320):
                with gr.Row():
                    for model in models:
                        model.render()
                banner = gr.HTML(_banner(services, services.baseline, services.default), elem_id="banner")
                with gr.Accordion("About these models", open=False):
                    cards = gr.HTML(_cards(services, services.baseline, services.default), elem_id="cards")
                    offer = _offer_conversion(services, *models)
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
                take_away = TakeAway(services, state, proofs)
        _wire_inputs(services, left, banner, cards)

        shown = [recognise, attention, across, take_away]
        outputs = [state, *(component for tab in shown for component in tab.outputs)]

        def analysed(current: Any, *values: Any, again: bool = False) -> Iterator[Any]:
            if again and current is None:
                return
            own, shared = values[: len(attention.inputs)], values[len(attention.inputs) :]
            unchanged = [gr.skip() for _ in outputs]
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


class _Left(NamedTuple):
    """Components of the left column."""

    controls: Controls
    examples: Any
    gif: gr.UploadButton
    names: gr.File
    label_set: gr.Dropdown
    run: gr.Button
    stop: gr.Button
    status: gr.HTML


def _models(services: Services) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Baseline and model, to be rendered beside the results."""
    names = services.model_names()
    free: dict[str, Any] = {"allow_custom_value": services.typed, "info": texts.TYPED if services.typed else None}
    free |= {"min_width": 260, "render": False}
    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline", **free)
    return baseline, gr.Dropdown(names, value=services.default, label="Model", elem_id="model", **free)


def _left(services: Services, samples: list[str], models: tuple[gr.Dropdown, gr.Dropdown]) -> _Left:
    """Clip, class names, the main button, and what a name becomes."""
    video = gr.Video(
        label="Clip",
        sources=["upload", "webcam"],
        format=None,
        include_audio=True,
        webcam_options=gr.WebcamOptions(mirror=False),
        height=280,
        elem_id="clip",
    )
    other = gr.UploadButton("Upload a GIF", file_types=[".gif"], size="sm", elem_id="gif")
    titles = [_title(s) for s in samples]
    examples = gr.Examples(samples, video, label="Samples", example_labels=titles, examples_per_page=20)
    label_set = gr.Dropdown(list(actions.SET_TITLES), label="Fill in a set of class names", elem_id="set")
    labels = gr.Textbox(
        label="Class names",
        info=texts.LABELS_HELP,
        lines=4,
        max_lines=6,
        elem_id="labels",
        value=actions.set_text(actions.OWN_SET, services.default),
    )
    with gr.Accordion("Texts", open=False):
        chosen = gr.Dropdown(
            list(actions.TEXTS.items()),
            value="trained",
            label="A name becomes",
            info=texts.TEMPLATE,
            allow_custom_value=True,
            elem_id="texts",
        )
        upload = gr.File(
            label="Class names or descriptions (text or CSV)", file_types=[".csv", ".txt"], height=110, elem_id="names"
        )
    with gr.Column(elem_id="run"):
        with gr.Row():
            run = gr.Button("Analyse", variant="primary", elem_id="analyse")
            stop = gr.Button("Cancel", elem_id="cancel")
        status = gr.HTML("", elem_id="status")
    controls = Controls(video, gr.State(None), labels, *models, chosen, gr.State({}))
    return _Left(controls, examples, other, upload, label_set, run, stop, status)


def _offer_conversion(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
    """Official files that were dropped into checkpoints/ become models at the press of a button."""
    files = dropped_files()
    with gr.Row(visible=bool(files)) as row:
        official = gr.Dropdown(files, value=next(iter(files), None), label="Official file in checkpoints/")
        convert = gr.Button("Convert it to a model", elem_id="convert")

    def converted(name: str) -> list[Any]:
        made = convert_dropped(name)
        names = services.model_names()
        return [gr.Dropdown(names), gr.Dropdown(names, value=made), *_dropped()]

    convert.click(guarded(converted), official, [baseline, model, row, official], **MODEL)
    return row, official


def _dropped() -> tuple[Any, Any]:
    """What ``_offer_conversion`` offers now."""
    files = dropped_files()
    return gr.Row(visible=bool(files)), gr.Dropdown(files, value=next(iter(files), None))


def _wire_inputs(services: Services, left: _Left, banner: gr.HTML, cards: gr.HTML) -> None:
    """What happens in the left column itself."""
    controls = left.controls
    gr.on(
        [controls.video.upload, controls.video.stop_recording],
        guarded(lambda path: _preview(services, path)),
        controls.video,
        [controls.video, controls.shown],
        show_progress="minimal",
        api_visibility="private",
    )
    left.gif.upload(
        guarded(lambda path: preview_pair(services, path)),
        left.gif,
        [controls.video, controls.shown],
        api_visibility="private",
    )
    asked = [left.label_set, controls.model]
    left.label_set.change(guarded(actions.set_text), asked, controls.labels, api_visibility="private")
    left.names.upload(guarded(_read_names), left.names, [controls.labels, controls.sentences], api_visibility="private")
    gr.on(
        [controls.baseline.change, controls.model.change],
        guarded(lambda b, m: (_banner(services, b, m), _cards(services, b, m))),
        [controls.baseline, controls.model],
        [banner, cards],
        api_visibility="private",
    )


def _read_names(path: str | None) -> tuple[str, dict[str, str]]:
    names, sentences, warnings = actions.read_uploaded(path)
    for warning in warnings:
        gr.Warning(escape(warning), title="The list was read")
    return names, sentences


def _recall(services: Services, request: gr.Request) -> list[Any]:
    """What the page's address says, as far as it can be used."""
    asked = dict(request.query_params)
    names = services.model_names()
    boxes = [asked.get(key) for key in ("baseline", "model")]
    known = [gr.Dropdown(names, value=n) if n and services.offers(n) else gr.Dropdown(names) for n in boxes]
    tab = asked.get("tab")
    return [
        actions.names_of(asked["labels"], services.default) if asked.get("labels") else gr.skip(),
        *known,
        *((tab, gr.Tabs(selected=tab)) if tab in texts.TABS else (gr.skip(), gr.skip())),
        *(gr.Dropdown(names) for _ in range(2)),
        *_dropped(),
    ]


def _preview(services: Services, path: str | None) -> tuple[Any, Any]:
    shown, pair = preview_pair(services, path)
    return (gr.skip(), None) if shown == path else (shown, pair)


def _banner(services: Services, *names: str) -> str:
    return texts.scope([services.card(name) for name in names])


def _cards(services: Services, *names: str) -> str:
    return widgets.cards([card_rows(services.card(name)) for name in dict.fromkeys(names)])


def _title(sample: str) -> str:
    return Path(sample).stem.partition("_")[2].replace("_", " ")


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
