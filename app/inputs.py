"""Inputs: clip or sample, class names, and under Advanced the models, prompt texts, model cards and map settings."""

from functools import partial
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from app import html, texts
from app.actions.labels import MODEL_SET, SET_TITLES, TEXTS, label_set_text
from app.actions.models import card_rows, convert_official, unconverted_files
from app.actions.uploads import missing_seconds, preview_pair, read_class_file
from app.controls import Controls, control
from app.events import INSTANT, MODEL, PRIVATE, guarded
from app.services import Services
from app.stage import Sample, sample_gallery
from app.tabs.opened_clip import CHOOSE
from ezclip.studies.analysis import Analyse
from ezclip.types import Keywords

# Closes the player's warning about an unplayable file once the playable copy is ready.
_CLOSE_WARNING = """() => document.querySelectorAll('[data-testid=toast-body]').forEach(toast =>
    toast.innerText.includes('Video not playable') && toast.querySelector('[data-testid=toast-close]')?.click())"""

# The player rejects GIFs; pass a GIF that is dropped on it to the GIF button.
_GIF = """
document.addEventListener('drop', event => {
    const file = event.dataTransfer?.files[0], button = document.querySelector('#own input[accept=".gif"]');
    if (!file || !button || !/\\.gif$/i.test(file.name) || !event.target.closest('#clip')) return;
    event.preventDefault(); event.stopImmediatePropagation();
    const files = new DataTransfer();
    files.items.add(file);
    button.files = files.files;
    button.dispatchEvent(new Event('change', {bubbles: true})) }, true)"""


def _model_dropdowns(services: Services) -> tuple[gr.Dropdown, gr.Dropdown]:
    names = services.model_names()
    options: Keywords = {"allow_custom_value": services.local, "info": texts.TYPED if services.local else None}
    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline", **options)
    return baseline, gr.Dropdown(names, value=services.default, label="Model", elem_id="model", **options)


class Chooser(NamedTuple):
    """The components of the row above the results."""

    controls: Controls
    gallery: gr.HTML  # samples; its "select" event has the number of the chosen one
    clip_events: list[Any]  # events after a file of the user was loaded into the player
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    conversion: tuple[gr.Row, gr.Dropdown]  # of official files
    maps: gr.Column  # empty column under Advanced, for the map settings


def chooser(services: Services, samples: list[Sample]) -> Chooser:
    """Lay out the row and register its handlers."""
    unconverted: Keywords = {"format": None, "include_audio": True}  # a conversion by Gradio would need ffmpeg
    camera = gr.WebcamOptions(mirror=False)
    sources: Keywords = {"sources": ["upload", "webcam"], "webcam_options": camera} | unconverted
    names = label_set_text(MODEL_SET, services.default)
    with gr.Row(elem_id="inputs"):
        with gr.Column(scale=2, min_width=220, elem_id="own"):
            video = gr.Video(label="Your clip", height=132, elem_id="clip", **sources)
            gif = gr.UploadButton("GIF", file_types=[".gif"], size="sm", elem_id="gif")
        with gr.Column(scale=7, min_width=300):
            gallery = sample_gallery(samples, CHOOSE + _GIF)
        with gr.Column(scale=3, min_width=260, elem_id="run"):
            with gr.Row():
                run = gr.Button("Analyse", variant="primary", min_width=100, elem_id="analyse")
                stop = gr.Button("Cancel", min_width=90, elem_id="cancel")
            status = gr.HTML("", elem_id="status")
            with (
                gr.Accordion(_names_title(names), open=False, elem_id="names-box", elem_classes="ez-fold") as names_box,
                gr.Row(),
            ):
                wide: Keywords = {"min_width": 260}
                labels = control(Analyse, "labels", info=texts.LABELS_HELP, lines=4, max_lines=8, value=names, **wide)
                label_set = gr.Dropdown(list(SET_TITLES), label="Fill in a label set", elem_id="set", **wide)
            with gr.Accordion("Advanced", open=False, elem_id="advanced", elem_classes="ez-fold"), gr.Row():
                with gr.Column(**wide):
                    baseline, model = _model_dropdowns(services)
                    conversion = _model_info(services, baseline, model)
                with gr.Column(**wide):
                    options: Keywords = {"choices": list(TEXTS.items()), "allow_custom_value": True}
                    prompt_texts = gr.Dropdown(
                        value="trained", label="Prompt text", info=texts.TEMPLATE, elem_id="texts", **options
                    )
                    title = "Names, descriptions (text, CSV)"
                    file = gr.File(label=title, file_types=[".csv", ".txt"], height=110, elem_id="names")
                maps = gr.Column(**wide)
    controls = Controls(video, gr.State(()), labels, baseline, model, prompt_texts, gr.State({}))
    player = [video, controls.preview]
    show = guarded(partial(_preview, services))
    previewed = gr.on([video.upload, video.stop_recording], show, video, player, show_progress="minimal", **PRIVATE)
    previewed.success(None, None, None, js=_CLOSE_WARNING, **INSTANT)
    converted = gif.upload(guarded(partial(preview_pair, services)), gif, player, **PRIVATE)
    label_set.change(guarded(label_set_text), [label_set, controls.model], labels, **PRIVATE)
    file.upload(guarded(_read_names), file, [labels, controls.sentences], **PRIVATE)
    labels.change(lambda names: gr.Accordion(label=_names_title(names)), labels, names_box, **INSTANT)
    return Chooser(controls, gallery, [previewed.success, converted.success], run, stop, status, conversion, maps)


