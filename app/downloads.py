"""One click creates a file and downloads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.feedback import guarded
from app.zero_gpu import on_gpu

# Gradio's own download button only downloads what it already holds, so a file made on demand would take two clicks.
_SAVE = """file => { const a = document.createElement('a'); a.href = file.url; a.download = file.orig_name;
    document.body.append(a); a.click(); a.remove() }"""


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

    job = button.click(on_gpu(guarded(made)), inputs, file, api_visibility="private")
    job.success(None, file, None, js=_SAVE, api_visibility="private")
