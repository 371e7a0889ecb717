"""Events of the page: error messages, studies with progress and cancellation, and files created on a click."""

import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from html import escape
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from app import html
from app.services import JOBS
from app.zero_gpu import CLIP, LONG, on_gpu
from ezclip.errors import UserError, as_user_error
from ezclip.progress import Steps, Watch, with_time_left
from ezclip.types import Clip, Keywords

TOAST = "Invalid input"
# Replaces the progress of a cancelled measurement.
UNMEASURED = """html => html?.replace('ez-busy', '').replace(/Now measuring faithfulness[^<]*/,
    'Faithfulness was not measured.')"""
SESSION_SIDE = 480  # short side in pixels of frames stored in a session
RUNNING = (".ez-progress", ".ez-busy", ".translucent", ".generating")  # in an output of a running job
CANCEL_SECONDS = 0.4  # a cancelled job may still report progress for this long
PRIVATE: Keywords = {"api_visibility": "private"}
INSTANT: Keywords = PRIVATE | {"queue": False}
MODEL: Keywords = PRIVATE | {"concurrency_id": "model", "concurrency_limit": JOBS}
BACKGROUND: Keywords = PRIVATE | {"concurrency_id": "background", "concurrency_limit": 1}
# gr.DownloadButton downloads only an existing file, so a file created on demand would take two clicks.
_SAVE = """file => { const a = document.createElement('a'); a.href = file.url; a.download = file.orig_name;
    document.body.append(a); a.click(); a.remove() }"""


def guarded(action: Callable[..., Any]) -> Callable[..., Any]:
    """Show errors as toasts with a message, never a traceback."""
    if inspect.isgeneratorfunction(action):

        @wraps(action)
        def iterate(*arguments: Any) -> Iterator[Any]:
            try:
                yield from action(*arguments)
            except gr.Error:
                raise
            except Exception as error:
                raise _toast(as_user_error(error)) from error

        return iterate

    @wraps(action)
    def call(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except gr.Error:
            raise
        except Exception as error:
            raise _toast(as_user_error(error)) from error

    return call


def guard_all(demo: gr.Blocks) -> None:
    """Guard every event of a page, so that all errors reach the user as messages."""
    for event in demo.fns.values():
        if event.fn is not None:
            event.fn = guarded(event.fn)


def _toast(error: UserError) -> gr.Error:
    return gr.Error(escape(str(error)), title=TOAST, print_exception=False)


def downscale_frames(result: Any) -> Any:
    """The result with smaller frames, to store in the session."""
    clip = getattr(result, "clip", None)
    return replace(result, clip=clip.downscaled(SESSION_SIDE)) if isinstance(clip, Clip) else result


def client_disconnected() -> bool:
    """Whether the client of the running event has disconnected; Gradio itself stops only generators."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks is not None and event_id is not None else None
    return event is not None and not event.alive


def start(
    trigger: Callable[..., Any],
    work: Callable[..., Steps[Any]],
    inputs: list[Any],
    outputs: list[Any],
    show: Callable[[Any], list[Any]],
    *,
    seconds: int = CLIP,
    **options: Any,
) -> Any:
    """Run work on an event and show its progress; returns the job.

    Args:
        trigger: the event, such as ``button.click``.
        work: takes the values of ``inputs``.
        inputs: components.
        outputs: components; the first one, a gr.HTML, shows the progress until there is a result.
        show: maps a result, or a partial one, to the values of ``outputs``.
        seconds: GPU time on a ZeroGPU Space.
        **options: other options of the event.
    """

    def unwrap(values: list[Any]) -> Any:
        return values if len(outputs) > 1 else values[0]  # Gradio would use the list as the value of a single output

    def run(*values: Any) -> Iterator[Any]:
        unchanged = [gr.skip() for _ in outputs[1:]]
        try:
            watch = Watch(with_time_left(work(*values)))
            for step in watch:
                yield unwrap([html.progress(step), *unchanged] if step.partial is None else show(step.partial))
            first, *others = show(downscale_frames(watch.result))
            result = watch.result[0] if isinstance(watch.result, tuple) else watch.result
            yield unwrap([html.source(result) + first, *others])
        except Exception as error:
            user_error = as_user_error(error)
            yield unwrap([html.empty(str(user_error)), *unchanged])
            raise _toast(user_error) from error

    return trigger(on_gpu(run, seconds), inputs, outputs, **MODEL, **options)


def stop(button: gr.Button, jobs: list[Any], output: gr.HTML, message: str = "Cancelled.") -> Any:
    """Let a button cancel jobs and replace the progress in ``output`` by a message; returns the last event."""
    content = json.dumps(html.empty(message))
    cancelled = button.click(None, None, None, cancels=jobs, **INSTANT)
    waited = cancelled.then(lambda: time.sleep(CANCEL_SECONDS), None, None, **INSTANT)
    return waited.then(None, output, output, js=f"html => html?.includes('ez-progress') ? {content} : html", **INSTANT)


def cancel_button_css(demo: gr.Blocks) -> str:
    """CSS that shows the Cancel button of a tab only while the first output of one of its jobs shows progress."""
    rules = []
    for function in demo.fns.values():
        target = function.targets[0][0] or 0
        button = str(demo.blocks[target].elem_id) if target in demo.blocks else ""
        if button.endswith("-cancel"):
            for output in sorted({str(demo.fns[job].outputs[0].elem_id) for job in function.cancels}):
                # Gradio breaks a selector with a comma inside :has().
                rules += [f".gradio-container:has(#{output} {selector}) #{button}" for selector in RUNNING]
    return f"{', '.join(rules)} {{ display: inline-flex; }}"


def download_button(label: str, elem_id: str, make: Callable[..., str], inputs: list[Any]) -> None:
    """Lay out a download button; ``make`` takes the values of ``inputs`` and returns the path of the file.

    If the first value is None, there is nothing to export yet.
    """
    button = gr.Button(label, elem_id=elem_id, min_width=120)
    file = gr.File(visible=False)

    def export(result: Any, *values: Any) -> str:
        if result is None:
            raise gr.Error("There is nothing to export yet; run the analysis first.", print_exception=False)
        return make(result, *values)

    job = button.click(on_gpu(guarded(export), LONG), inputs, file, **PRIVATE)
    job.success(None, file, None, js=_SAVE, **PRIVATE)
