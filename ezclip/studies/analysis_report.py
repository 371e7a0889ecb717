"""The result of an analysis and its files: document, report, maps as arrays and as a video."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ezclip.checkpoints.cards import provenance
from ezclip.figures import maps
from ezclip.figures.charts import NO_INTERVAL, by_class, hide_numbers
from ezclip.figures.influence import prompt_parts
from ezclip.figures.overlay_video import overlay_frames
from ezclip.figures.report import Picture, Report, Table, slug
from ezclip.figures.stage import element
from ezclip.parameters import parameters_of
from ezclip.progress import Steps, Watch
from ezclip.studies.declaration import Result, Study
from ezclip.studies.faithfulness import GAIN_COLUMNS, MapFaithfulness, measure_faithfulness
from ezclip.studies.host import Host, digest
from ezclip.studies.predict import frames_of, guess_columns, ranking_lines
from ezclip.studies.stage.directions import DirectionResult, analyse_directions
from ezclip.studies.stage.document import caveat, films_of, stage
from ezclip.types import Attribution, Clip, Document, MotionStatistics, Prediction
from ezclip.video.encode import write_mp4

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ezclip.checkpoints.identity import Identity
    from ezclip.explanation.maps import TemporalView

TOP = 10
HOLD = 4  # frames of the overlay video per analysed frame
VIDEO_FPS = 8


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model's part of an analysis."""

    identity: Identity
    predictions: list[Prediction]
    motion: MotionStatistics
    attribution: Attribution
    text: str  # the prompt text of the label that fits the clip best; for models without ``words`` the first
    words: list[tuple[str, float]]  # of ``text``, with their relevance; empty for a single word

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.identity.name

    @property
    def best(self) -> Prediction:
        """The top prediction."""
        return self.predictions[0]


