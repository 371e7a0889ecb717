"""Tab: search a folder of videos for moments by text or example, tag them, and cluster the videos."""

import json
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from app import html, texts
from app.actions import collection as actions
from app.actions.collection import CardGroups
from app.controls import Controls, control
from app.events import INSTANT, PRIVATE, download_button, guarded, start, stop
from app.services import Services
from app.tabs.opened_clip import CHOOSE, Choice, OpenedClip
from app.zero_gpu import LONG
from ezclip.checkpoints.catalog import training_labels
from ezclip.errors import UserError
from ezclip.parameters import build
from ezclip.progress import Steps, Watch
from ezclip.studies.analysis import Analyse
from ezclip.studies.collection.clusters import Clusters
from ezclip.studies.collection.search import Search
from ezclip.types import Document, Keywords

EMPTY = (
    "Type what happens, such as “pushing something from left to right”, and under But not its reverse: the best moment "
    "of each video appears here and plays on hover."
)
STOPPED = "Cancelled. Finished shards are kept: press Index to go on."
_FILTERS = {
    "top": "Maximum number of videos",
    "folder": "Path begins with",
    "since": "Changed since, as 2026-01-31",
    "until": "Changed until",
    "shortest": "At least, seconds",
    "longest": "At most, seconds; 0 for any",
}
_TICKED = """(_, tag, shown) => [JSON.stringify([...document.querySelectorAll('#moments input:checked')].map(
    box => +box.value)), tag, shown]"""
_MOMENTS = "ezMoments(element, film => server.strip(film), row => trigger('input', {row}));"


