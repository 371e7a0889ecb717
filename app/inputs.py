"""The left column: clip, class names and prompt texts; and the pair of models with their cards."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app import html, texts
from app.actions.labels import OWN_SET, SET_TITLES, TEXTS, set_text
from app.actions.models import card_rows, convert_dropped, dropped_files
from app.actions.preview import preview_pair, unseen_seconds
from app.actions.uploads import read_uploaded
from app.controls import Controls, control
from app.feedback import guarded
from app.jobs import MODEL
from app.services import Services
from ezclip.studies.analysis import Analyse

# The player warns about a file that browsers cannot play before its copy is ready.
_PLAYABLE_NOW = """() => document.querySelectorAll('[data-testid=toast-body]').forEach(toast =>
    toast.innerText.includes('Video not playable') && toast.querySelector('[data-testid=toast-close]')?.click())"""


class Left(NamedTuple):
    """Components of the left column."""

    controls: Controls
    examples: Any
    gif: gr.UploadButton
    names: gr.File
    label_set: gr.Dropdown
    run: gr.Button
    stop: gr.Button
    status: gr.HTML


def model_boxes(services: Services) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Baseline and model, to be rendered beside the results."""
    names = services.model_names()
    free: dict[str, Any] = {"allow_custom_value": services.typed, "info": texts.TYPED if services.typed else None}
    free |= {"min_width": 260, "render": False}
    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline", **free)
    return baseline, gr.Dropdown(names, value=services.default, label="Model", elem_id="model", **free)


def left_column(services: Services, samples: list[str], models: tuple[gr.Dropdown, gr.Dropdown]) -> Left:
    """Clip, class names, the main button, and prompt texts."""
    video = gr.Video(
        label="Clip",
        sources=["upload", "webcam"],
        format=None,
        include_audio=True,
        webcam_options=gr.WebcamOptions(mirror=False),
        height=280,
        elem_id="clip",
    )
    gif = gr.UploadButton("Upload a GIF", file_types=[".gif"], size="sm", elem_id="gif")
    titles = [Path(s).stem.partition("_")[2].replace("_", " ") for s in samples]
    examples = gr.Examples(
        samples, video, elem_id="samples", label="Samples", example_labels=titles, examples_per_page=20
    )
    own = set_text(OWN_SET, services.default)
    labels = control(Analyse, "labels", info=texts.LABELS_HELP, lines=4, max_lines=6, value=own)
    with gr.Column(elem_id="run"):
        with gr.Row():
            run = gr.Button("Analyse", variant="primary", min_width=120, elem_id="analyse")
            stop = gr.Button("Cancel", min_width=120, elem_id="cancel")
        status = gr.HTML("", elem_id="status")
    label_set = gr.Dropdown(list(SET_TITLES), label="Fill in a label set", elem_id="set")
    with gr.Accordion("Texts", open=False):
        kinds = list(TEXTS.items())
        chosen = gr.Dropdown(
            kinds, value="trained", label="Prompt text", info=texts.TEMPLATE, allow_custom_value=True, elem_id="texts"
        )
        upload = gr.File(
            label="Class names or descriptions (text or CSV)", file_types=[".csv", ".txt"], height=110, elem_id="names"
        )
    controls = Controls(video, gr.State(None), labels, *models, chosen, gr.State({}))
    return Left(controls, examples, gif, upload, label_set, run, stop, status)


def offer_conversion(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
    """A button that converts official files in checkpoints/ into models."""
    files = dropped_files()
    with gr.Row(visible=bool(files)) as row:
        official = gr.Dropdown(files, value=next(iter(files), None), label="Official file in checkpoints/")
        convert = gr.Button("Convert it to a model", elem_id="convert")

    def converted(name: str) -> list[Any]:
        made = convert_dropped(name)
        names = services.model_names()
        return [gr.Dropdown(names), gr.Dropdown(names, value=made), *conversion_now()]

    convert.click(guarded(converted), official, [baseline, model, row, official], **MODEL)
    return row, official


def conversion_now() -> tuple[Any, Any]:
    """The files that ``offer_conversion`` offers now."""
    files = dropped_files()
    return gr.Row(visible=bool(files)), gr.Dropdown(files, value=next(iter(files), None))


def wire_inputs(services: Services, left: Left, banner: gr.HTML, cards: gr.HTML) -> None:
    """Register the handlers of the left column."""
    controls = left.controls
    previewed = gr.on(
        [controls.video.upload, controls.video.stop_recording],
        guarded(lambda path: _preview(services, path)),
        controls.video,
        [controls.video, controls.shown],
        show_progress="minimal",
        api_visibility="private",
    )
    previewed.success(None, None, None, js=_PLAYABLE_NOW, queue=False, api_visibility="private")
    left.gif.upload(
        guarded(lambda path: preview_pair(services, path)),
        left.gif,
        [controls.video, controls.shown],
        api_visibility="private",
    )
    inputs = [left.label_set, controls.model]
    left.label_set.change(guarded(set_text), inputs, controls.labels, api_visibility="private")
    left.names.upload(guarded(_read_names), left.names, [controls.labels, controls.sentences], api_visibility="private")
    gr.on(
        [controls.baseline.change, controls.model.change],
        guarded(lambda b, m: (banner_of(services, b, m), cards_of(services, b, m))),
        [controls.baseline, controls.model],
        [banner, cards],
        api_visibility="private",
    )


def _read_names(path: str | None) -> tuple[str, dict[str, str]]:
    names, sentences, warnings = read_uploaded(path)
    for warning in warnings:
        gr.Warning(escape(warning), title="Duplicates were merged")
    return names, sentences


def _preview(services: Services, path: str | None) -> tuple[Any, Any]:
    shown, pair = preview_pair(services, path)
    if pair is None or shown == path:
        return gr.skip(), None
    if (missing := unseen_seconds(*pair)) > 1:
        gr.Info(texts.CUT.format(missing), title="A shorter copy is shown")
    return shown, pair


def banner_of(services: Services, *names: str) -> str:
    """The scope and limitations of the models, as HTML."""
    return texts.scope([services.card(name) for name in names])


def cards_of(services: Services, *names: str) -> str:
    """Each model's card, as HTML."""
    return html.cards([card_rows(services.card(name)) for name in dict.fromkeys(names)])
