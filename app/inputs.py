"""What is analysed: clip or sample, class names, and under Advanced the models, prompt texts, model cards and maps."""

from functools import partial
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from app import html, texts
from app.actions.labels import OWN_SET, SET_TITLES, TEXTS, set_text
from app.actions.models import card_rows, convert_dropped, dropped_files
from app.actions.uploads import preview_pair, read_uploaded, unseen_seconds
from app.controls import Controls, control
from app.events import INSTANT, MODEL, PRIVATE, guarded
from app.services import Services
from app.stage import Sample, sample_gallery
from app.tabs.opened_clip import CHOOSE
from ezclip.studies.analysis import Analyse
from ezclip.types import Keywords

# The player warns about a file that browsers cannot play before its copy is ready.
_PLAYABLE_NOW = """() => document.querySelectorAll('[data-testid=toast-body]').forEach(toast =>
    toast.innerText.includes('Video not playable') && toast.querySelector('[data-testid=toast-close]')?.click())"""

# The player refuses GIFs; one that is dropped on it goes to the button for GIFs.
_GIF = """
document.addEventListener('drop', event => {
    const file = event.dataTransfer?.files[0], button = document.querySelector('#own input[accept=".gif"]');
    if (!file || !button || !/\\.gif$/i.test(file.name) || !event.target.closest('#clip')) return;
    event.preventDefault(); event.stopImmediatePropagation();
    const files = new DataTransfer();
    files.items.add(file);
    button.files = files.files;
    button.dispatchEvent(new Event('change', {bubbles: true})) }, true)"""


def _model_boxes(services: Services) -> tuple[gr.Dropdown, gr.Dropdown]:
    names = services.model_names()
    free: Keywords = {"allow_custom_value": services.typed, "info": texts.TYPED if services.typed else None}
    baseline = gr.Dropdown(names, value=services.baseline, label="Baseline", elem_id="baseline", **free)
    return baseline, gr.Dropdown(names, value=services.default, label="Model", elem_id="model", **free)


class Chooser(NamedTuple):
    """The components of the row above the results."""

    controls: Controls
    gallery: gr.HTML  # of the samples; "select" tells the number of one
    played: list[Any]  # events after which a file of the user's is in the player
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    offer: tuple[gr.Row, gr.Dropdown]  # the conversion of official files
    maps: gr.Column  # under Advanced, empty: for the settings of the maps


def chooser(services: Services, found: list[Sample]) -> Chooser:
    """Lay out the row and register its handlers."""
    as_given: Keywords = {"format": None, "include_audio": True}  # Gradio converts with ffmpeg, which may lack
    camera = gr.WebcamOptions(mirror=False)
    sources: Keywords = {"sources": ["upload", "webcam"], "webcam_options": camera} | as_given
    own = set_text(OWN_SET, services.default)
    with gr.Row(elem_id="inputs"):
        with gr.Column(scale=2, min_width=220, elem_id="own"):
            video = gr.Video(label="Your clip", height=132, elem_id="clip", **sources)
            gif = gr.UploadButton("GIF", file_types=[".gif"], size="sm", elem_id="gif")
        with gr.Column(scale=7, min_width=300):
            gallery = sample_gallery(found, CHOOSE + _GIF)
        with gr.Column(scale=3, min_width=260, elem_id="run"):
            with gr.Row():
                run = gr.Button("Analyse", variant="primary", min_width=100, elem_id="analyse")
                stop = gr.Button("Cancel", min_width=90, elem_id="cancel")
            status = gr.HTML("", elem_id="status")
            with (
                gr.Accordion(_names_title(own), open=False, elem_id="names-box", elem_classes="ez-fold") as names_box,
                gr.Row(),
            ):
                wide: Keywords = {"min_width": 260}
                labels = control(Analyse, "labels", info=texts.LABELS_HELP, lines=4, max_lines=8, value=own, **wide)
                label_set = gr.Dropdown(list(SET_TITLES), label="Fill in a label set", elem_id="set", **wide)
            with gr.Accordion("Advanced", open=False, elem_id="advanced", elem_classes="ez-fold"), gr.Row():
                with gr.Column(**wide):
                    baseline, model = _model_boxes(services)
                    offer = _about_models(services, baseline, model)
                with gr.Column(**wide):
                    kinds: Keywords = {"choices": list(TEXTS.items()), "allow_custom_value": True}
                    chosen = gr.Dropdown(
                        value="trained", label="Prompt text", info=texts.TEMPLATE, elem_id="texts", **kinds
                    )
                    file = "Names, descriptions (text, CSV)"
                    names = gr.File(label=file, file_types=[".csv", ".txt"], height=110, elem_id="names")
                maps = gr.Column(**wide)
    controls = Controls(video, gr.State(()), labels, baseline, model, chosen, gr.State({}))
    player = [video, controls.shown]
    recorded = [video.upload, video.stop_recording]
    show = guarded(partial(_preview, services))
    previewed = gr.on(recorded, show, video, player, show_progress="minimal", **PRIVATE)
    previewed.success(None, None, None, js=_PLAYABLE_NOW, **INSTANT)
    converted = gif.upload(guarded(partial(preview_pair, services)), gif, player, **PRIVATE)
    label_set.change(guarded(set_text), [label_set, controls.model], labels, **PRIVATE)
    names.upload(guarded(_read_names), names, [labels, controls.sentences], **PRIVATE)
    labels.change(lambda names: gr.Accordion(label=_names_title(names)), labels, names_box, **INSTANT)
    return Chooser(controls, gallery, [previewed.success, converted.success], run, stop, status, offer, maps)


def _names_title(names: str) -> str:
    count = len([line for line in names.splitlines() if line.strip()])
    return f"{count} class names, edit" if count > 1 else "Class names, edit"


def _about_models(services: Services, baseline: gr.Dropdown, model: gr.Dropdown) -> tuple[gr.Row, gr.Dropdown]:
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
