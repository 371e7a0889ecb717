"""Marks results that were computed from inputs other than the current ones."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from app import html
from app.events import INSTANT, PRIVATE
from ezclip.checkpoints.catalog import training_labels
from ezclip.errors import UserError
from ezclip.parameters import parameters_of, values_of
from ezclip.studies.declaration import Study
from ezclip.types import Keywords

_AGAIN = "element.addEventListener('click', e => { if (e.target.closest('.ez-again')) trigger('select', {}) });"
QUIET: Keywords = INSTANT | {"trigger_mode": "always_last", "show_progress": "hidden"}


def changed(before: Study, now: Study, only: Sequence[str] = ()) -> str:
    """Title of the first parameter, of those in ``only``, that differs between two studies; empty if none does."""
    old, new = values_of(before), values_of(now)
    for field in parameters_of(type(now)):
        name, kind = field.name, field.parameter.kind
        if only and name not in only:
            continue
        same = _class_names(before) == _class_names(now) if kind == "labels" else old[name] == new[name]
        if not same:
            return field.title.lower()
    return ""


def _class_names(study: Study) -> list[str]:
    """The candidate class names of a study."""
    return study.user_labels()[0] or training_labels(study["model"])


class Stale:
    """A note above a result, laid out at construction; empty while the result belongs to the current inputs."""

    def __init__(self) -> None:
        self.note = gr.HTML("", elem_classes="ez-stale", js_on_load=_AGAIN)
        self.run_count = gr.State(0)

    def trigger(self, *events: Any) -> Any:
        """An event that fires on any of ``events`` and on a click on "Run again"."""
        return partial(gr.on, [*events, self.note.select])

    def watch(
        self,
        jobs: list[Any],
        study: Callable[..., Study],
        inputs: list[Any],
        state: gr.State,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Compare the inputs with those of the result when either changes.

        Args:
            jobs: events that compute a result.
            study: maps the values of ``inputs`` to the study that they describe.
            inputs: components.
            state: holds the result, whose ``study`` has the inputs that it was computed from.
            only: names of the parameters to compare; by default all.
        """

        def check(result: Any, *values: Any) -> str:
            if result is None:
                return ""
            try:
                current = study(*values)
                difference = changed(result.study, current, only) if isinstance(result.study, type(current)) else ""
            except UserError:
                difference = "the inputs"
            return html.outdated(difference, advice="") if difference else ""

        for job in jobs:
            job.then(lambda count: count + 1, self.run_count, self.run_count, show_progress="hidden", **PRIVATE)
        # A single event that runs once at a time: the last check belongs to the last change.
        changes = [component.change for component in (*inputs, self.run_count)]
        gr.on(changes, check, [state, *inputs], self.note, **QUIET)
