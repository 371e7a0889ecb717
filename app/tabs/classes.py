"""Tab: class by class on many clips (Fig. 5): shipped results, a zip of class folders, or tables of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import widgets
from app.actions import classes as actions
from app.actions.jobs import Step
from app.controls import Controls
from app.feedback import guarded, guarded_steps
from app.services import Services
from ezclip.errors import UserError
from ezclip.evaluation.classwise import Comparison, compare

EMPTY = "Which classes gain, which lose, and by how much: choose a source."


class ClassesTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls) -> None:
        pairs = list(actions.shipped().get("comparisons", {}))
        with gr.Tab("Classes", id="classes"):
            with gr.Row():
                pair = gr.Dropdown(
                    [(p.replace("->", " against "), p) for p in pairs],
                    value=pairs[0] if pairs else None,
                    label="Shipped results on Tabletop Motion",
                    elem_id="shipped-pair",
                )
                show = gr.Button("Show", elem_id="shipped-show", interactive=bool(pairs))
            with gr.Accordion("Your own clips or predictions", open=False):
                archive = gr.File(label="Zip with one folder of clips for each class", file_types=[".zip"], height=110)
                with gr.Row():
                    run = gr.Button("Evaluate baseline and model on the zip", elem_id="zip-run")
                    stop = gr.Button("Cancel", elem_id="zip-cancel")
                with gr.Row():
                    first = gr.File(label="predictions.csv of a first model", file_types=[".csv"], height=110)
                    second = gr.File(label="predictions.csv of a second model", file_types=[".csv"], height=110)
                tables = gr.Button("Compare the two tables", elem_id="tables-run")
            verdict = gr.HTML(widgets.empty(EMPTY), elem_id="class-verdict")
            chart = gr.Plot(visible=False, show_label=False, label="Differences by class", elem_id="class-chart")
            table = gr.HTML("", elem_id="class-table")
        outputs = [verdict, chart, table]
        shared: dict[str, Any] = {"api_visibility": "private"}

        def own(path: str | None, *values: Any) -> Iterator[Any]:
            if not path:
                raise UserError("No zip yet: upload one with a folder of clips for each class.")
            request = controls.request(*values)
            folder = actions.unpack(services, path)
            for step in actions.compare_on(services, folder, request.baseline, request.model):
                if isinstance(step, Step):
                    yield widgets.progress(step), gr.skip(), gr.skip()
                elif isinstance(step, Comparison):
                    yield _shown(step)

        def two(a: str | None, b: str | None) -> Any:
            if not a or not b:
                raise UserError("Two tables are needed: upload the predictions.csv of both models.")
            return _shown(
                compare(actions.read_predictions(a, "first table"), actions.read_predictions(b, "second table"))
            )

        show.click(guarded(lambda p: _shown(actions.shipped_comparison(p))), pair, outputs, **shared)
        job = run.click(
            guarded_steps(own), [archive, *controls.inputs], outputs,
            concurrency_id="model", concurrency_limit=1, **shared,
        )  # fmt: skip
        stop.click(lambda: widgets.empty("Cancelled."), None, verdict, cancels=[job], queue=False, **shared)
        tables.click(guarded(two), [first, second], outputs, **shared)


def _shown(comparison: Comparison) -> tuple[Any, Any, Any]:
    return (
        widgets.class_verdict(comparison),
        gr.Plot(widgets.class_chart(comparison), visible=True),
        widgets.class_tables(comparison),
    )
