"""Tab: models that can be fetched, their downloads, and files that a browser downloaded; a line that leads there."""

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
from ezclip.studies.stage.document import undrawn
from ezclip.types import Keywords

_POLL = 0.5  # seconds between two looks at running downloads
_PRESS = """element.addEventListener('click', e => { const b = e.target.closest('button[data-offer]');
    if (b) trigger('select', {offer: b.dataset.offer, action: b.dataset.action}) })"""
# The page opens a tab as it does on the browser's Back.
_LEAD = """element.addEventListener('click', e => { if (!e.target.closest('button')) return;
    const u = new URL(location); u.searchParams.set('tab', 'models'); history.pushState(null, '', u);
    dispatchEvent(new PopStateEvent('popstate')) })"""


def models_tab(services: Services, controls: Controls, further: list[Any]) -> None:
    """Lay out the tab and register its handlers; the downloads belong to the server, so a reload shows them again.

    A model that came is chosen in ``controls`` and listed there and in the dropdowns ``further``.
    """
    jobs = services.fetching
    with gr.Tab(texts.TABS["models"], id="models"):
        gr.Markdown(texts.MODELS)
        listed = gr.HTML(html.offers(jobs.jobs), elem_id="offers", js_on_load=_PRESS)
        with gr.Accordion("Use a file that you downloaded in a browser", open=False):
            names = [(f"{offer.title} ({offer.name})", offer.name) for offer in offers()]
            which = gr.Dropdown(names, value=None, label="The model of the file", elem_id="offer-of-file")
            file = gr.File(label="Its weights (.pt, .safetensors or .bin)", elem_id="offer-file", height=110)
            use = gr.Button("Use this file", elem_id="offer-use")
    timer, seen = gr.Timer(_POLL, active=False), gr.State(0)
    lists = [controls.model, controls.baseline, *further]
    outputs = [listed, timer, seen, *lists]

    def shown(before: int, select: bool = True) -> list[Any]:
        """The list, whether to look again, and after a download the models to choose from, the new one chosen."""
        now, boxes = len(jobs.fetched), [gr.skip() for _ in lists]
        if now > before:
            names = services.model_names()
            chosen: Keywords = {"value": jobs.fetched[-1]} if select else {}
            boxes = [gr.Dropdown(names, **chosen), *(gr.Dropdown(names) for _ in lists[1:])]
        return [html.offers(jobs.jobs), gr.Timer(active=jobs.running()), now, *boxes]

    def pressed(before: int, event: gr.EventData) -> list[Any]:
        offer = find_offer(str(event._data["offer"]))
        (jobs.cancel if event._data["action"] == "cancel" else jobs.get)(offer)
        return shown(before)

    def dropped(name: str | None, path: str | None, before: int) -> list[Any]:
        if not name or not path:
            raise UserError("Choose the model and drop its file here.")
        jobs.adopt(find_offer(name), Path(path))
        return shown(before)

    options: Keywords = INSTANT | {"show_progress": "hidden"}
    listed.select(pressed, seen, outputs, **options)
    use.click(guarded(dropped), [which, file, seen], outputs, **options)
    timer.tick(shown, seen, outputs, **options)
    gr.on(None, partial(shown, select=False), seen, outputs, **options)


class Suggestion:
    """One line under the stage that leads to the tab where a clip lies outside what the shipped models know."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.outputs = [gr.HTML("", elem_id="suggestion", js_on_load=_LEAD)]

    def show(self, analysis: Analysis, before: Analysis | None) -> list[str]:
        """The line, or nothing."""
        offer = find_offer(SUGGESTED)
        known = not undrawn(analysis.study["clip"], [r.identity for r in analysis.results])
        if not self.services.typed or known or offer.here():
            return [""]
        get = f"Get {offer.title}, {offer.size}, {offer.licence}"
        button = f'<button type="button" class="ez-link">{escape(get)}</button>'
        return [f"These models were trained on drawn scenes only. {button}"]
