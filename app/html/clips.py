"""One clip: rankings, maps over its frames, their faithfulness, and the temporal prompts."""

import numpy as np
from markupsafe import Markup

from app.html.pieces import heat_uris, render, source, uris
from ezclip.explanation.methods import METHODS
from ezclip.figures.maps import CMAP, DIFFERENCE, colour_values, crop_to_input, difference_limit
from ezclip.figures.report import Table
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.corruption import CorruptedPredictions
from ezclip.studies.faithfulness import GAIN_COLUMNS
from ezclip.types import METHOD_TITLES, Document, Prediction

MAX_NAMES = 500  # in a ranking; the exported tables have all
_SIDE, _THUMB, _FRAME = 168, 44, 96  # pixels


def rankings(analysis: Analysis, before: Analysis | None = None) -> str:
    """The verdict, both models' best class names side by side, and the class names nearest in text.

    ``before`` is the previous analysis; if it is of the same clip, changes in rank are marked.
    """
    same = before is not None and before.clip.source == analysis.clip.source
    old_ranks = {r.name: [p.label for p in r.predictions] for r in before.results} if before and same else {}
    kinds = [METHOD_TITLES[r.identity.variant] for r in analysis.results]
    rows = [_rows(r.predictions, old_ranks.get(r.name, [])) for r in analysis.results]
    models = zip(analysis.results, kinds, rows, strict=True)
    words_html = Markup(words(analysis.target, {r.name: r.words for r in analysis.results}))
    return render("rankings", analysis=analysis, models=models, words=words_html)


def ranked(analysis: Analysis, before: Analysis | None) -> str:
    """The inputs of an analysis, and its rankings."""
    return source(analysis) + rankings(analysis, before)


def _rows(predictions: list[Prediction], before: list[str]) -> list[Document]:
    old_ranks = {label: rank for rank, label in enumerate(before)}
    return [vars(p) | {"moved": old_ranks.get(p.label, rank) - rank} for rank, p in enumerate(predictions[:MAX_NAMES])]


def words(label: str, relevance: dict[str, list[tuple[str, float]]]) -> str:
    """The words of a class's sentence with their relevance for each model; empty for a single word."""
    return render("words", label=label, models=[pair for pair in relevance.items() if pair[1]])


def samples(correct: list[tuple[int, str, str]], wrong: list[tuple[int, str, str]]) -> str:
    """Buttons for samples (number, title, strip of frames); those that the model gets wrong are separate."""
    return render("samples", correct=correct, wrong=wrong)


def cards(rows: list[dict[str, str]]) -> str:
    """Model cards."""
    return render("cards", cards=rows)


def custom_sentences(sentences: dict[str, str]) -> str:
    """The custom sentences in use, as text."""
    text = Markup("; ").join(Markup("{} → “{}”").format(*pair) for pair in sentences.items())
    return f"Custom sentences: {text}" if sentences else ""


