"""One clip under one or two models: maps, and the files and numbers that CLI and app hand out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ezclip.errors import UserError
from ezclip.explanation.faithfulness import Faithfulness, measure
from ezclip.explanation.gradients import Tick
from ezclip.explanation.registry import METHODS, Options, check_method, explain
from ezclip.explanation.temporal import temporal_view
from ezclip.explanation.trace import trace_of
from ezclip.figures.maps import draw_influence, draw_strip, gains, shared_limit
from ezclip.predictor import Predictor
from ezclip.text.templates import fill
from ezclip.types import Attribution, has_prompts

__all__ = ["Options", "check_method", "explain_clip", "shared_frames", "shared_limit", "write_explanation"]


def shared_frames(model: Predictor, baseline: Predictor) -> int:
    """T of the clip that both models can see.

    Raises:
        UserError: the baseline has prompts for another number of frames.
    """
    T = model.model.num_frames
    if has_prompts(baseline.model.variant) and baseline.model.num_frames != T:
        raise UserError(
            f"{baseline.name} sees {baseline.model.num_frames} frames and {model.name} {T}; their maps cannot be laid "
            "side by side. Choose a baseline of the same T, or one without prompts."
        )
    return T


def explain_clip(
    predictor: Predictor,
    *,
    method: str = "rollout",
    options: Options | None = None,
    label: str | None = None,
    sentences: list[str] | None = None,
    tick: Tick = lambda _: None,
) -> Attribution:
    """``registry.explain`` on the predictor's model and clip.

    A label stands for the mean of its ``sentences``, by default of the model's templates.
    """
    check_method(method)
    asked = METHODS[method].needs_label
    chosen = sentences or (fill(label, predictor.templates) if label else []) if asked else []

    def find() -> Attribution:
        return explain(
            predictor.model,
            predictor.pixels,
            predictor.clip.seconds,
            name=predictor.name,
            method=method,
            options=options,
            text=predictor.encode_texts(chosen).mean(dim=0) if chosen else None,
            tick=tick,
            trace=partial(trace_of, predictor),
        )

    return predictor.once((method, options or Options(), *chosen), find)


def write_explanation(
    out: str | Path,
    model: Predictor,
    baseline: Predictor | None = None,
    *,
    labels: list[str] | None = None,
    label: str | None = None,
    method: str = "rollout",
    options: Options | None = None,
    prove: bool = False,
) -> dict[str, Any]:
    """Write strip.png, influence.png and maps.npz and return the public JSON of ``ezclip explain``.

    maps.npz holds heat_0 (of ``model``) and heat_1 (of ``baseline``), (T, grid, grid); the models' names and the
    frames' seconds; for rollouts influence (T, T); and for rollouts of a model with prompts, by layer, prompts
    (K, T, T) and reading (K, T, grid, grid), see ``TemporalView``.

    Args:
        out: folder, made if missing.
        model: with its video set.
        baseline: a second one, given the same frames and drawn above on the same colour scale.
        labels: class names to score; None scores ``label`` alone.
        label: class whose scores are reported; None takes the model's best of ``labels``.
        method: a key of ``registry.METHODS``.
        options: settings of the method.
        prove: also measure each map's faithfulness on the score of ``label``.
    """
    check_method(method)
    out = Path(out)
    predictors = [model, *([baseline] if baseline else [])]
    if baseline:
        shared_frames(model, baseline)
        baseline.set_video(model.clip)
    names = labels or ([label] if label else [])
    ranked = {p.name: p.score(names) for p in predictors} if names else {}
    label = label or (ranked[model.name][0].label if ranked else None)
    maps = {p.name: explain_clip(p, method=method, options=options, label=label) for p in predictors}
    main = maps[model.name]

    out.mkdir(parents=True, exist_ok=True)
    files = {"strip": out / "strip.png", "maps": out / "maps.npz"}
    rows = {p.name: maps[p.name] for p in reversed(predictors)}
    proofs = {p.name: _faithfulness(p, maps[p.name], names, label) for p in predictors} if prove and label else None
    none = dict.fromkeys(maps, {"deletion_gain": None, "insertion_gain": None})
    notes = {name: gains(g["deletion_gain"], g["insertion_gain"]) for name, g in (proofs or none).items()}
    strip = draw_strip(model.clip, rows, limit=shared_limit(list(maps.values())), notes=notes)
    strip.savefig(files["strip"], dpi=150)
    arrays = {f"heat_{i}": maps[p.name].heat for i, p in enumerate(predictors)}
    if main.influence is not None:
        arrays["influence"] = main.influence
        if (view := temporal_view(model)) is not None:
            arrays |= {"layers": np.array(view.layers), "prompts": view.prompts, "reading": view.reading}
        files["influence"] = out / "influence.png"
        draw_influence(main.influence, main.seconds, title=model.name).savefig(files["influence"], dpi=150)
    arrays |= {"models": np.array(list(maps)), "seconds": model.clip.seconds}
    np.savez_compressed(files["maps"], allow_pickle=False, **arrays)
    return {
        "clip": model.clip.name,
        "model": model.name,
        "baseline": baseline.name if baseline else None,
        "label": label,
        "method": method,
        "dtype": str(model.model.dtype).removeprefix("torch."),
        "files": {kind: str(path) for kind, path in files.items()},
        "influence": None if main.influence is None else main.influence.tolist(),
        "scores": {
            name: next({"score": p.score, "logit": p.logit} for p in found if p.label == label)
            for name, found in ranked.items()
        },
        "faithfulness": proofs,
    }


def _faithfulness(predictor: Predictor, found: Attribution, names: list[str], label: str) -> dict[str, float]:
    texts = predictor.encode_texts([s for name in names for s in fill(name, predictor.templates)])
    *_, proof = measure(predictor.model, predictor.pixels, found.heat, texts, len(names), names.index(label))
    assert isinstance(proof, Faithfulness)
    return {"deletion_gain": proof.deletion_gain, "insertion_gain": proof.insertion_gain}
