"""The stage, and the samples: thumbnails that play on hover, with precomputed stages."""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from app import html
from app.html.pieces import film_strip
from app.services import Services
from app.zero_gpu import INSTANT, on_gpu
from ezclip.errors import as_user_error
from ezclip.figures.stage import script
from ezclip.files import shipped
from ezclip.progress import finish
from ezclip.studies.stage.directions import FORWARD, orders
from ezclip.studies.stage.reads import patch_reads
from ezclip.types import Document, Keywords

SAMPLES, STAGES = shipped("assets") / "samples", shipped("assets") / "stage"
_READS = """
const reads = (doc, i, direction, t, patch) => server.reads([doc.key, doc.models[i].name, direction, t, patch]);
"""
_UNLINKED = "const stage = ezStage(element.querySelector('.ezs-root'), {reads});"
# Link the stage with the other lists of frames. The current frame is highlighted in all of them, and in the time line
# the window with the nearest centre among those that contain it. A click on a frame, or on a window (the frame nearest
# to its centre), moves the stage there. The URL stores the sample, its direction and, while paused, its frame.
_LINKED = """
const remember = (doc, direction, slot) => {
    const u = new URL(location), clip = STEMS[doc.film], frame = slot === null ? null : slot + 1;
    for (const [k, v] of Object.entries({clip, direction, frame}))
        clip && v ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    if (u.href !== location.href) history.replaceState(null, '', u) };
const LISTS = '.ez-linked, .ez-time';
const distance = (window, second) => Math.abs((+window.dataset.second + +window.dataset.end) / 2 - second);
let frame = -1;
const mark = () => {
    const {doc} = stage.state, second = doc?.seconds[frame];
    document.querySelectorAll('.ez-linked [data-t]').forEach(e => e.classList.toggle('ez-on', +e.dataset.t === frame));
    document.querySelectorAll('.ez-time').forEach(time => {
        const all = [...time.querySelectorAll('[data-end]')], same = doc && time.dataset.film === doc.film;
        const hits = all.filter(w => same && +w.dataset.second <= second && second <= +w.dataset.end);
        const best = hits.sort((a, b) => distance(a, second) - distance(b, second))[0]?.dataset.second;
        all.forEach(w => w.classList.toggle('ez-on', w.dataset.second === best)) }) };
const stage = ezStage(element.querySelector('.ezs-root'), {onSample: t => { frame = t; mark() },
    onRest: remember, reads});
document.addEventListener('click', event => {
    const cell = event.target.closest('.ez-linked [data-t]');
    if (cell) stage.go(+cell.dataset.t);
    const window = event.target.closest('.ez-time [data-end]'), {doc} = stage.state;
    if (window && doc && window.closest('.ez-time').dataset.film === doc.film) {
        const distances = doc.seconds.map(second => distance(window, second));
        stage.go(distances.indexOf(Math.min(...distances))) } });
const inLists = change => change.target.closest?.(LISTS) || [...change.addedNodes].some(node =>
    node.matches?.(LISTS) || node.querySelector?.(LISTS));
new MutationObserver(changes => changes.some(inLists) && mark())
    .observe(document.body, {childList: true, subtree: true, attributeFilter: ['class']});
"""
_UPDATE = """watch('value', () => stage.update(props.value)); stage.update(props.value);
element.querySelector('.ezs-root').stage = stage;"""
_PLAY_ON_HOVER = """
element.addEventListener('mouseover', e => e.target.closest('[data-row]')?.classList.add('ez-playing'));
element.addEventListener('mouseout', e => e.target.closest('[data-row]')?.classList.remove('ez-playing'));
"""


class Sample(NamedTuple):
    """A shipped clip with its precomputed stage."""

    path: str
    title: str
    stage: Document

    @property
    def T(self) -> int:
        """Number of input frames of the models."""
        return len(self.stage["seconds"])

    @property
    def correct(self) -> tuple[bool, bool]:
        """Whether the top label of the baseline, and of the model, is the true one."""
        first, last = (result["answers"][0]["label"] for result in self.stage["results"]["forward"])
        label = self.stage["truth"].get("forward")
        return first == label, last == label

    @property
    def advantage(self) -> float:
        """How clearly only the model is correct in both directions; a sort key."""
        truth, results = self.stage["truth"], self.stage["results"]
        scores = []
        for direction, label in truth.items():
            base, model = (result["answers"][0] for result in results[direction])
            scores.append((model["label"] == label) * model["score"] - 0.5 * (base["label"] == label) * base["score"])
        return min(scores) if len(truth) > 1 else min(scores) - 1


