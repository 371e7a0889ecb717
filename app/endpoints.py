"""The named endpoints: the public interface, whose changes CHANGELOG names. Each gives the numbers of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from app.actions import analysis as actions
from app.actions.classes import evaluate_classes, unpacked_zip
from app.actions.embeddings import frame_plane
from app.actions.evidence import motion_evidence
from app.actions.long_video import over_time
from app.services import Services
from app.zero_gpu import on_gpu
from ezclip.errors import UserError
from ezclip.evaluation.shipped import shipped_study
from ezclip.studies.analysis import Request, finish
from ezclip.studies.corruption import damage
from ezclip.studies.live import MOST_FRAMES, Live, score_live
from ezclip.text.templates import check_texts
from ezclip.video.corrupt import Corruption
from ezclip.video.pictures import read_picture

MOST_PREDICTIONS = 2000
Own = dict[str, str] | None


def add_endpoints(services: Services) -> None:
    """Add the endpoints; their inputs are components that the page does not show."""
    clip = gr.File(visible=False, label="clip")
    clips = gr.File(visible=False, label="clips", file_count="multiple")
    labels = gr.Textbox("", visible=False, label="labels")
    model = gr.Textbox(services.default, visible=False, label="model")
    baseline = gr.Textbox(services.baseline, visible=False, label="baseline")
    label = gr.Textbox("", visible=False, label="label")
    method = gr.Textbox("rollout", visible=False, label="method")
    projection = gr.Textbox("t-SNE", visible=False, label="projection")
    seconds = gr.Number(2.0, visible=False, label="seconds")
    step = gr.Number(1.0, visible=False, label="step")
    second_model = gr.Textbox("", visible=False, label="baseline")
    top_k = gr.Number(3, visible=False, label="top_k")
    shipped = [
        gr.Textbox(name, visible=False, label=which) for name, which in (("base", "baseline"), ("ezclip", "model"))
    ]
    texts = gr.Textbox("trained", visible=False, label="texts")
    sentences = gr.JSON({}, visible=False, label="sentences")
    worded = [texts, sentences]
    drawn = [
        gr.Textbox("mean", visible=False, label="fusion"),
        gr.Number(0, visible=False, label="start_layer"),
        gr.Number(0.0, visible=False, label="discard"),
        gr.Number(0.6, visible=False, label="opacity"),
        gr.Checkbox(False, visible=False, label="difference"),
    ]
    first_model = gr.Textbox("tabletop/prompts", visible=False, label="baseline")
    further = gr.Textbox("", visible=False, label="further")
    tables = [gr.File(visible=False, label=which) for which in ("first", "second")]
    prove = gr.Checkbox(False, visible=False, label="prove")
    strengths = [gr.Number(0.0, visible=False, label=kind.name) for kind in fields(Corruption)]
    archive = gr.File(visible=False, label="archive")
    answer = gr.JSON(visible=False, label="answer")
    files = gr.File(visible=False, label="files", file_count="multiple")

    def ask(*values: Any, **more: Any) -> Request:
        """A request for models that may be named here; nothing of another is looked at."""
        asked = Request(*values, **more)
        for name in asked.models:
            services.check(name)
        return asked

    def on_predict(clip: str, labels: str, model: str, texts: str, sentences: Own) -> dict[str, Any]:
        """Rank class names for a clip; the JSON of ``python -m ezclip predict --json``."""
        return actions.predict_json(services, ask(clip, labels, model=model, texts=texts, sentences=sentences or {}))

    def on_explain(
        clip: str, labels: str, model: str, baseline: str, label: str, method: str, prove: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """Attention maps of a clip; the JSON of ``python -m ezclip explain --json``, and its files."""
        asked = ask(clip, labels, baseline, model, target=label, method=method)
        return actions.explain_json(services, asked, prove=prove)

    def on_analyse(
        clip: str,
        labels: str,
        model: str,
        baseline: str,
        target: str,
        method: str,
        texts: str,
        sentences: Own,
        further: str,
        prove: bool,
        fusion: str,
        start_layer: float,
        discard: float,
        opacity: float,
        difference: bool,
    ) -> tuple[dict[str, Any], list[str]]:
        """Everything that the page shows of a clip; the JSON of ``python -m ezclip analyse --json``, and its files."""
        more = tuple(name.strip() for name in further.split(",") if name.strip())
        asked = ask(
            *(clip, labels, baseline, model, more, texts, sentences or {}, method),
            *(fusion, int(start_layer or 0), discard or 0.0, target, opacity, difference),
        )
        return actions.analysis_json(services, asked, measure=prove)

    def on_compare_tables(first: str, second: str) -> dict[str, Any]:
        """Two predictions.csv, or one and null, class by class; the JSON of ``python -m ezclip compare``."""
        from ezclip.studies.classes import study_tables

        given = [path for path in (first, second) if path]
        if not given:
            raise UserError("Give the predictions.csv of one model or of two.")
        return study_tables(given).as_json()

    def on_shipped(baseline: str, model: str) -> dict[str, Any]:
        """Two of the shipped models class by class on Tabletop Motion; the JSON of ``python -m ezclip compare A B``."""
        return shipped_study([baseline, model]).as_json()

    def on_models() -> list[dict[str, Any]]:
        """What is known and was measured of each model; the cards of ``python -m ezclip models --json``."""
        return [services.card(name) for name in services.model_names()]

    def on_live(
        frames: list[str], labels: str, model: str, baseline: str, texts: str, sentences: Own
    ) -> dict[str, Any]:
        """Rank class names for the newest frames of a camera, pictures in time order, under both models."""
        live = Live()
        for number, path in enumerate((frames or [])[-MOST_FRAMES:]):
            live.add(read_picture(path, Path(path).name), MOST_FRAMES, now=number)
        asked = ask(None, labels, baseline, model, texts=texts, sentences=sentences or {})
        return {name: [vars(p) for p in ranked] for name, ranked in score_live(services, asked, live).items()}

    def on_damage(
        clip: str,
        labels: str,
        model: str,
        baseline: str,
        blur: float,
        noise: float,
        darkness: float,
        tint: float,
        occlusion: float,
        frame_drop: float,
        texts: str,
        sentences: Own,
    ) -> dict[str, Any]:
        """Rank class names for a clip damaged from 0 to 1; the JSON of ``python -m ezclip damage --json``."""
        corruption = Corruption(blur, noise, darkness, tint, occlusion, frame_drop)
        asked = ask(clip, labels, baseline, model, texts=texts, sentences=sentences or {})
        return finish(damage(services, asked, corruption)).as_json()

    def on_compare(archive: str, model: str, baseline: str, texts: str) -> dict[str, Any]:
        """Two models on a zip with a folder of clips for each class; the JSON of ``python -m ezclip evaluate``."""
        folder = unpacked_zip(services, archive)
        return finish(evaluate_classes(services, folder, baseline, model, check_texts(texts))).as_json()

    def on_probe(clip: str, labels: str, model: str, baseline: str, texts: str, sentences: Own) -> dict[str, Any]:
        """The clip's frames in other orders; the JSON of ``python -m ezclip probe --json`` without the clip's name."""
        asked = ask(clip, labels, baseline, model, texts=texts, sentences=sentences or {})
        found = finish(motion_evidence(services, asked))
        from ezclip.studies.motion import as_json

        rows = {name: as_json(probes) for name, probes in found.probes.items()}
        return {"models": rows, "verdicts": found.verdicts}

    def on_project(clips: list[str], baseline: str, model: str, projection: str) -> dict[str, Any]:
        """Frames of clips under two models in one plane; the JSON of ``python -m ezclip project --json``."""
        return finish(frame_plane(services, clips, [baseline, model], projection)).as_json()

    def on_scan(
        clip: str,
        labels: str,
        model: str,
        seconds: float,
        step: float,
        baseline: str,
        top_k: float,
        texts: str,
        sentences: Own,
    ) -> dict[str, Any]:
        """Scores over a long video; the JSON of ``python -m ezclip scan --json`` without the clip's name."""
        if not 1 <= (top_k or 0) <= MOST_PREDICTIONS:
            raise UserError(f"top_k is {top_k}; it must be from 1 to {MOST_PREDICTIONS}.")
        asked = ask(clip, labels, baseline or model, model, texts=texts, sentences=sentences or {})
        found = finish(over_time(services, asked, seconds, step))
        return {"model": model, "windows": [moment.as_json(int(top_k)) for moment in found.moments]}

    def add(name: str, action: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
        gr.Button(visible=False).click(
            on_gpu(_sentences(action, [component.value for component in inputs])),
            inputs,
            outputs,
            api_name=name,
            api_visibility="public",
            api_description=action.__doc__,
            concurrency_limit=1,
            concurrency_id="model",
        )

    add("predict", on_predict, [clip, labels, model, *worded], answer)
    add("explain", on_explain, [clip, labels, model, baseline, label, method, prove], [answer, files])
    asked = [clip, labels, model, baseline, label, method, *worded, further, prove, *drawn]
    add("analyse", on_analyse, asked, [answer, files])
    add("compare_tables", on_compare_tables, tables, answer)
    add("damage", on_damage, [clip, labels, model, baseline, *strengths, *worded], answer)
    add("compare", on_compare, [archive, model, baseline, texts], answer)
    add("probe", on_probe, [clip, labels, model, baseline, *worded], answer)
    add("project", on_project, [clips, first_model, model, projection], answer)
    add("scan", on_scan, [clip, labels, model, seconds, step, second_model, top_k, *worded], answer)
    add("live", on_live, [clips, labels, model, baseline, *worded], answer)
    add("models", on_models, [], answer)
    add("shipped", on_shipped, [*shipped], answer)


def _sentences(action: Callable[..., Any], defaults: list[Any]) -> Callable[..., Any]:
    """A UserError reaches the client as its sentence; null stands for the default."""

    @wraps(action)
    def call(*arguments: Any) -> Any:
        given = [default if value is None else value for value, default in zip(arguments, defaults, strict=True)]
        try:
            return action(*given)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call
