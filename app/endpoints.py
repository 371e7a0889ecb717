"""The named endpoints /predict and /explain: a public interface, kept stable."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import actions
from app.services import Services
from ezclip.errors import UserError


def add_endpoints(services: Services) -> None:
    """Add both endpoints; their inputs are components that the page does not show."""
    clip = gr.File(visible=False, label="clip")
    labels = gr.Textbox("", visible=False, label="labels")
    model = gr.Textbox(services.default, visible=False, label="model")
    baseline = gr.Textbox(services.baseline, visible=False, label="baseline")
    label = gr.Textbox("", visible=False, label="label")
    method = gr.Textbox("rollout", visible=False, label="method")
    answer = gr.JSON(visible=False, label="answer")
    files = gr.File(visible=False, label="files", file_count="multiple")
    predict_button, explain_button = gr.Button(visible=False), gr.Button(visible=False)

    def on_predict(clip: str, labels: str, model: str) -> dict[str, Any]:
        """Rank class names for a clip; the JSON of ``python -m ezclip predict --json``."""
        try:
            return actions.predict_json(services, clip, labels, model)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def on_explain(
        clip: str, labels: str, model: str, baseline: str, label: str, method: str
    ) -> tuple[dict[str, Any], list[str]]:
        """Attention maps of a clip; the JSON of ``python -m ezclip explain --json``, and its files."""
        try:
            return actions.explain_json(services, clip, labels, model, baseline, label, method)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    shared: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "public"}
    predict_button.click(on_predict, [clip, labels, model], answer, api_name="predict", **shared)
    explain_button.click(
        on_explain, [clip, labels, model, baseline, label, method], [answer, files], api_name="explain", **shared
    )
