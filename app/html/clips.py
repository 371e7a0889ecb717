"""One clip: rankings, maps over its frames, their faithfulness, and the temporal prompts."""

import numpy as np
from markupsafe import Markup

from app.html.pieces import heat_uris, render, source, uris
from ezclip.explanation.methods import METHODS
from ezclip.figures.maps import CMAP, DIFFERENCE, coloured, difference_limit, square
from ezclip.figures.report import Table
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.corruption import CorruptedPredictions
from ezclip.studies.faithfulness import GAIN_COLUMNS
from ezclip.types import METHOD_TITLES, Document, Prediction

MOST = 500  # names in a ranking; the exported tables have all
_SIDE, _THUMB, _FRAME = 168, 44, 96  # pixels


def rankings(analysis: Analysis, before: Analysis | None = None) -> str:
    """The verdict, both models' best class names side by side, and the nearest in text.

    ``before`` is the last analysis; on the same clip, marks show the change in rank since.
    """
    same = before is not None and before.clip.source == analysis.clip.source
    old = {r.name: [p.label for p in r.predictions] for r in before.results} if before and same else {}
    kinds = [METHOD_TITLES[r.identity.variant] for r in analysis.results]
    rows = [_rows(r.predictions, old.get(r.name, [])) for r in analysis.results]
    models = zip(analysis.results, kinds, rows, strict=True)
    said = Markup(words(analysis.target, {r.name: r.words for r in analysis.results}))
    return render("rankings", analysis=analysis, models=models, words=said)


def ranked(analysis: Analysis, before: Analysis | None) -> str:
    """Of what an analysis was made, and its rankings."""
    return source(analysis) + rankings(analysis, before)


def _rows(predictions: list[Prediction], before: list[str]) -> list[Document]:
    places = {label: rank for rank, label in enumerate(before)}
    return [vars(p) | {"moved": places.get(p.label, rank) - rank} for rank, p in enumerate(predictions[:MOST])]


def words(label: str, found: dict[str, list[tuple[str, float]]]) -> str:
    """The words of a class's sentence with their relevance under every model; empty where it has one word."""
    return render("words", label=label, models=[pair for pair in found.items() if pair[1]])


def samples(right: list[tuple[int, str, str]], wrong: list[tuple[int, str, str]]) -> str:
    """Buttons for samples (number, title, strip of frames), those that the model gets wrong apart."""
    return render("samples", right=right, wrong=wrong)


def cards(found: list[dict[str, str]]) -> str:
    """Model cards."""
    return render("cards", cards=found)


def own_sentences(sentences: dict[str, str]) -> str:
    """The custom sentences in use, as text."""
    listed = Markup("; ").join(Markup("{} → “{}”").format(*pair) for pair in sentences.items())
    return f"Custom sentences: {listed}" if sentences else ""


