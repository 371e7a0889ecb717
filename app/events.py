"""Events of the page: errors as sentences, studies with progress and cancel, and files made on a click."""

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
# Where a measurement was cancelled, its progress is replaced.
UNMEASURED = """html => html?.replace('ez-busy', '').replace(/Now measuring faithfulness[^<]*/,
    'Faithfulness was not measured.')"""
KEPT_SIDE = 480  # pixels of the short side of frames that a page's session keeps
RUNNING = (".ez-progress", ".ez-busy", ".translucent", ".generating")  # in an output of a job that runs
LAST_WORDS = 0.4  # seconds in which a cancelled job may still report progress
PRIVATE: Keywords = {"api_visibility": "private"}
INSTANT: Keywords = PRIVATE | {"queue": False}
MODEL: Keywords = PRIVATE | {"concurrency_id": "model", "concurrency_limit": JOBS}
BACKGROUND: Keywords = PRIVATE | {"concurrency_id": "background", "concurrency_limit": 1}
# Gradio's own download button only downloads what it already holds, so a file made on demand would take two clicks.
_SAVE = """file => { const a = document.createElement('a'); a.href = file.url; a.download = file.orig_name;
    document.body.append(a); a.click(); a.remove() }"""


def guarded(action: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error as a toast with a sentence, never a traceback."""
    if inspect.isgeneratorfunction(action):

        @wraps(action)
        def steps(*arguments: Any) -> Iterator[Any]:
            try:
                yield from action(*arguments)
            except gr.Error:
                raise
            except Exception as error:
                raise _toast(as_user_error(error)) from error

        return steps

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
    """The last boundary of every event of a page: no error leaves one without a sentence."""
    for event in demo.fns.values():
        if event.fn is not None:
            event.fn = guarded(event.fn)


def _toast(error: UserError) -> gr.Error:
    return gr.Error(escape(str(error)), title=TOAST, print_exception=False)


def light(result: Any) -> Any:
    """A result as a page's session keeps it, with smaller frames."""
    clip = getattr(result, "clip", None)
    return replace(result, clip=clip.reduced(KEPT_SIDE)) if isinstance(clip, Clip) else result


def client_left() -> bool:
    """Whether the client of the running event has gone; Gradio itself stops only generators."""
    blocks, event = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    queued = blocks._queue.event_ids_to_events.get(event) if blocks is not None and event is not None else None
    return queued is not None and not queued.alive


def start(
    begin: Callable[..., Any],
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
        begin: the event, such as ``button.click``.
        work: takes the values of ``inputs``.
        inputs: components.
        outputs: components; the first, an HTML, shows the progress until there is a result.
        show: a result, or a partial one -> values of ``outputs``.
        seconds: of a GPU on a ZeroGPU Space.
        **options: further ones of the event.
    """

    def values_of(given: list[Any]) -> Any:
        return given if len(outputs) > 1 else given[0]  # Gradio takes a list for the value of a single output

    def run(*values: Any) -> Iterator[Any]:
        waiting = [gr.skip() for _ in outputs[1:]]
        try:
            watch = Watch(with_time_left(work(*values)))
            for step in watch:
                yield values_of([html.progress(step), *waiting] if step.partial is None else show(step.partial))
            first, *others = show(light(watch.result))
            result = watch.result[0] if isinstance(watch.result, tuple) else watch.result
            yield values_of([html.source(result) + first, *others])
        except Exception as error:
            found = as_user_error(error)
            yield values_of([html.empty(str(found)), *waiting])
            raise _toast(found) from error

    return begin(on_gpu(run, seconds), inputs, outputs, **MODEL, **options)


def stop(button: gr.Button, jobs: list[Any], where: gr.HTML, message: str = "Cancelled.") -> Any:
    """Let a button cancel jobs and show this in ``where``, if it shows progress; returns the last of these events."""
    said = json.dumps(html.empty(message))
    cancelled = button.click(None, None, None, cancels=jobs, **INSTANT)
    waited = cancelled.then(lambda: time.sleep(LAST_WORDS), None, None, **INSTANT)
    return waited.then(None, where, where, js=f"html => html?.includes('ez-progress') ? {said} : html", **INSTANT)


def shown_cancels(demo: gr.Blocks) -> str:
    """The CSS that shows the Cancel button of a tab only while a job that it stops has progress in its first output."""
    rules = []
    for function in demo.fns.values():
        button = getattr(demo.blocks.get(function.targets[0][0]), "elem_id", None)
        if button and button.endswith("-cancel"):
            for place in sorted({demo.fns[job].outputs[0].elem_id for job in function.cancels}):
                # Gradio breaks a comma within :has().
                rules += [f".gradio-container:has(#{place} {sign}) #{button}" for sign in RUNNING]
    return f"{', '.join(rules)} {{ display: inline-flex; }}"


def download_button(label: str, elem_id: str, make: Callable[..., str], inputs: list[Any]) -> None:
    """Lay out a button; ``make`` takes the values of ``inputs`` and returns the path of a file.

    A first value of None means that there is nothing to export yet.
    """
    button = gr.Button(label, elem_id=elem_id, min_width=120)
    file = gr.File(visible=False)

    def made(result: Any, *values: Any) -> str:
        if result is None:
            raise gr.Error("There is nothing to export yet; run the analysis first.", print_exception=False)
        return make(result, *values)

    job = button.click(on_gpu(guarded(made), LONG), inputs, file, **PRIVATE)
    job.success(None, file, None, js=_SAVE, **PRIVATE)
