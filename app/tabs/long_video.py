"""Tab: scores over a long video, and of a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from app import texts, widgets
from app.actions.long_video import Timeline, over_time
from app.actions.report import Found
from app.controls import Controls
from app.feedback import guarded
from app.jobs import start, stop
from app.services import Services
from app.tabs.take_away import StudyArchive
from app.zero_gpu import on_gpu
from ezclip.progress import Step
from ezclip.studies.live import Live, score_live

EMPTY = "A window slides over the video in the player; its scores are drawn as they come. Click a moment to go there."
CAMERA = "Allow the camera and press Record: the newest window is scored again and again."
_SEEK = (
    "element.addEventListener('click', e => { const c = e.target.closest('[data-second]');"
    " if (c) trigger('select', {second: +c.dataset.second}) })"
)


class LongVideoTab:
    """Wired by itself."""

    def __init__(self, services: Services, controls: Controls) -> None:
        with gr.Tab(texts.TABS["long"], id="long"):
            with gr.Row():
                seconds = gr.Number(2.0, label="Window (s)", minimum=0.2, maximum=60, elem_id="window")
                step = gr.Number(1.0, label="A window every (s)", minimum=0.1, maximum=60, elem_id="window-step")
                run = gr.Button("Slide over the video", elem_id="slide")
                cancel = gr.Button("Cancel", elem_id="slide-cancel")
            status = gr.HTML("", elem_id="slide-status")
            timeline = gr.HTML(widgets.empty(EMPTY), elem_id="timeline", js_on_load=_SEEK)
            archive = StudyArchive(services, "timeline")
            with gr.Accordion("Camera", open=False):
                camera = gr.Image(
                    sources=["webcam"], streaming=True, type="numpy", label="Camera", height=240, elem_id="camera"
                )
                live_scores = gr.HTML(widgets.empty(CAMERA), elem_id="live")
                live = gr.State(None)

        def slide(window: float, every: float, *values: Any) -> Iterator[Any]:
            request = controls.request(*values)
            verb = ("--seconds", f"{window}", "--step", f"{every}", "--out", "scores")
            for found in over_time(services, request, window or 0, every or 0):
                yield found if isinstance(found, Step) else (found, verb)

        def show(result: tuple[Timeline, tuple[str, ...]]) -> list[Any]:
            found, options = result
            r = found.request
            verb = ("scan", Path(str(r.path)).name, "--model", r.model, "--baseline", r.baseline, *options)
            told = f"Done; windows: {len(found.moments)}." if found.whole else gr.skip()
            return [told, widgets.timeline(found), Found(found.report, verb, tuple(r.models), (str(r.path),), r)]

        job = start(run.click, slide, [seconds, step, *controls.inputs], [status, timeline, archive.state], show)
        stop(cancel, [job], status, "Cancelled. What was scored so far stays.")

        def seek(event: gr.EventData) -> Any:
            return gr.Video(playback_position=float(event._data["second"]))

        timeline.select(seek, None, controls.video, api_visibility="private")

        def stream(image: np.ndarray | None, window: float, held: Live | None, *values: Any) -> Any:
            if image is None:
                return held, gr.skip()
            held = held or Live()
            held.add(image, window or 2.0)
            return held, widgets.live(score_live(services, controls.request(*values), held))

        camera.stream(
            on_gpu(guarded(stream)), [camera, seconds, live, *controls.inputs], [live, live_scores],
            stream_every=0.2, time_limit=120, show_progress="hidden", concurrency_id="live", concurrency_limit=4,
            api_visibility="private",
        )  # fmt: skip
