"""Tab: scores over time of a long video or a camera."""

from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from app import html, texts
from app.controls import Controls, control
from app.events import PRIVATE, SESSION_SIDE, guarded, start, stop
from app.services import Services
from app.stale import Stale
from app.tabs.export import StudyExport
from app.zero_gpu import LONG, on_gpu
from ezclip.progress import Progress, Steps, Watch
from ezclip.studies.host import digest
from ezclip.studies.live import FrameBuffer, ScoreLive
from ezclip.studies.timeline import ScoreTimeline, Timeline
from ezclip.types import Keywords
from ezclip.video.pictures import thumbnail

EMPTY = "A window slides over the video in the player; its scores are drawn as they come. Click a window to seek to it."
LIVE_SECONDS = 600  # lifetime of a camera's window after its last frame
CAMERA = "Allow the camera and press Record: the newest window is scored continuously."
_SEEK = (
    "element.addEventListener('click', e => { const c = e.target.closest('[data-second]');"
    " if (c) trigger('select', {second: +c.dataset.second}) })"
)


def long_video_tab(services: Services, controls: Controls) -> None:
    """Lay out the tab and register its handlers."""
    number = partial(control, ScoreTimeline)
    with gr.Tab(texts.TABS["long"], id="long"):
        with gr.Row():
            seconds, step = number("seconds", elem_id="window"), number("step", elem_id="window-step")
            run = gr.Button("Score the video over time", elem_id="timeline-run")
            cancel = gr.Button("Cancel", elem_id="timeline-cancel")
        status = gr.HTML("", elem_id="timeline-status")
        stale = Stale()
        timeline = gr.HTML(html.empty(EMPTY), elem_id="timeline", js_on_load=_SEEK)
        export = StudyExport(services, "timeline")
        with gr.Accordion("Camera", open=False):
            live_view: Keywords = {"sources": ["webcam"], "streaming": True, "type": "numpy"}
            camera = gr.Image(label="Camera", height=240, elem_id="camera", **live_view)
            live_scores = gr.HTML(html.empty(CAMERA), elem_id="live")
            live = gr.State(None, time_to_live=LIVE_SECONDS)

    def study(window: float, every: float, *values: Any) -> ScoreTimeline:
        return controls.study(ScoreTimeline, values, seconds=window or 0, step=every or 0)

    def work(*values: Any) -> Steps[tuple[Timeline, str, bool]]:
        request = study(*values)
        watch, film = Watch(services.run(request)), ""
        for progress in watch:
            if progress.partial is not None:
                film = film or digest(request.clip)
                yield Progress(progress.fraction, progress.message, (progress.partial, film, False))
            yield Progress(progress.fraction, progress.message)
        return watch.result, film or digest(request.clip), True

    def show(update: tuple[Timeline, str, bool]) -> list[Any]:
        result, film, complete = update
        done = f"Done; windows: {len(result.moments)}." if complete else gr.skip()
        return [done, html.timeline(result, film), result]

    inputs = [seconds, step, *controls]
    job = start(stale.trigger(run.click), work, inputs, [status, timeline, export.state], show, seconds=LONG)
    stop(cancel, [job], status, "Cancelled. The scores so far are kept.")
    stale.watch([job], study, inputs, export.state)

    def seek(event: gr.EventData) -> Any:
        return gr.Video(playback_position=float(event._data["second"]))

    timeline.select(seek, None, controls.video, **PRIVATE)

    def stream(image: np.ndarray | None, window: float, buffer: FrameBuffer | None, *values: Any) -> Any:
        if image is None:
            return buffer, gr.skip()
        request = controls.study(ScoreLive, values, seconds=window or 2.0)
        buffer = buffer or FrameBuffer()
        buffer.add(thumbnail(image, SESSION_SIDE), request.seconds)
        return buffer, html.live(request.score(services, buffer))

    camera.stream(
        on_gpu(guarded(stream)), [camera, seconds, live, *controls], [live, live_scores],
        stream_every=0.2, time_limit=120, show_progress="hidden", concurrency_id="live", concurrency_limit=4,
        **PRIVATE,
    )  # fmt: skip
