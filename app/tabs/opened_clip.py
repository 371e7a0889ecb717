"""A clip that a tab opens: what both models say of it, their maps, how far to trust them, and a file to take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from app import widgets
from app.actions.report import report_files
from app.downloads import download_button
from app.jobs import PROOF, UNMEASURED, start, stop
from app.services import Services
from app.tabs.take_away import proofs_of
from app.zero_gpu import on_gpu
from ezclip.progress import Step
from ezclip.studies.analysis import Analysis, Request, analyse
from ezclip.studies.faithfulness import MapProof, prove, truth

# A click or Enter on anything that has data-row is heard as "select".
CHOOSE = """const choose = e => { const p = e.target.closest('[data-row]');
    const heard = e.type == 'click' || e.key == 'Enter' && p?.tagName != 'BUTTON';
    if (p && heard) trigger('select', {row: +p.dataset.row}) };
    element.addEventListener('click', choose); element.addEventListener('keydown', choose)"""


def _chosen(event: gr.EventData) -> tuple[int, Any]:
    """The data-row that was chosen, and the box, which is there from now on."""
    return int(event._data["row"]), gr.Column(visible=True)


class OpenedClip:
    """Laid out empty; a choice in an HTML whose ``js_on_load`` is ``CHOOSE`` fills it."""

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        with gr.Column(visible=False) as self.box:
            self.cancel = gr.Button("Cancel", size="sm", elem_id=f"{name}-clip-cancel")
            self.shown = gr.HTML("", elem_id=f"{name}-clip")
            self.proof = gr.HTML("", elem_id=f"{name}-proof")
            self.analysis, self.known = gr.State(None), gr.State(None)
            label = "Take this clip and its maps away (zip)"
            make = partial(_archive, services)
            download_button(label, f"{name}-clip-archive", make, [self.analysis, self.known])

    def open_on(
        self,
        places: gr.HTML,
        choose: Callable[..., tuple[Request, str, str]],
        inputs: list[Any],
        video: gr.Video,
    ) -> None:
        """Open the clip that is chosen, put it into the player, and measure its maps behind.

        Args:
            places: where it is chosen.
            choose: (data-row, values of ``inputs``) -> (what to analyse, the clip's own label, HTML above the maps).
            inputs: components.
            video: the player.
        """
        row = gr.State(0)
        picked = places.select(_chosen, None, [row, self.box], queue=False, api_visibility="private")

        def steps(*values: Any) -> Iterator[Any]:
            request, label, above = choose(*values)
            for step in analyse(self.services, request):
                yield step if isinstance(step, Step) else (step, label, above)

        def show(found: tuple[Analysis, str, str]) -> list[Any]:
            analysis, label, above = found
            shown = above + widgets.opened_clip(analysis, label)
            return [shown, widgets.proof(analysis, truth(analysis)), analysis, analysis.request.path]

        def measure(analysis: Analysis) -> Iterator[Any]:
            for html, found in proof_steps(self.services, analysis):
                yield html, (analysis, found) if found else gr.skip()

        outputs = [self.shown, self.proof, self.analysis, video]
        opened = start(picked.success, steps, [row, *inputs], outputs, show)
        told = [self.proof, self.known]
        proved = opened.success(on_gpu(measure), self.analysis, told, show_progress="hidden", **PROOF)
        places.select(None, None, None, cancels=[opened, proved], queue=False, api_visibility="private")
        stopped = stop(self.cancel, [opened, proved], self.shown)
        stopped.then(None, self.proof, self.proof, js=UNMEASURED, queue=False, api_visibility="private")


def _archive(services: Services, analysis: Analysis, known: Any) -> str:
    return report_files(services, analysis, proofs_of(analysis, known), with_clip=True)[1]


def proof_steps(services: Services, analysis: Analysis) -> Iterator[tuple[str, list[MapProof] | None]]:
    """How far to trust an analysis's maps, as HTML and, once it is measured, as proofs."""
    known = truth(analysis)
    for step in prove(services, analysis):
        if isinstance(step, Step):
            yield widgets.proof(analysis, known, doing=step.doing), None
        else:
            yield widgets.proof(analysis, step), step