def strip(analysis: Analysis) -> str:
    """Input frames and every model's map over them, on one colour scale; scrolls sideways on a small screen."""
    images, preprocessing = analysis.clip.images, analysis.model.attribution.preprocessing
    crops = {preprocessing, *(r.attribution.preprocessing for r in analysis.results)}
    frames = {crop: uris(crop_to_input(images, _SIDE, crop)) for crop in crops}
    rows: list[Document] = [{"title": "Input", "frames": frames[preprocessing], "heats": None}]
    for r in analysis.results:
        if r.attribution.absent:
            continue
        heats = heat_uris(*colour_values(r.attribution, analysis.limit), _SIDE // 2)
        rows.append({"title": r.name, "frames": frames[r.attribution.preprocessing], "heats": heats})
    top = f"{analysis.limit:.1e} per patch, one scale for all models"
    signed = analysis.model.attribution.signed is not None
    scales = [(DIFFERENCE, f"−{analysis.limit:.1e}", f"+{top}") if signed else (CMAP, "0", f"{top}; brighter is more")]
    if (difference := analysis.difference) is not None:
        limit = difference_limit(difference)
        heats = heat_uris((difference / limit + 1) / 2, DIFFERENCE, _SIDE // 2)
        title = f"{analysis.model.name} minus {analysis.baseline.name}"
        rows.append({"title": title, "frames": frames[preprocessing], "heats": heats})
        scales.append((DIFFERENCE, f"−{limit:.1e}: the baseline has more", f"+{limit:.1e}: the model has more"))
    notes = " ".join(f"{r.name}: {r.attribution.note}" for r in analysis.results if r.attribution.note)
    seconds, opacity = analysis.clip.seconds.tolist(), analysis.study["opacity"]
    method = METHODS[analysis.study["method"]].description
    return render("strip", rows=rows, seconds=seconds, opacity=opacity, scales=scales, notes=notes, method=method)


def faithfulness(analysis: Analysis, *, message: str = "") -> str:
    """Faithfulness of the maps below a message, with the fraction of heat on moving objects if masks are known."""
    rows = []
    for f in analysis.faithfulness:
        gains = f.cells("–")
        rows.append([f.name, *gains, *("no ground truth" if v is None else f"{v:.1%}" for v in (f.moving, f.area))])
    pairs = zip(analysis.faithfulness, analysis.results, strict=True)
    pending = any(not f.measured and not r.attribution.absent for f, r in pairs)
    warnings = [f"{f.name}: {f.warning}" for f in analysis.faithfulness if f.warning]
    table = {"columns": GAIN_COLUMNS, "rows": rows, "target": analysis.target, "warnings": warnings}
    return render("faithfulness", message=message, pending=pending, **table)


def tokens(table: Table) -> str:
    """The norms of patch tokens, one row per layer and model, and how to read them."""
    rows = [["" if v is None else f"{v:.2f}" if isinstance(v, float) else v for v in row] for row in table.rows]
    return render("tokens", norms=table, rows=rows)


def temporal(analysis: Analysis, layer: int = 0) -> str:
    """The T x T matrix with thumbnails on both axes, and attention to the prompt; ``layer`` 0 means all layers."""
    view, name = analysis.view, analysis.model.name
    if view is None:
        return render("temporal", view=None, name=name)
    matrix, to_prompt = view.influence, view.to_prompt.mean(axis=0)
    if layer:
        k = view.layers.index(layer)
        matrix, to_prompt = view.prompts[k], view.to_prompt[k]
    T, preprocessing = len(matrix), analysis.model.attribution.preprocessing
    off_diagonal = matrix[~np.eye(T, dtype=bool)]
    maximum = max(float(to_prompt.max()), 1e-9)
    return render(
        "temporal",
        view=view,
        name=name,
        layer=layer,
        T=T,
        matrix=matrix.tolist(),
        total=float(off_diagonal.sum()) / T,
        limit=max(float(off_diagonal.max()) if T > 1 else 0.0, 1e-9),
        maximum=maximum,
        cmap=CMAP,
        seconds=analysis.clip.seconds.tolist(),
        thumbs=uris(crop_to_input(analysis.clip.images, _THUMB, preprocessing)),
        frames=uris(crop_to_input(analysis.clip.images, _SIDE, preprocessing)),
        heats=heat_uris(to_prompt / maximum, CMAP, _SIDE // 2),
    )


def spread(analysis: Analysis) -> str:
    """Var and C of all models, for the clip and its static copy."""
    rows = []
    for result in analysis.results:
        m = result.motion
        values = [m.variance, m.frozen_variance, m.variance_unit]
        values += [m.central_difference, m.frozen_central_difference, m.central_difference_unit]
        rows.append([f"{result.name} ({m.reading} formulation)", *(f"{v:.4f}" for v in values)])
    return render("spread", rows=rows)


def opened_clip(analysis: Analysis, label: str, family: str = "", accuracy: Document | None = None) -> str:
    """A labelled clip: both models' predictions and maps, and the accuracies measured on its family."""
    rows = [
        [v, f"{a['top1']:.1%}", f"{a.get('within_pairs', float('nan')):.1%}", f"{a['n']:.0f}"]
        for v, a in (accuracy or {}).items()
    ]
    maps, family = Markup(strip(analysis)), family.replace("_", " ")
    return render("opened_clip", analysis=analysis, label=label, family=family, accuracies=rows, strip=maps)


def corrupted(result: CorruptedPredictions) -> str:
    """The corrupted frames and both models' rankings."""
    frames = uris(crop_to_input(result.clip.images, _FRAME, result.preprocessing))
    models = [{"name": name, "rows": _rows(predictions, [])} for name, predictions in result.predictions.items()]
    return render("corrupted", frames=frames, models=models, caveat=result.caveat)
