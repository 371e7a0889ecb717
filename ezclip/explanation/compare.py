"""One clip under one or two models: maps, and the files and numbers that CLI and app hand out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ezclip.errors import UserError
from ezclip.explanation.registry import Options, check_method, explain
from ezclip.figures.maps import draw_influence, draw_strip, shared_limit
from ezclip.predictor import Predictor
from ezclip.types import Attribution, has_prompts


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


def explain_clip(predictor: Predictor, *, method: str = "rollout", options: Options | None = None) -> Attribution:
    """``registry.explain`` on the predictor's model and clip."""
    return explain(
        predictor.model,
        predictor.pixels,
        predictor.clip.seconds,
        name=predictor.name,
        method=method,
        options=options,
    )


def write_explanation(
    out: str | Path,
    model: Predictor,
    baseline: Predictor | None = None,
    *,
    labels: list[str] | None = None,
    label: str | None = None,
    method: str = "rollout",
    options: Options | None = None,
) -> dict[str, Any]:
    """Write strip.png, influence.png and maps.npz and return the public JSON of ``ezclip explain``.

    Args:
        out: folder, made if missing.
        model: with its video set.
        baseline: a second one, given the same frames and drawn above on the same colour scale.
        labels: class names to score; None scores ``label`` alone.
        label: class whose scores are reported; None takes the model's best of ``labels``.
        method: a key of ``registry.METHODS``.
        options: settings of the method.
    """
    check_method(method)
    out = Path(out)
    predictors = [model, *([baseline] if baseline else [])]
    if baseline:
        shared_frames(model, baseline)
        baseline.set_video(model.clip)
    maps = {p.name: explain_clip(p, method=method, options=options) for p in predictors}
    main = maps[model.name]
    names = labels or ([label] if label else [])
    ranked = {p.name: p.score(names) for p in predictors} if names else {}
    label = label or (ranked[model.name][0].label if ranked else None)

    out.mkdir(parents=True, exist_ok=True)
    files = {"strip": out / "strip.png", "maps": out / "maps.npz"}
    rows = {p.name: maps[p.name] for p in reversed(predictors)}
    draw_strip(model.clip, rows, limit=shared_limit(list(maps.values()))).savefig(files["strip"], dpi=150)
    arrays = {f"heat_{i}": maps[p.name].heat for i, p in enumerate(predictors)}
    if main.influence is not None:
        arrays["influence"] = main.influence
        files["influence"] = out / "influence.png"
        draw_influence(main, title=model.name).savefig(files["influence"], dpi=150)
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
        "faithfulness": None,
    }