def collection_tab(services: Services, controls: Controls) -> None:
    """Lay out the tab and register its handlers; only for a local server, as it reads any folder."""
    setting = partial(control, min_width=150)
    with gr.Tab(texts.TABS["collection"], id="collection"):
        with gr.Row():
            help_ = "A path on this machine. The index of a folder is made beside it, with the page's model."
            place = gr.Textbox(label="Folder of videos, or an index", info=help_, elem_id="place", scale=6)
            with gr.Column(scale=1, min_width=130):
                index = gr.Button("Index", elem_id="index-run")
                cancel = gr.Button("Cancel", elem_id="index-cancel")
        status = gr.HTML("", elem_id="index-status")
        with gr.Row():
            text = setting(Search, "text", elem_id="find-text", scale=4)
            opposite = setting(Search, "opposite", elem_id="find-not", scale=4)
            like = setting(Search, "like", elem_id="find-like", scale=3, info="Press “like this”, or type a file.")
            find = gr.Button("Search", variant="primary", min_width=100, elem_id="find-run")
        with gr.Accordion("Filters, clusters and duplicates, windows of a new index", open=False):
            with gr.Row():
                filters = [
                    setting(Search, name, label=label, elem_id=f"find-{name}") for name, label in _FILTERS.items()
                ]
            with gr.Row():
                count = setting(Clusters, "count", label="Maximum number of clusters", elem_id="cluster-count")
                same = setting(
                    Clusters, "duplicates", label="Minimum cosine of duplicates", elem_id="cluster-duplicates"
                )
                group = gr.Button("Group the videos", elem_id="cluster-run", min_width=150)
                seconds = gr.Number(2.0, label="Seconds of a window; 0 for whole videos", minimum=0, maximum=600)
                step = gr.Number(1.0, label="Seconds from one window to the next", minimum=0.1, maximum=600)
        state, ticked = gr.State(None, time_to_live=3600), gr.Textbox(visible=False)
        with gr.Row():
            options: Keywords = {"show_label": False, "container": False, "scale": 3, "min_width": 200}
            name = gr.Textbox(label="Class name", placeholder="Name for the selected", elem_id="tag-name", **options)
            tag = gr.Button("Tag selected", elem_id="tag", min_width=120)
            files = {"Results (CSV)": actions.results_csv, "Tags (manifest)": actions.tagged_manifest}
            for title, write in files.items():
                make = partial(_write_file, services, write)
                download_button(title, f"collection-{write.__name__.partition('_')[2]}", make, [state])
        moments = gr.HTML(
            html.empty(EMPTY), elem_id="moments", css_template=html.asset("moments.css"), server_functions=[strip],
            js_on_load=html.asset("moments.js") + _MOMENTS + CHOOSE,
        )  # fmt: skip
        opened = OpenedClip(services, "collection")

    def make_index(place: str, seconds: float, step: float, model: str) -> Steps[Document]:
        return actions.make_index(services, place, model, seconds or 0, step or 0)

    def search(place: str, model: str, text: str, opposite: str, like: str, *filters: Any) -> Steps[CardGroups]:
        query = {"index": actions.existing_index(place, model), "text": text, "opposite": opposite, "like": like}
        limits = {name: value for name, value in zip(_FILTERS, filters, strict=True) if value is not None}
        watch = Watch(services.run(build(Search, query | limits)))
        yield from watch
        return actions.as_cards(watch.result)

    def cluster(place: str, model: str, count: float, same: float) -> Steps[CardGroups]:
        values = {"index": actions.existing_index(place, model), "count": count, "duplicates": same}
        watch = Watch(services.run(build(Clusters, values)))
        yield from watch
        return actions.as_cards(watch.result)

    def show(result: CardGroups) -> list[Any]:
        return [html.moments(result, actions.read_tags(result)), result, gr.Column(visible=False)]

    def like_path(result: CardGroups, event: gr.EventData) -> str:
        return result.cards[int(event._data["row"])].path

    def tag_cards(rows: str, name: str, result: CardGroups | None) -> str:
        if not result or not (numbers := json.loads(rows)):
            raise UserError("No videos are selected: tick some first.")
        actions.write_tags(result, numbers, name.strip())
        return html.moments(result, actions.read_tags(result))

    def choose(row: int, result: CardGroups, *values: Any) -> Choice:
        """The moment, with the query added to the class names."""
        card, query = result.cards[row], result.result.study
        model = result.collection.metadata["model"]
        texts = [query.text.strip(), query.opposite.strip()] if isinstance(query, Search) else []
        names = controls.study(Analyse, values).user_labels()[0] or training_labels(model)
        labels = list({name.casefold(): name for name in [*names, *texts] if name}.values())
        clip = str(actions.moment_file(result, card, services.scratch()))
        inputs = {"clip": clip, "labels": "\n".join(labels), "model": model, "target": next(iter(texts), "")}
        return Choice(controls.study(Analyse, values, **inputs), f"{card.start:.1f} to {card.end:.1f} s")

    job = start(index.click, make_index, [place, seconds, step, controls.model], [status], _summary, seconds=LONG)
    stop(cancel, [job], status, STOPPED)
    query, outputs = [place, controls.model, text, opposite, like, *filters], [moments, state, opened.box]
    picked = moments.input(guarded(like_path), state, like, **INSTANT)
    triggers = [find.click, text.submit, opposite.submit, like.submit, picked.success]
    jobs = [start(trigger, search, query, outputs, show) for trigger in triggers]
    jobs.append(start(group.click, cluster, [place, controls.model, count, same], outputs, show))
    stop(cancel, jobs, moments)
    tag.click(guarded(tag_cards), [ticked, name, state], moments, js=_TICKED, **PRIVATE)
    opened.open_on(moments, choose, [state, *controls])


def strip(arguments: list[Any]) -> str:
    """Frames of a moment side by side, for [index, path, start, end, length]; empty if it cannot be read."""
    try:
        index, path, start, end, length = arguments
        times = float(start), float(end), float(length)
        return html.film_strip(actions.strip_images(str(index), str(path), *times, html.STRIP_FRAMES))
    except UserError:
        return ""


def _write_file(services: Services, write: Any, result: CardGroups) -> str:
    return str(write(result, services.scratch()))


def _summary(index: Document) -> list[str]:
    lines = [f"{escape(path)}: {escape(reason)}" for path, reason in list(index["skipped"].items())[:50]]
    counts = f"{index['clips']} videos, {index['windows']} windows, with {escape(index['model'])}."
    skipped = f"<details><summary>{len(index['skipped'])} could not be read</summary>{'<br>'.join(lines)}</details>"
    return [f'<p class="ez-note">{escape(index["index"])}: {counts}</p>{skipped if lines else ""}']
