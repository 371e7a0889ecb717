"""The stage on the page, and the samples: thumbnails that play on hover, with their stored stages."""

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
# The frame on the stage is marked wherever frames are listed, and the window of the time line whose middle is nearest
# among those that hold it; a click there brings it, or the frame nearest to the window's middle, onto the stage. The
# page's URL stores the sample that is on the stage, its direction and, while it stands still, its frame.
_LINKED = """
const remember = (doc, direction, slot) => {
    const u = new URL(location), clip = STEMS[doc.film], frame = slot === null ? null : slot + 1;
    for (const [k, v] of Object.entries({clip, direction, frame}))
        clip && v ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    if (u.href !== location.href) history.replaceState(null, '', u) };
const LISTS = '.ez-linked, .ez-time';
const apart = (window, second) => Math.abs((+window.dataset.second + +window.dataset.end) / 2 - second);
let shown = -1;
const mark = () => {
    const {doc} = stage.state, second = doc?.seconds[shown];
    document.querySelectorAll('.ez-linked [data-t]').forEach(e => e.classList.toggle('ez-on', +e.dataset.t === shown));
    document.querySelectorAll('.ez-time').forEach(time => {
        const all = [...time.querySelectorAll('[data-end]')], same = doc && time.dataset.film === doc.film;
        const holds = all.filter(w => same && +w.dataset.second <= second && second <= +w.dataset.end);
        const best = holds.sort((a, b) => apart(a, second) - apart(b, second))[0]?.dataset.second;
        all.forEach(w => w.classList.toggle('ez-on', w.dataset.second === best)) }) };
const stage = ezStage(element.querySelector('.ezs-root'), {onSample: t => { shown = t; mark() }, onRest: remember,
    reads: (doc, i, direction, t, patch) => server.reads([doc.key, doc.models[i].name, direction, t, patch])});
document.addEventListener('click', event => {
    const cell = event.target.closest('.ez-linked [data-t]');
    if (cell) stage.go(+cell.dataset.t);
    const window = event.target.closest('.ez-time [data-end]'), {doc} = stage.state;
    if (window && doc && window.closest('.ez-time').dataset.film === doc.film) {
        const distances = doc.seconds.map(second => apart(window, second));
        stage.go(distances.indexOf(Math.min(...distances))) } });
const drawn = change => change.target.closest?.(LISTS) || [...change.addedNodes].some(node =>
    node.matches?.(LISTS) || node.querySelector?.(LISTS));
new MutationObserver(changes => changes.some(drawn) && mark())
    .observe(document.body, {childList: true, subtree: true, attributeFilter: ['class']});
"""
_SHOWN = """watch('value', () => stage.update(props.value)); stage.update(props.value);
element.querySelector('.ezs-root').stage = stage;"""
_PLAYED = """element.addEventListener('mouseover', e => e.target.closest('[data-row]')?.classList.add('ez-playing'));
element.addEventListener('mouseout', e => e.target.closest('[data-row]')?.classList.remove('ez-playing'));
"""


class Sample(NamedTuple):
    """A shipped clip with its stored stage."""

    path: str
    title: str
    stage: Document

    @property
    def T(self) -> int:
        """Number of frames that the models take."""
        return len(self.stage["seconds"])

    @property
    def right(self) -> tuple[bool, bool]:
        """Whether the baseline and the model name what happens."""
        first, last = (one["answers"][0]["label"] for one in self.stage["results"]["forward"])
        true = self.stage["truth"].get("forward")
        return first == true, last == true

    @property
    def clear(self) -> float:
        """How clearly the model alone is right in both directions; for order."""
        truth, results = self.stage["truth"], self.stage["results"]
        scores = []
        for direction, true in truth.items():
            base, model = (one["answers"][0] for one in results[direction])
            scores.append((model["label"] == true) * model["score"] - 0.5 * (base["label"] == true) * base["score"])
        return min(scores) if len(truth) > 1 else min(scores) - 1


def samples() -> list[Sample]:
    """The shipped clips that have a stored stage: those that the model gets right first, the clearest ahead."""
    found = []
    for path in sorted(SAMPLES.glob("*.mp4")):
        stored = STAGES / f"{path.stem}.json"
        if stored.is_file():
            title = path.stem.partition("_")[2].replace("_", " ")
            found.append(Sample(str(path), title, json.loads(stored.read_text("utf-8"))))
    return sorted(found, key=lambda sample: (not sample.right[1], -sample.clear))


def restored(found: list[Sample], asked: Mapping[str, str]) -> Sample | None:
    """The sample that an address asks for, its stage with where it starts; None if it asks for none that there is."""
    sample = next((one for one in found if Path(one.path).stem == asked.get("clip")), None)
    if sample is None:
        return None
    direction, frame = asked.get("direction", ""), asked.get("frame", "")
    start: Document = {"direction": direction if direction in orders(sample.T) else FORWARD}
    if frame.isdecimal() and 1 <= int(frame) <= sample.T:
        start["slot"] = int(frame) - 1
    return sample._replace(stage=sample.stage | {"start": start})


def stage_box(
    document: Document | None, elem_id: str, found: Sequence[Sample] = (), reads: Callable[..., Document] | None = None
) -> gr.HTML:
    """The component; its values are documents of ``studies.stage.document``.

    The one with ``reads``, see ``patch_sources``, is linked with the other lists of frames on the page and, where it
    plays one of the samples ``found``, with the address.
    """
    names = json.dumps({one.stage["film"]: Path(one.path).stem for one in found})
    start = _LINKED.replace("STEMS", names) if reads else "const stage = ezStage(element.querySelector('.ezs-root'));"
    place = '<div class="ezs-root"></div>'
    functions = {"server_functions": [reads]} if reads else {}
    options: Keywords = functions | {"html_template": place, "apply_default_css": False, "elem_id": elem_id}
    return gr.HTML(document, js_on_load=script() + start + _SHOWN, **options)


def sample_gallery(found: list[Sample], choose: str) -> gr.HTML:
    """A button for each sample, the model's failures under their own heading; triggers "select" by ``choose``."""
    right = [(i, s.title, _thumbnail(s.stage)) for i, s in enumerate(found) if s.right[1]]
    wrong = [(i, s.title, _thumbnail(s.stage)) for i, s in enumerate(found) if not s.right[1]]
    return gr.HTML(html.samples(right, wrong), elem_id="samples", apply_default_css=False, js_on_load=_PLAYED + choose)


def patch_sources(services: Services, found: list[Sample]) -> Callable[..., Document]:
    """What a click on a patch asks for: [key of a stage, model, direction, t, patch] -> ``patch_reads``."""

    def reads(asked: list[Any]) -> Document:
        try:
            key, model, direction, t, patch = asked
            sample = next((one for one in found if one.stage["key"] == key), None)
            clip = services.decoded(str(key)) if sample is None else finish(services.clip(sample.path, sample.T))
            return patch_reads(services, clip, str(model), str(direction), int(t), int(patch))
        except Exception as error:
            return {"text": str(as_user_error(error))}

    return on_gpu(reads, INSTANT)


def _thumbnail(document: Document) -> str:
    """Some frames of a stored film side by side, as a data address."""
    film = document["films"][document["film"]]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(film["picture"].partition(",")[2]))))
    width, height = film["width"], film["height"]
    places = [(i // film["columns"] * height, i % film["columns"] * width) for i in range(len(film["seconds"]))]
    return film_strip(np.stack([sheet[top : top + height, left : left + width] for top, left in places]))
