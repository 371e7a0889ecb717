"""Errors as sentences: toasts for the user, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from ezclip.errors import UserError

TOAST = "Invalid input"


def toast(error: UserError) -> gr.Error:
    """A Gradio error with the sentence alone."""
    return gr.Error(escape(str(error)), title=TOAST, print_exception=False)


def guarded(action: Callable[..., Any]) -> Callable[..., Any]:
    """Show a UserError as a toast."""

    @wraps(action)
    def call(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except UserError as error:
            raise toast(error) from error

    return call


def guarded_steps(action: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same for a generator."""

    @wraps(action)
    def call(*arguments: Any) -> Iterator[Any]:
        try:
            yield from action(*arguments)
        except UserError as error:
            raise toast(error) from error

    return call