def strip(analysis: Analysis) -> str:
    """Input frames and every model's map over them, on one colour scale; scrolls sideways on a small screen."""
    images, seen = analysis.clip.images, analysis.model.attribution.seen
    views = {seen, *(r.attribution.seen for r in analysis.results)}
    frames = {view: uris(square(images, _SIDE, view)) for view in views}
    rows: list[Document] = [{"title": "Input", "frames": frames[seen], "heats": None}]
    for r in analysis.results:
        if r.attribution.absent:
            continue
        heats = heat_uris(*coloured(r.attribution, analysis.limit), _SIDE // 2)
        rows.append({"title": r.name, "frames": frames[r.attribution.seen], "heats": heats})
    end = f"{analysis.limit:.1e} per patch, one scale for all models"
    signed = analysis.model.attribution.signed is not None
    scales = [(DIFFERENCE, f"−{analysis.limit:.1e}", f"+{end}") if signed else (CMAP, "0", f"{end}; brighter is more")]
    if (apart := analysis.difference) is not None:
        limit = difference_limit(apart)
        heats = heat_uris((apart / limit + 1) / 2, DIFFERENCE, _SIDE // 2)
        title = f"{analysis.model.name} minus {analysis.baseline.name}"
        rows.append({"title": title, "frames": frames[seen], "heats": heats})
        scales.append((DIFFERENCE, f"−{limit:.1e}: the baseline has more", f"+{limit:.1e}: the model has more"))
    notes = " ".join(f"{r.name}: {r.attribution.note}" for r in analysis.results if r.attribution.note)
    seconds, opacity = analysis.clip.seconds.tolist(), analysis.study["opacity"]
    method = METHODS[analysis.study["method"]].described
    return render("strip", rows=rows, seconds=seconds, opacity=opacity, scales=scales, notes=notes, method=method)


def faithfulness(analysis: Analysis, *, doing: str = "") -> str:
    """Faithfulness of the maps, and the fraction of heat on what moves where that is known; ``doing`` stands above."""
    rows = []
    for f in analysis.faithfulness:
        gains = f.cells("–")
        rows.append([f.name, *gains, *("no ground truth" if v is None else f"{v:.1%}" for v in (f.moving, f.area))])
    pairs = zip(analysis.faithfulness, analysis.results, strict=True)
    waits = any(not f.measured and not r.attribution.absent for f, r in pairs)
    warnings = [f"{f.name}: {f.warning}" for f in analysis.faithfulness if f.warning]
    found = {"columns": GAIN_COLUMNS, "rows": rows, "target": analysis.target, "warnings": warnings}
    return render("faithfulness", doing=doing, waits=waits, **found)


def tokens(found: Table) -> str:
    """The norms of patch tokens, a row for each layer of each model, and how to read them."""
    rows = [["" if v is None else f"{v:.2f}" if isinstance(v, float) else v for v in row] for row in found.rows]
    return render("tokens", found=found, rows=rows)


def temporal(analysis: Analysis, layer: int = 0) -> str:
    """The T x T matrix with thumbnails on both axes, and attention to the prompt; ``layer`` 0 takes all."""
    view, name = analysis.view, analysis.model.name
    if view is None:
        return render("temporal", view=None, name=name)
    matrix, to_prompt = view.influence, view.to_prompt.mean(axis=0)
    if layer:
        at = view.layers.index(layer)
        matrix, to_prompt = view.prompts[at], view.to_prompt[at]
    T, seen = len(matrix), analysis.model.attribution.seen
    off = matrix[~np.eye(T, dtype=bool)]
    most = max(float(to_prompt.max()), 1e-9)
    return render(
        "temporal",
        view=view,
        name=name,
        layer=layer,
        T=T,
        matrix=matrix.tolist(),
        total=float(off.sum()) / T,
        limit=max(float(off.max()) if T > 1 else 0.0, 1e-9),
        most=most,
        cmap=CMAP,
        seconds=analysis.clip.seconds.tolist(),
        thumbs=uris(square(analysis.clip.images, _THUMB, seen)),
        frames=uris(square(analysis.clip.images, _SIDE, seen)),
        heats=heat_uris(to_prompt / most, CMAP, _SIDE // 2),
    )


def spread(analysis: Analysis) -> str:
    """Var and C of all models, with those of the static copy beside them."""
    rows = []
    for result in analysis.results:
        m = result.motion
        values = [m.variance, m.frozen_variance, m.variance_unit]
        values += [m.central_difference, m.frozen_central_difference, m.central_difference_unit]
        rows.append([f"{result.name} ({m.reading} formulation)", *(f"{v:.4f}" for v in values)])
    return render("spread", rows=rows)


def opened_clip(analysis: Analysis, label: str, family: str = "", accuracy: Document | None = None) -> str:
    """A labelled clip: both models' answers, their maps, and the accuracies measured on its family."""
    rows = [
        [v, f"{a['top1']:.1%}", f"{a.get('within_pairs', float('nan')):.1%}", f"{a['n']:.0f}"]
        for v, a in (accuracy or {}).items()
    ]
    maps, family = Markup(strip(analysis)), family.replace("_", " ")
    return render("opened_clip", analysis=analysis, label=label, family=family, accuracies=rows, strip=maps)


def corrupted(found: CorruptedPredictions) -> str:
    """The corrupted frames and both models' rankings."""
    frames = uris(square(found.clip.images, _FRAME, found.seen))
    models = [{"name": name, "rows": _rows(ranked, [])} for name, ranked in found.predictions.items()]
    return render("corrupted", frames=frames, models=models, caveat=found.caveat)