@dataclass(frozen=True, eq=False)
class Analysis(Result):
    """Results of all models on one clip."""

    study: Study  # an ``Analyse``
    clip: Clip  # the input frames of all models
    results: list[ModelResult]  # the baseline first, then the model
    limit: float  # upper end of the colour scale of all maps
    target: str  # the explained label
    names: list[str]  # class names in input order
    nearest: list[tuple[str, float]]  # classes with the texts nearest to the target's, and their cosines
    warnings: list[str]  # for the user, about labels, texts and the file
    faithfulness: list[MapFaithfulness]  # of every map; gains are None until measured
    view: TemporalView | None = None  # attention of the model's temporal prompts; None without prompts
    directions: dict[str, list[DirectionResult]] | None = None  # results of every frame order; None until analysed

    @property
    def baseline(self) -> ModelResult:
        """The baseline; the model itself if there is none."""
        return next((r for r in self.results if r.name == self.study["baseline"]), self.model)

    @property
    def model(self) -> ModelResult:
        """The model under study."""
        return next(r for r in self.results if r.name == self.study["model"])

    @property
    def caveat(self) -> str:
        """Why the predictions are guesses, see ``stage.document.caveat``."""
        return caveat(self.study["clip"], self.names, [r.identity for r in self.results], self.model.identity)

    @property
    def verdict(self) -> str:
        """The predictions of both models; if they are guesses, the reason instead of scores."""
        base, model = self.baseline, self.model
        scores = ["guess" if self.caveat else f"{r.best.score:.0%}" for r in (base, model)]
        answers = [f"{r.name} says “{r.best.label}” ({s})" for r, s in zip((base, model), scores, strict=True)]
        if base is model:
            return f"{self.caveat}{answers[0]}."
        if base.best.label == model.best.label:
            answers[1] = answers[1].replace(" says ", " also says ")
        return f"{self.caveat}{', '.join(answers)}."

    @property
    def resolved_study(self) -> Study:
        """The study that reproduces this result: class names and label are explicit, and faithfulness as measured."""
        measured = any(f.measured for f in self.faithfulness)
        return self.study.replace(labels="\n".join(self.names), target=self.target, faithfulness=measured)

    @property
    def difference(self) -> np.ndarray | None:
        """(T, grid, grid), the model's heat minus the baseline's; None if not requested or not comparable."""
        model, baseline = self.model.attribution, self.baseline.attribution
        if not self.study["difference"] or model is baseline or model.absent or baseline.absent:
            return None
        return model.values - baseline.values if model.values.shape == baseline.values.shape else None

    def text(self) -> str:
        """The verdict, the best names of each model, and the nearest class names."""
        lines = [self.verdict]
        for result in self.results:
            lines += [result.name, *ranking_lines(result.predictions[:5], self.caveat)]
        return "\n".join([*lines, f"Nearest to {self.target}: " + ", ".join(f"{n} ({c:.3f})" for n, c in self.nearest)])

    def with_faithfulness(self, host: Host) -> Steps[Analysis]:
        """Measure the faithfulness of every map."""
        clip = yield from host.clip(self.study["clip"], len(self.clip))  # self.clip may be downscaled
        attributions = [r.attribution for r in self.results]
        steps = measure_faithfulness(host, self.study, clip, attributions, self.names, self.target)
        return replace(self, faithfulness=(yield from steps))

    def with_directions(self, host: Host) -> Steps[Analysis]:
        """Analyse the frames in every order; partial results contain the orders that are finished."""
        watch = Watch(analyse_directions(host, self))
        for step in watch:
            yield step if step.partial is None else replace(step, partial=replace(self, directions=step.partial))
        return replace(self, directions=watch.result)

    def as_json(self) -> Document:
        """Rankings, motion, faithfulness and warnings; the best names in every frame order, if analysed."""
        orders = {
            direction: {r.name: [asdict(p) for p in r.predictions[:TOP]] for r in results}
            for direction, results in (self.directions or {}).items()
        }
        return {
            "clip": self.clip.name,
            "frames": frames_of(self.clip),
            "baseline": self.baseline.name,
            "model": self.model.name,
            "texts": self.study["texts"],
            "method": self.study["method"],
            "target": self.target,
            "verdict": self.verdict,
            "models": {
                r.name: {
                    "variant": r.identity.variant,
                    "predictions": [asdict(p) for p in r.predictions],
                    "motion": asdict(r.motion),
                    "text": r.text,
                    "words": [{"word": word, "relevance": share} for word, share in r.words],
                }
                for r in self.results
            },
            "nearest": [{"label": name, "cosine": cosine} for name, cosine in self.nearest],
            "proof": [f.as_json() for f in self.faithfulness],
            "warnings": self.warnings,
        } | ({"orders": orders} if orders else {})

    def report(self) -> Report:
        """Rankings, maps, spread, faithfulness and temporal prompts (if any); raises UserError for a deleted clip."""
        study, clip_sha256 = self.study, digest(self.study["clip"])
        parts = _rankings(self.results, self.clip.name, self.caveat)
        title = f"Nearest in text to “{self.target}” for {self.model.name}"
        parts.append(Table("nearest", title, ["class", "cosine"], [list(row) for row in self.nearest]))
        rows = [[r.name, r.text, word, share] for r in self.results for word, share in r.words]
        note = (
            "The text is the one of the label's that fits the clip best. Shares of the cosine with the clip that "
            "Grad-ECLIP gives its words; they sum to 1."
        )
        title = f"Words of “{self.target}” by their contribution to the similarity with this clip"
        parts += [Table("words", title, ["model", "text", "word", "relevance"], rows, note)] if rows else []
        notes = " ".join(r.attribution.note for r in self.results if r.attribution.note)
        note = f"Method {study['method']}, label {self.target}. {notes}"
        parts.append(Picture("strip", "Maps on one colour scale", strip_figure(self), note))
        parts.append(faithfulness_table(self))
        parts += prompt_parts(self.model.name, self.clip.seconds, **vars(self.view)) if self.view else []
        rows = [
            [r.name, m.reading, m.variance_unit, m.central_difference_unit, m.variance, m.frozen_variance]
            + [m.central_difference, m.frozen_central_difference]
            for r in self.results
            for m in [r.motion]
        ]
        columns = ["model", "formulation", "Var, unit", "C, unit", "Var", "Var static", "C", "C static"]
        parts.append(Table("spread", "Spread of the frames", columns, rows))
        frames = zip(self.clip.indices, self.clip.seconds, strict=True)
        origin = provenance(
            [r.identity for r in self.results],
            clip=f"{self.clip.name}, sha256 {clip_sha256[:16]}…",
            **{"frames used": ", ".join(f"{i} ({s:.2f} s)" for i, s in frames)},
            texts="; ".join(
                [study["texts"], *(f"{name}: “{sentence}”" for name, sentence in study["sentences"].items())]
            ),
            method=f"{study['method']}, label {self.target}",
            command=commands(self),
        )
        lead = " ".join([self.verdict, *self.warnings])
        return Report(
            self.clip.name, lead, self.as_json(), origin, parts, element(stage(self, films_of(study["clip"])))
        )

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write the report in all its forms, maps.npz, overlay.mp4 and the input files of its command."""
        out = Path(out)
        files = super().write(out)
        files["maps"] = save_maps(out / "maps.npz", self)
        files["overlay"] = save_overlay(out / "overlay.mp4", self)
        for name, text in self.resolved_study.companions().items():
            files[name] = out / name
            files[name].write_text(text, "utf-8")
        return files


def faithfulness_table(analysis: Analysis) -> Table:
    """Gains of every map over random orders, and its heat on moving objects."""
    rows = [
        [f.name, *f.cells("not measured")] + ["no ground truth" if v is None else v for v in (f.moving, f.area)]
        for f in analysis.faithfulness
    ]
    columns = ["map of", *GAIN_COLUMNS, "heat on what moves", "area that moves"]
    warnings = " ".join(f"{f.name}: {f.warning}" for f in analysis.faithfulness if f.warning)
    note = f"Gains over 16 random orders with their 95 % interval; 0 is chance. {warnings}".strip()
    return Table("proof", "Faithfulness of the maps", columns, rows, note)


def commands(analysis: Analysis) -> str:
    """Shell and Python code that reproduces an analysis; the export contains names.txt and sentences.csv."""
    study = analysis.resolved_study
    specs = (spec for spec in parameters_of(type(study)) if spec.parameter.kind not in ("clip", "labels"))
    kwargs = "".join(f", {s.name}={study[s.name]!r}" for s in specs if study[s.name] != s.default)
    lines = [
        f"# names.txt: the {len(analysis.names)} class names, one per line (exported with the results)",
        *(["# sentences.csv: your own sentences (exported with the results)"] if study["sentences"] else []),
        study.command(),
        "",
        "# Python",
        "from ezclip import analyse",
        'names = open("names.txt", encoding="utf-8").read()',
        f"result = analyse({analysis.clip.name!r}, names{kwargs})",
        "for r in result.results:",
        "    print(r.name, r.best.label, r.best.score, r.attribution.heat.shape)",
    ]
    return "\n".join(lines)


def strip_figure(analysis: Analysis) -> Figure:
    """Input and maps of all models on one colour scale with their faithfulness, and the difference if requested."""
    return maps.draw_strip(
        analysis.clip,
        {r.name: r.attribution for r in analysis.results if not r.attribution.absent},
        limit=analysis.limit,
        preprocessing=analysis.model.attribution.preprocessing,
        opacity=analysis.study["opacity"],
        difference=analysis.difference,
        notes={
            f.name: maps.gains(f.score.deletion, f.score.insertion) if f.score else "faithfulness\nnot measured"
            for f in analysis.faithfulness
        },
    )


def save_maps(path: Path, analysis: Analysis, results: list[ModelResult] | None = None) -> Path:
    """Write an NPZ file of the maps of ``results`` (default: of all models in their order).

    "models" are the names of the models that have a map, "heat_i" (T, grid, grid) the (possibly signed) map of model i,
    "seconds" and "indices" those of the frames; "heat" (models, T, grid, grid) stacks the maps if their grids are
    equal. "deletion" and "insertion" are the gains over chance on the score; "gains" (models, 2, 2, 3) contains value,
    low and high on score and logit; NaN if not measured. Rollouts add "influence" (T, T) of the model; temporal prompts
    add "layers", "prompts" (K, T, T) and "to_prompt" (K, T, grid, grid), see ``TemporalView``.
    """
    results = [r for r in results or analysis.results if not r.attribution.absent]
    heats = [r.attribution.values for r in results]
    gains_of = {f.name: f for f in analysis.faithfulness}
    arrays: dict[str, np.ndarray] = {
        "models": np.array([r.name for r in results]),
        **{f"heat_{i}": heat for i, heat in enumerate(heats)},
        **({"heat": np.stack(heats)} if len({heat.shape for heat in heats}) == 1 else {}),
        "seconds": analysis.clip.seconds,
        "indices": analysis.clip.indices,
        "deletion": np.array([gains_of[r.name].deletion for r in results], float),
        "insertion": np.array([gains_of[r.name].insertion for r in results], float),
        "gains": np.array([_gains(gains_of[r.name]) for r in results], float),
    }
    if (influence := analysis.model.attribution.influence) is not None:
        arrays["influence"] = influence
    if (view := analysis.view) is not None:
        arrays |= {"layers": np.array(view.layers), "prompts": view.prompts, "to_prompt": view.to_prompt}
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path


def _gains(f: MapFaithfulness) -> list[list[tuple[float, ...]]]:
    """(score, logit) x (deletion, insertion) x (value, low, high); NaN if not measured."""
    unknown = (float("nan"),) * 3
    return [[g.deletion, g.insertion] if g else [unknown, unknown] for g in (f.score, f.logit)]


def save_overlay(path: Path, analysis: Analysis) -> Path:
    """Write the frames with the maps of all models side by side as H.264, see ``figures.overlay_video``."""
    frames = overlay_frames(
        analysis.clip,
        {r.name: r.attribution for r in analysis.results},
        limit=analysis.limit,
        opacity=analysis.study["opacity"],
        difference=analysis.difference,
        preprocessing=analysis.model.attribution.preprocessing,
    )
    write_mp4(path, frames.repeat(HOLD, axis=0), fps=VIDEO_FPS)
    return path


def _rankings(results: list[ModelResult], clip: str, caveat: str) -> list[Table | Picture]:
    """The ranking of every model, and a chart of their best names."""
    parts: list[Table | Picture] = []
    for result in results:
        rows = [[rank, p.label, p.score, p.logit] for rank, p in enumerate(result.predictions, 1)]
        columns, name, guesses = ["rank", "label", "score", "logit"], slug(result.name), guess_columns(caveat)
        title = f"Ranking of {result.name}"
        parts.append(Table(f"ranking_{name}", title, columns, rows, on_page=len(rows) <= TOP, guesses=guesses))
        if len(rows) > TOP:
            title = f"{result.name}: {TOP} best of {len(rows)}"
            parts.append(Table(f"best_{name}", title, columns, rows[:TOP], guesses=guesses))
    best_labels = dict.fromkeys(p.label for r in results for p in r.predictions[:TOP])
    scores = {r.name: {p.label: (p.score, *NO_INTERVAL) for p in r.predictions} for r in results}
    series = {name: {label: bars[label] for label in best_labels} for name, bars in scores.items()}
    chart = by_class(series, title=f"{clip}: the best class names of each model", axis_label="score, %")
    if caveat:
        hide_numbers(chart, "x")
    return [*parts, Picture("ranking", "The best class names", chart)]
