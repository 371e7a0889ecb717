"""A clip opened from a gallery or a plot: predictions and maps of both models, faithfulness, and an export."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from app import html
from app.events import BACKGROUND, INSTANT, UNMEASURED, download_button, start, stop
from app.services import Services
from app.stage import patch_reader, stage_box
from app.tabs.attention import measured_faithfulness
from app.tabs.export import complete, newest, page_and_archive
from app.zero_gpu import LONG, on_gpu
from ezclip.progress import Steps, Watch
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.stage.document import film_or_stills, films_of, stage
from ezclip.types import Document

# A click or Enter on an element with data-row triggers "select".
CHOOSE = """const choose = e => { const p = e.target.closest('[data-row]');
    const pressed = e.type == 'click' || e.key == 'Enter' && p?.tagName != 'BUTTON';
    if (p && pressed) trigger('select', {row: +p.dataset.row}) };
    element.addEventListener('click', choose); element.addEventListener('keydown', choose)"""

_TO_CLIP = "() => document.querySelector('#{}')?.scrollIntoView({{behavior: 'smooth', block: 'center'}})"


class Choice(NamedTuple):
    """A chosen clip: the study to run, the true label, the family, and the accuracies measured on the family."""

    study: Analyse
    label: str
    family: str = ""
    accuracy: Document | None = None


def _chosen(event: gr.EventData) -> tuple[int, Any]:
    """The chosen data-row, and an update that makes the box visible."""
    return int(event._data["row"]), gr.Column(visible=True)


class OpenedClip:
    """A box that stays hidden until a clip is chosen in a gr.HTML with ``CHOOSE`` in its ``js_on_load``."""

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        with gr.Column(visible=False) as self.box:
            self.cancel = gr.Button("Cancel", size="sm", elem_id=f"{name}-clip-cancel")
            self.content = gr.HTML("", elem_id=f"{name}-clip")
            self.stage = stage_box(None, f"{name}-stage", patch_reader(services))
            self.faithfulness = gr.HTML("", elem_id=f"{name}-faithfulness")
            self.analysis, self.measured = (gr.State(None, time_to_live=3600) for _ in range(2))

            def make(analysis: Analysis, measured: Analysis | None) -> str:
                analysis = complete(services, newest(analysis, measured))
                return page_and_archive(services, "ezclip-report", analysis, clips=(analysis.study["clip"],))[1]

            title = "Export this clip and its maps (zip)"
            download_button(title, f"{name}-clip-archive", make, [self.analysis, self.measured])

    def open_on(self, source: gr.HTML, choose: Callable[..., Choice], inputs: list[Any]) -> None:
        """Open the clip chosen in ``source`` and measure its maps in the background; the player does not change.

        ``choose`` takes the data-row and the values of ``inputs``.
        """
        row = gr.State(0)
        picked = source.select(_chosen, None, [row, self.box], **INSTANT)
        picked.success(None, None, None, js=_TO_CLIP.format(self.content.elem_id), **INSTANT)

        def work(*values: Any) -> Steps[tuple[Analysis, Choice]]:
            choice = choose(*values)
            watch = Watch(self.services.run(choice.study.replace(orders=True)))
            for step in watch:
                yield replace(step, partial=None)  # show all orders at once
            return watch.result, choice

        def show(result: tuple[Analysis, Choice]) -> list[Any]:
            analysis, choice = result
            content = html.opened_clip(analysis, *choice[1:])
            document = stage(analysis, film_or_stills(analysis, partial(films_of, analysis.study["clip"])))
            return [content, html.faithfulness(analysis), analysis, document]

        outputs = [self.content, self.faithfulness, self.analysis, self.stage]
        opened = start(picked.success, work, [row, *inputs], outputs, show)
        measure = partial(measured_faithfulness, self.services)
        targets = [self.faithfulness, self.measured, self.stage]
        measuring = opened.success(on_gpu(measure, LONG), self.analysis, targets, show_progress="hidden", **BACKGROUND)
        source.select(None, None, None, cancels=[opened, measuring], **INSTANT)
        stopped = stop(self.cancel, [opened, measuring], self.content)
        stopped.then(None, self.faithfulness, self.faithfulness, js=UNMEASURED, **INSTANT)
