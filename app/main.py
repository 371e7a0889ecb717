"""The page: clip and class names on the left, results in tabs on the right; and how it is served."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import actions, texts
from app.endpoints import add_endpoints
from app.services import Services
from app.tabs.about import about_tab
from app.tabs.across_frames import AcrossFramesTab
from app.tabs.attention import AttentionTab
from app.tabs.recognise import RecogniseTab
from app.theme import CSS, THEME
from ezclip.checkpoints.catalog import ROOT, check_model_name
from ezclip.errors import UserError

ASSETS = Path(__file__).resolve().parents[1] / "assets"
METHODS = ["rollout", "rollout-own-frame", "last-layer", "released"]
MAX_FILE = "200mb"
TOAST = "This does not work yet"


def build_app(services: Services) -> gr.Blocks:
    """Lay out the page and wire it to the actions."""
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        gr.Markdown(f"# {texts.TITLE}\n{texts.LEAD}")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                video = gr.Video(
                    label="Clip",
                    sources=["upload", "webcam"],
                    format=None,
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False),
                    height=280,
                    elem_id="clip",
                )
                shown = gr.State(None)  # (what the player shows, the file that the user gave)
                samples = _samples()
                gr.Examples(samples, video, label="Samples", example_labels=[_title(s) for s in samples])
                label_set = gr.Dropdown(list(actions.SET_TITLES), label="Fill in a set of class names", elem_id="set")
                labels = gr.Textbox(
                    label="Class names",
                    info=texts.LABELS_HELP,
                    lines=4,
                    max_lines=10,
                    elem_id="labels",
                    value=actions.set_text(services, actions.OWN_SET, services.default),
                )
                with gr.Row():
                    run = gr.Button("Analyse", variant="primary", elem_id="analyse")
                    stop = gr.Button("Cancel", interactive=False, elem_id="cancel")
                status = gr.Markdown("", elem_id="status")
                with gr.Accordion("Models and method", open=False):
                    names = services.model_names()
                    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline")
                    model = gr.Dropdown(names, value=services.default, label="Model", elem_id="model")
                    method = gr.Dropdown(METHODS, value=METHODS[0], label="Map", elem_id="method")
            with gr.Column(scale=5, min_width=320):
                banner = gr.Markdown(_banner(services, services.baseline, services.default), elem_id="banner")
                with gr.Tabs():
                    tabs = [RecogniseTab(), AttentionTab(services), AcrossFramesTab()]
                    about_tab()

        gr.on(
            [video.upload, video.stop_recording],
            _guard(partial(_preview, services)),
            video,
            [video, shown],
            show_progress="minimal",
            api_visibility="private",
        )
        label_set.change(
            _guard(partial(actions.set_text, services)), [label_set, model], labels, api_visibility="private"
        )
        gr.on(
            [baseline.change, model.change],
            _guard(lambda b, m: _banner(services, b, m)),
            [baseline, model],
            banner,
            api_visibility="private",
        )

        outputs = [component for tab in tabs for component in tab.outputs]

        def analyse(clip: str | None, pair: Any, text: str, b: str, m: str, how: str) -> Iterator[Any]:
            path = pair[1] if pair and clip and Path(pair[0]).name == Path(clip).name else clip
            unchanged = [gr.skip() for _ in outputs]
            try:
                for step in actions.analyse(services, path, text, b, m, how):
                    if isinstance(step, actions.Step):
                        yield [f"Step {step.done + 1} of {step.total}: {step.doing} …", *unchanged]
                    else:
                        values = [value for tab in tabs for value in tab.show(step)]
                        yield [f"Done: {len(step.clip)} frames of {step.clip.total}, method {step.method}.", *values]
            except UserError as error:
                gr.Warning(escape(str(error)), title=TOAST)
                yield [escape(str(error)), *unchanged]

        running = run.click(
            lambda: (gr.Button(interactive=False), gr.Button(interactive=True)),
            None,
            [run, stop],
            queue=False,
            api_visibility="private",
        )
        job = running.then(
            analyse,
            [video, shown, labels, baseline, model, method],
            [status, *outputs],
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
        )
        ready = lambda: (gr.Button(interactive=True), gr.Button(interactive=False))  # noqa: E731
        for ended in (job.then, job.failure):
            ended(ready, None, [run, stop], queue=False, api_visibility="private")
        stop.click(
            lambda: (*ready(), texts.CANCELLED),
            None,
            [run, stop, status],
            cancels=[job],
            queue=False,
            api_visibility="private",
        )
        add_endpoints(services)
    return demo


def _guard(action: Any) -> Any:
    """Show a UserError as a toast."""

    def guarded(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except UserError as error:
            raise _toast(error) from error

    return guarded


def _toast(error: UserError) -> gr.Error:
    return gr.Error(escape(str(error)), title=TOAST, print_exception=False)


def _preview(services: Services, path: str | None) -> tuple[Any, Any]:
    shown, pair = actions.preview_pair(services, path)
    return (gr.skip(), None) if shown == path else (shown, pair)


def _banner(services: Services, *names: str) -> str:
    return texts.scope(list(names), [services.config(name) for name in names])


def _samples() -> list[str]:
    return [str(path) for path in sorted((ASSETS / "samples").glob("*.mp4"))]


def _title(sample: str) -> str:
    return Path(sample).stem[2:].replace("_", " ")


def serve(host: str, port: int, *, model: str, device: str) -> int:
    """Open the port, load the models behind it, and wait for SIGINT or SIGTERM.

    Returns:
        Exit status: 0 ended by a signal, 2 for a model or port that cannot be used.
    """
    try:
        check_model_name(model)
        services = Services(model, device)
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
        state_session_capacity=200,
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
