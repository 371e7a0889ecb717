"""How the buttons of the tabs start work with a model, show its progress and stop it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app import widgets
from app.feedback import guarded_steps
from app.zero_gpu import on_gpu
from ezclip.errors import UserError
from ezclip.progress import Step, timed

# Where a proof was stopped, its progress gives way.
UNMEASURED = "html => html?.replaceAll(/faithfulness of[^<]*/g, 'not measured')"
LAST_WORDS = 0.4  # seconds in which a cancelled job may still report progress
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
PROOF: dict[str, Any] = {"concurrency_id": "proof", "concurrency_limit": 1, "api_visibility": "private"}


def start(
    begin: Callable[..., Any],
    steps: Callable[..., Iterator[Any]],
    inputs: list[Any],
    outputs: list[Any],
    show: Callable[[Any], list[Any]],
    **options: Any,
) -> Any:
    """Run ``steps`` on an event, one job of all users at a time.

    Args:
        begin: the event, such as ``button.click``.
        steps: takes the values of ``inputs``; yields Steps, and results of another type.
        inputs: components.
        outputs: components; the first, an HTML, shows the progress until there is a result.
        show: a result -> values of ``outputs``.
        **options: further ones of the event.

    Returns:
        The job, for what follows it and for ``stop``.
    """

    def run(*values: Any) -> Iterator[list[Any]]:
        waiting = [gr.skip() for _ in outputs[1:]]
        try:
            for found in timed(steps(*values)):
                yield [widgets.progress(found), *waiting] if isinstance(found, Step) else show(found)
        except UserError as error:
            yield [widgets.empty(str(error)), *waiting]
            raise

    return begin(on_gpu(guarded_steps(run)), inputs, outputs, **MODEL, **options)


def stop(button: gr.Button, jobs: list[Any], where: gr.HTML, told: str = "Cancelled.") -> Any:
    """Let a button end jobs and say so in ``where``, if progress is what stands there; a result stays.

    Returns:
        The last of these events.
    """
    said = json.dumps(widgets.empty(told))
    instant: dict[str, Any] = {"queue": False, "api_visibility": "private"}
    cancelled = button.click(None, None, None, cancels=jobs, **instant)
    waited = cancelled.then(lambda: time.sleep(LAST_WORDS), None, None, **instant)
    return waited.then(None, where, where, js=f"html => html?.includes('ez-progress') ? {said} : html", **instant)
