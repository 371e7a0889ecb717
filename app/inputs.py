"""The left column: clip, class names and prompt texts; and the pair of models with their cards."""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import html, texts
from app.actions.labels import OWN_SET, SET_TITLES, TEXTS, set_text
from app.actions.models import card_rows, convert_dropped, dropped_files
from app.actions.uploads import preview_pair, read_uploaded, unseen_seconds
from app.controls import Controls, control
from app.events import INSTANT, MODEL, PRIVATE, guarded
from app.services import Services
from ezclip.studies.analysis import Analyse

# The player warns about a file that browsers cannot play before its copy is ready.
_PLAYABLE_NOW = """() => document.querySelectorAll('[data-testid=toast-body]').forEach(toast =>
    toast.innerText.includes('Video not playable') && toast.querySelector('[data-testid=toast-close]')?.click())"""


def model_boxes(services: Services) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Baseline and model, to be rendered beside the results."""
    names = services.model_names()
    free: dict[str, Any] = {"allow_custom_value": services.typed, "info": texts.TYPED if services.typed else None}
    free |= {"min_width": 260, "render": False}
    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline", **free)
    return baseline, gr.Dropdown(names, value=services.default, label="Model", elem_id="model", **free)


def left_column(
    services: Services, samples: list[str], models: tuple[gr.Dropdown, gr.Dropdown]
) -> tuple[Controls, Any, gr.Button, gr.Button, gr.HTML]:
    """Lay out the column and register its handlers; returns controls, samples, the two buttons and their status."""
    as_given: dict[str, Any] = {"format": None, "include_audio": True}  # Gradio converts with ffmpeg, which may lack
    camera = gr.WebcamOptions(mirror=False)
    sources: dict[str, Any] = {"sources": ["upload", "webcam"], "webcam_options": camera} | as_given
    video = gr.Video(label="Clip", height=280, elem_id="clip", **sources)
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
        kinds: dict[str, Any] = {"choices": list(TEXTS.items()), "allow_custom_value": True}
        chosen = gr.Dropdown(value="trained", label="Prompt text", info=texts.TEMPLATE, elem_id="texts", **kinds)
        file = "Class names or descriptions (text or CSV)"
        names = gr.File(label=file, file_types=[".csv", ".txt"], height=110, elem_id="names")
    controls = Controls(video, gr.State(None), labels, *models, chosen, gr.State({}))
    player = [video, controls.shown]
    recorded = [video.upload, video.stop_recording]
    show = guarded(partial(_preview, services))
    previewed = gr.on(recorded, show, video, player, show_progress="minimal", **PRIVATE)
    previewed.success(None, None, None, js=_PLAYABLE_NOW, **INSTANT)
    gif.upload(guarded(partial(preview_pair, services)), gif, player, **PRIVATE)
    label_set.change(guarded(set_text), [label_set, controls.model], labels, **PRIVATE)
    names.upload(guarded(_read_names), names, [labels, controls.sentences], **PRIVATE)
    return controls, examples, run, stop, status


def about_models(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
    """Lay out the models' limitations, their cards, and the conversion of official files, which is returned."""

    def describe(*names: str) -> tuple[str, str]:
        cards = {name: services.card(name) for name in names}
        return texts.scope([cards[name] for name in names]), html.cards([card_rows(card) for card in cards.values()])

    limits, rows = describe(services.baseline, services.default)
    banner = gr.HTML(limits, elem_id="banner")
    with gr.Accordion("About these models", open=False):
        cards = gr.HTML(rows, elem_id="cards")
        offer = _offer_conversion(services, baseline, model)
    gr.on([baseline.change, model.change], guarded(describe), [baseline, model], [banner, cards], **PRIVATE)
    return offer


def _offer_conversion(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
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
    """The files whose conversion is offered now: values of what ``about_models`` returns."""
    files = dropped_files()
    return gr.Row(visible=bool(files)), gr.Dropdown(files, value=next(iter(files), None))


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