def _names_title(names: str) -> str:
    count = len([line for line in names.splitlines() if line.strip()])
    return f"{count} class names, edit" if count > 1 else "Class names, edit"


def _model_info(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
    """Lay out the models' limitations, cards, and the conversion of official files; returns the latter."""

    def describe(*names: str) -> tuple[str, str]:
        cards = {name: services.card(name) for name in names}
        return texts.scope([cards[name] for name in names]), html.cards([card_rows(card) for card in cards.values()])

    limits, rows = describe(services.baseline, services.default)
    banner = gr.HTML(limits, elem_id="banner")
    with gr.Accordion("About these models", open=False):
        cards = gr.HTML(rows, elem_id="cards")
        conversion = _offer_conversion(services, baseline, model)
    gr.on([baseline.change, model.change], guarded(describe), [baseline, model], [banner, cards], **PRIVATE)
    return conversion


def _offer_conversion(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
    """Lay out the conversion of official files in checkpoints/ into models."""
    files = unconverted_files()
    with gr.Row(visible=bool(files)) as row:
        official = gr.Dropdown(files, value=next(iter(files), None), label="Official file in checkpoints/")
        convert = gr.Button("Convert it to a model", elem_id="convert")

    def converted(name: str) -> list[Any]:
        converted_model = convert_official(name)
        names = services.model_names()
        return [gr.Dropdown(names), gr.Dropdown(names, value=converted_model), *conversion_updates()]

    convert.click(guarded(converted), official, [baseline, model, row, official], **MODEL)
    return row, official


def conversion_updates() -> tuple[Any, Any]:
    """Updates of the components of the conversion with the current unconverted files."""
    files = unconverted_files()
    return gr.Row(visible=bool(files)), gr.Dropdown(files, value=next(iter(files), None))


def _read_names(path: str | None) -> tuple[str, dict[str, str]]:
    names, sentences, warnings = read_class_file(path)
    for warning in warnings:
        gr.Warning(escape(warning), title="Duplicates were merged")
    return names, sentences


def _preview(services: Services, path: str | None) -> tuple[Any, Any]:
    preview, pair = preview_pair(services, path)
    if pair is None or preview == path:
        return gr.skip(), None
    if (missing := missing_seconds(*pair)) > 1:
        gr.Info(texts.CUT.format(missing), title="A shorter copy is shown")
    return preview, pair
