"""Tab: models that can be fetched, with their downloads, and files downloaded with a browser; a link to the tab."""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import html, texts
from app.controls import Controls
from app.events import INSTANT, guarded
from app.services import Services
from ezclip.checkpoints.gallery import SUGGESTED, find_offer, offers
from ezclip.errors import UserError
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.stage.document import out_of_domain
from ezclip.types import Keywords

_POLL = 0.5  # seconds between updates while a download runs
_PRESS = """element.addEventListener('click', e => { const b = e.target.closest('button[data-offer]');
    if (b) trigger('select', {offer: b.dataset.offer, action: b.dataset.action}) })"""
# Opens the tab through the handler of the browser's Back button.
_LEAD = """element.addEventListener('click', e => { if (!e.target.closest('button')) return;
    const u = new URL(location); u.searchParams.set('tab', 'models'); history.pushState(null, '', u);
    dispatchEvent(new PopStateEvent('popstate')) })"""


def models_tab(services: Services, controls: Controls, further: list[Any]) -> None:
    """Lay out the tab and register its handlers; downloads run on the server, so a reload shows them again.

    A downloaded model is selected in ``controls``, and listed there and in the dropdowns ``further``.
    """
    jobs = services.fetching
    with gr.Tab(texts.TABS["models"], id="models"):
        gr.Markdown(texts.MODELS)
        offers_html = gr.HTML(html.offers(jobs.jobs), elem_id="offers", js_on_load=_PRESS)
        with gr.Accordion("Use a file that you downloaded in a browser", open=False):
            names = [(f"{offer.title} ({offer.name})", offer.name) for offer in offers()]
            which = gr.Dropdown(names, value=None, label="The model of the file", elem_id="offer-of-file")
            file = gr.File(label="Its weights (.pt, .safetensors or .bin)", elem_id="offer-file", height=110)
            use = gr.Button("Use this file", elem_id="offer-use")
    timer, count = gr.Timer(_POLL, active=False), gr.State(0)  # of finished downloads known to the page
    lists = [controls.model, controls.baseline, *further]
    outputs = [offers_html, timer, count, *lists]

    def update(before: int, select: bool = True) -> list[Any]:
        """The list and the timer, and after a download the choices of models, with the new one selected."""
        now, boxes = len(jobs.fetched), [gr.skip() for _ in lists]
        if now > before:
            names = services.model_names()
            selection: Keywords = {"value": jobs.fetched[-1]} if select else {}
            boxes = [gr.Dropdown(names, **selection), *(gr.Dropdown(names) for _ in lists[1:])]
        return [html.offers(jobs.jobs), gr.Timer(active=jobs.running()), now, *boxes]

    def pressed(before: int, event: gr.EventData) -> list[Any]:
        offer = find_offer(str(event._data["offer"]))
        (jobs.cancel if event._data["action"] == "cancel" else jobs.get)(offer)
        return update(before)

    def dropped(name: str | None, path: str | None, before: int) -> list[Any]:
        if not name or not path:
            raise UserError("Choose the model and drop its file here.")
        jobs.adopt(find_offer(name), Path(path))
        return update(before)

    options: Keywords = INSTANT | {"show_progress": "hidden"}
    offers_html.select(pressed, count, outputs, **options)
    use.click(guarded(dropped), [which, file, count], outputs, **options)
    timer.tick(update, count, outputs, **options)
    gr.on(None, partial(update, select=False), count, outputs, **options)


class Suggestion:
    """One line below the stage with a link to the tab, for clips outside the training domain of the shipped models."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.outputs = [gr.HTML("", elem_id="suggestion", js_on_load=_LEAD)]

    def show(self, analysis: Analysis, before: Analysis | None) -> list[str]:
        """The line, or nothing."""
        offer = find_offer(SUGGESTED)
        in_domain = not out_of_domain(analysis.study["clip"], [r.identity for r in analysis.results])
        if not self.services.local or in_domain or offer.is_local():
            return [""]
        get = f"Get {offer.title}, {offer.size}, {offer.licence}"
        button = f'<button type="button" class="ez-link">{escape(get)}</button>'
        return [f"These models were trained on drawn scenes only. {button}"]
