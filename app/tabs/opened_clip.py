"""A clip that a tab opens: what both models say of it, their maps, how far to trust them, and a file to take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from app import widgets
from app.jobs import start, stop
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.evaluation.analysis import Analysis, Request, analyse
from ezclip.evaluation.analysis_report import analysis_report
from ezclip.evaluation.jobs import Step
from ezclip.evaluation.proof import MapProof, prove, truth
from ezclip.evaluation.report import Report

# A click or Enter on anything that has data-row is heard as "select".
CHOOSE = """const choose = e => { const p = e.target.closest('[data-row]');
    const heard = e.type == 'click' || e.key == 'Enter' && p?.tagName != 'BUTTON';
    if (p && heard) trigger('select', {row: +p.dataset.row}) };
    element.addEventListener('click', choose); element.addEventListener('keydown', choose)"""
PROOF: dict[str, Any] = {"concurrency_id": "proof", "concurrency_limit": 1, "api_visibility": "private"}


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
            self.archive = StudyArchive(services, f"{name}-clip", "Take this clip's maps away (zip)")
        self.analysis = gr.State(None)

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
            known = truth(analysis)
            shown = above + widgets.opened_clip(analysis, label)
            return [shown, widgets.proof(analysis, known), analysis, _archive(analysis, known), analysis.request.path]

        def measure(analysis: Analysis) -> Iterator[Any]:
            for html, found in proof_steps(self.services, analysis):
                yield html, _archive(analysis, found) if found else gr.skip()

        outputs = [self.shown, self.proof, self.analysis, self.archive.state, video]
        opened = start(picked.success, steps, [row, *inputs], outputs, show)
        told = [self.proof, self.archive.state]
        proved = opened.success(on_gpu(measure), self.analysis, told, show_progress="hidden", **PROOF)
        places.select(None, None, None, cancels=[proved], queue=False, api_visibility="private")
        stop(self.cancel, [opened, proved], self.shown)


def proof_steps(services: Services, analysis: Analysis) -> Iterator[tuple[str, list[MapProof] | None]]:
    """How far to trust an analysis's maps, as HTML and, once it is measured, as proofs."""
    known = truth(analysis)
    for step in prove(services, analysis):
        if isinstance(step, Step):
            yield widgets.proof(analysis, known, doing=step.doing), None
        else:
            yield widgets.proof(analysis, step), step


def _archive(analysis: Analysis, proofs: list[MapProof]) -> tuple[Callable[[dict[str, str]], Report], Request]:
    """What ``StudyArchive`` takes."""
    return partial(_report, analysis, proofs), analysis.request


def _report(analysis: Analysis, proofs: list[MapProof], _: dict[str, str]) -> Report:
    """The analysis's own report, which says by itself what made it."""
    return analysis_report(analysis, proofs)
