"""Marks a result that was computed from other inputs than those on the page."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from app import html
from app.events import INSTANT, PRIVATE
from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import UserError
from ezclip.parameters import declared, values_of
from ezclip.studies.declaration import Study
from ezclip.types import Keywords

_AGAIN = "element.addEventListener('click', e => { if (e.target.closest('.ez-again')) trigger('select', {}) });"
QUIET: Keywords = INSTANT | {"trigger_mode": "always_last", "show_progress": "hidden"}


def changed(before: Study, now: Study, only: Sequence[str] = ()) -> str:
    """What differs first between the inputs of two studies of a kind, ``only`` among these; empty if nothing does."""
    old, new = values_of(before), values_of(now)
    for one in declared(type(now)):
        if only and one.name not in only:
            continue
        same = _names(before) == _names(now) if one.parameter.kind == "labels" else old[one.name] == new[one.name]
        if not same:
            return one.title.lower()
    return ""


def _names(study: Study) -> list[str]:
    """The class names that a study chooses among."""
    return study.given_labels()[0] or own_labels(study["model"])


class Stale:
    """A line above a result, where it is laid out: empty while the result is that of the inputs on the page."""

    def __init__(self) -> None:
        self.note = gr.HTML("", elem_classes="ez-stale", js_on_load=_AGAIN)
        self.made = gr.State(0)  # results

    def begins(self, *events: Any) -> Any:
        """The events that run the study: those given, and the press of "Run again"."""
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
            jobs: events that make a result.
            study: the values of ``inputs`` -> the study that they now ask for.
            inputs: components.
            state: holds the result, whose ``study`` made it.
            only: the parameters that are compared, all by default.
        """

        def check(result: Any, *values: Any) -> str:
            if result is None:
                return ""
            try:
                now = study(*values)
                what = changed(result.study, now, only) if isinstance(result.study, type(now)) else ""
            except UserError:
                what = "the inputs"
            return html.outdated(what, advice="") if what else ""

        for job in jobs:
            job.then(lambda made: made + 1, self.made, self.made, show_progress="hidden", **PRIVATE)
        # One event for all, of which one runs at a time: the last answer is that to the last change.
        gr.on([one.change for one in (*inputs, self.made)], check, [state, *inputs], self.note, **QUIET)
