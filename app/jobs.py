"""Runs studies behind the buttons of the page: shows their progress and cancels them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app import html
from app.feedback import guarded_steps
from app.zero_gpu import on_gpu
from ezclip.errors import UserError
from ezclip.progress import Steps, Watch, with_time_left

# Where a measurement was cancelled, its progress is replaced.
UNMEASURED = "html => html?.replaceAll(/measuring faithfulness[^<]*/g, 'not measured')"
LAST_WORDS = 0.4  # seconds in which a cancelled job may still report progress
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
BACKGROUND: dict[str, Any] = {"concurrency_id": "background", "concurrency_limit": 1, "api_visibility": "private"}


def start(
    begin: Callable[..., Any],
    work: Callable[..., Steps[Any]],
    inputs: list[Any],
    outputs: list[Any],
    show: Callable[[Any], list[Any]],
    **options: Any,
) -> Any:
    """Run work on an event, one job of all users at a time.

    Args:
        begin: the event, such as ``button.click``.
        work: takes the values of ``inputs``.
        inputs: components.
        outputs: components; the first, an HTML, shows the progress until there is a result.
        show: a result, or a partial one -> values of ``outputs``.
        **options: further ones of the event.

    Returns:
        The job, for what follows it and for ``stop``.
    """

    def run(*values: Any) -> Iterator[list[Any]]:
        waiting = [gr.skip() for _ in outputs[1:]]
        try:
            watch = Watch(with_time_left(work(*values)))
            for step in watch:
                yield [html.progress(step), *waiting] if step.partial is None else show(step.partial)
            yield show(watch.result)
        except UserError as error:
            yield [html.empty(str(error)), *waiting]
            raise

    return begin(on_gpu(guarded_steps(run)), inputs, outputs, **MODEL, **options)


def stop(button: gr.Button, jobs: list[Any], where: gr.HTML, message: str = "Cancelled.") -> Any:
    """Let a button cancel jobs and show this in ``where``, if it shows progress; a result stays.

    Returns:
        The last of these events.
    """
    said = json.dumps(html.empty(message))
    instant: dict[str, Any] = {"queue": False, "api_visibility": "private"}
    cancelled = button.click(None, None, None, cancels=jobs, **instant)
    waited = cancelled.then(lambda: time.sleep(LAST_WORDS), None, None, **instant)
    return waited.then(None, where, where, js=f"html => html?.includes('ez-progress') ? {said} : html", **instant)