def samples() -> list[Sample]:
    """The shipped clips with a precomputed stage: first those that the model classifies correctly, by advantage to one
    digit; of these first those that the baseline also classifies correctly, so reversing makes the difference, and
    short labels.
    """
    loaded = []
    for path in sorted(SAMPLES.glob("*.mp4")):
        document = STAGES / f"{path.stem}.json"
        if document.is_file():
            title = path.stem.partition("_")[2].replace("_", " ")
            loaded.append(Sample(str(path), title, json.loads(document.read_text("utf-8"))))
    return sorted(loaded, key=_rank)


def _rank(sample: Sample) -> tuple[bool, float, bool, int]:
    base, model = sample.correct
    return not model, -round(sample.advantage, 1), not base, len(sample.stage["truth"]["forward"])


def restore_sample(shipped_samples: list[Sample], query: Mapping[str, str]) -> Sample | None:
    """The sample named in the URL, with the start position of its stage; None if the URL names no sample."""
    sample = next((sample for sample in shipped_samples if Path(sample.path).stem == query.get("clip")), None)
    if sample is None:
        return None
    direction, frame = query.get("direction", ""), query.get("frame", "")
    start: Document = {"direction": direction if direction in orders(sample.T) else FORWARD}
    if frame.isdecimal() and 1 <= int(frame) <= sample.T:
        start["slot"] = int(frame) - 1
    return sample._replace(stage=sample.stage | {"start": start})


def stage_box(
    document: Document | None, elem_id: str, reads: Callable[..., Document], linked: Sequence[Sample] | None = None
) -> gr.HTML:
    """The component of a stage; its values are documents of ``studies.stage.document``.

    Args:
        document: its initial value.
        elem_id: of the component.
        reads: see ``patch_reader``.
        linked: the samples, for the main stage, which is linked with the other lists of frames on the page and, while
            it plays a sample, with the URL.
    """
    names = json.dumps({sample.stage["film"]: Path(sample.path).stem for sample in linked or ()})
    start = _READS + (_UNLINKED if linked is None else _LINKED.replace("STEMS", names))
    template = '<div class="ezs-root"></div>'
    options: Keywords = {"html_template": template, "apply_default_css": False, "elem_id": elem_id}
    return gr.HTML(document, js_on_load=script() + start + _UPDATE, server_functions=[reads], **options)


def sample_gallery(shipped_samples: list[Sample], choose: str) -> gr.HTML:
    """One button per sample, the model's failures under a separate heading; ``choose`` triggers "select"."""
    correct = [(i, s.title, _thumbnail(s.stage)) for i, s in enumerate(shipped_samples) if s.correct[1]]
    wrong = [(i, s.title, _thumbnail(s.stage)) for i, s in enumerate(shipped_samples) if not s.correct[1]]
    gestures = _PLAY_ON_HOVER + choose
    return gr.HTML(html.samples(correct, wrong), elem_id="samples", apply_default_css=False, js_on_load=gestures)


def patch_reader(services: Services, shipped_samples: Sequence[Sample] = ()) -> Callable[..., Document]:
    """The server function of a click on a patch: [stage key, model, direction, t, patch] -> ``patch_reads``."""

    def reads(arguments: list[Any]) -> Document:
        try:
            key, model, direction, t, patch = arguments
            sample = next((sample for sample in shipped_samples if sample.stage["key"] == key), None)
            clip = services.cached_clip(str(key)) if sample is None else finish(services.clip(sample.path, sample.T))
            return patch_reads(services, clip, str(model), str(direction), int(t), int(patch))
        except Exception as error:
            return {"text": str(as_user_error(error))}

    return on_gpu(reads, INSTANT)


def _thumbnail(document: Document) -> str:
    """Some frames of a film side by side, as a data URI."""
    film = document["films"][document["film"]]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(film["picture"].partition(",")[2]))))
    width, height = film["width"], film["height"]
    corners = [(i // film["columns"] * height, i % film["columns"] * width) for i in range(len(film["seconds"]))]
    return film_strip(np.stack([sheet[top : top + height, left : left + width] for top, left in corners]))
