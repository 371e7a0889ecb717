"""Figures like the paper's Fig. 4, 5, 7 and 8, from clips or from existing results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from ezclip.checkpoints.cards import provenance, shipped_variants
from ezclip.checkpoints.catalog import ADAPTER, BASELINE, DEFAULT, model_folder, read_config
from ezclip.checkpoints.identity import Identity
from ezclip.data.tabletop.truth import SAMPLES
from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT_METHOD, MapSettings
from ezclip.explanation.projection import PROJECTIONS, Projection
from ezclip.figures import charts, maps, paper
from ezclip.figures.paper import Look
from ezclip.figures.report import Picture, Report
from ezclip.files import sha256_of, write_atomically
from ezclip.parameters import Parameter, build, values_of
from ezclip.progress import Steps, rescale
from ezclip.studies.analysis import Analyse, MethodName
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.classes import Classes, ClassStudy, Evaluate
from ezclip.studies.declaration import NO_CLIP, Labels, Model, Result, Sentences, Study, Texts
from ezclip.studies.frames import CompareFrames, FramePlane
from ezclip.studies.host import Host, digest
from ezclip.studies.paper.caption import latex
from ezclip.types import Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHIPPED = "tabletop/"
CMAP = "inferno"  # as on the stage
MAX_CLASSES = 20
INPUT, DIFFERENCE = "input", "difference"  # rows that are not models
DEFAULT_BASELINES = {"4": BASELINE, "5": BASELINE, "7": "", "8": "tabletop/prompts"}  # by figure
EXAMPLES = {  # shipped samples, used without clips
    "4": ("03_putting_into", "19_fast"),
    "7": ("12_unseen_background", "13_lifting_under_water", "14_crowd", "17_drawing"),
    "8": ("01_*", "02_*", "03_*", "04_*", "05_*", "06_*", "18_*", "19_*"),
}
_Figure = Parameter(
    "Figure of the paper: 4 attention maps, 5 class by class, 7 maps out of distribution, 8 frame embeddings.",
    choices=tuple(DEFAULT_BASELINES),
    kind="query",
)
_Clips = Parameter(
    "Video files or folders of frames; for figure 5 a manifest or folder of classes, or predictions.csv of two models. "
    "Without them shipped samples and results are used.",
    kind="clips",
)
_Baseline = Parameter(
    "Model to compare with; empty uses tabletop/base, or tabletop/prompts for figure 8.", kind="model"
)
_Rows = Parameter(
    "Rows of figures 4 and 7: input, difference or names of models; empty uses the input and the models.",
    "Rows",
    kind="models",
)
_Numbers = Parameter(
    "Frames of figures 4 and 7 by number, such as 1,3,5-8; empty uses as many as fit at half an inch.", "Frames"
)


@dataclass(frozen=True)
class PaperFigure(Study):
    """Draw a figure like one of the paper's as PDF, SVG and PNG, with its caption in LaTeX.

    Example: python -m ezclip figure 4 clip.mp4 --labels "opening, closing" --columns 1 --out figures
    """

    verb: ClassVar[str] = "figure"
    files: ClassVar[bool] = True
    figure: Annotated[str, _Figure] = "4"
    clips: Annotated[tuple[str, ...], _Clips] = ()
    labels: Labels = ""
    model: Model = DEFAULT
    baseline: Annotated[str, _Baseline] = ""
    texts: Texts = "trained"
    sentences: Sentences = field(default_factory=dict)
    target: Annotated[str, Parameter("Class name to explain; empty uses the model's best.", "Label")] = ""
    method: MethodName = DEFAULT_METHOD
    settings: MapSettings = MapSettings()
    projection: Annotated[Projection, Parameter("The projection of figure 8.", choices=PROJECTIONS)] = "t-SNE"
    rows: Annotated[tuple[str, ...], _Rows] = ()
    frame_numbers: Annotated[str, _Numbers] = ""
    opacity: Annotated[float, Parameter("Opacity of the brightest places.", low=0.0, high=1.0, step=0.05)] = 0.85
    look: Look = Look()

    def models(self) -> list[str]:
        """Names of the models, the baseline first."""
        rows = [name for name in self.rows if name not in (INPUT, DIFFERENCE)]
        return list(dict.fromkeys(filter(None, [self._baseline, *rows, self.model])))

    @property
    def _baseline(self) -> str:
        """The baseline; empty if the figure needs none."""
        return self.baseline or DEFAULT_BASELINES[self.figure] or (BASELINE if DIFFERENCE in self.rows else "")

    def run(self, host: Host) -> Steps[DrawnFigure]:
        """Run the study that the figure shows, and draw its result."""
        clips, values = self.clips or _examples(self.figure), values_of(self) | {"baseline": self._baseline}
        if self.figure == "8":
            return self.from_frames((yield from build(CompareFrames, values | {"clips": clips}).run(host)))
        if self.figure == "5":
            return self.from_classes((yield from self._class_study(values).run(host)))
        further = {"further": tuple(self.models()), "difference": DIFFERENCE in self.rows}
        analyses: list[Analysis] = []
        for i, clip in enumerate(clips):
            study = build(Analyse, values | further | {"clip": clip})
            analyses.append((yield from rescale(study.run(host), i / len(clips), (i + 1) / len(clips))))
        return self.from_analyses(analyses)

    def _class_study(self, values: dict[str, Any]) -> Evaluate | Classes:
        if len(self.clips) > 2:
            raise UserError(f"{len(self.clips)} inputs were given; figure 5 takes one data set or two tables.")
        if len(self.clips) == 1:
            return build(Evaluate, values | {"data": self.clips[0]})
        if self.clips:
            return Classes(*self.clips)
        return Classes(*(name.removeprefix(_SHIPPED) for name in (values["baseline"], self.model)))

    def from_analyses(self, analyses: Sequence[Analysis]) -> DrawnFigure:
        """Draw figure 4 or 7."""
        first, T = analyses[0], min(len(a.clip) for a in analyses)
        rows = self.rows or (INPUT, *(r.name for r in first.results))
        choices = {r.name for r in first.results} | {INPUT, DIFFERENCE}
        if unknown := [row for row in rows if row not in choices]:
            raise UserError(f"There is no row {unknown[0]!r}; choose among {', '.join(sorted(choices))}.")
        frames = _parse_numbers(self.frame_numbers, T) or paper.frames_that_fit(T, len(analyses), self.look)
        limit = maps.shared_limit(
            [r.attribution for a in analyses for r in a.results if r.name in rows] or [first.model.attribution]
        )
        diffs = [a.difference for a in analyses if DIFFERENCE in rows]
        if any(d is None for d in diffs):
            raise UserError("These maps cannot be subtracted; give a baseline with maps of the same grid.")
        limits = [maps.difference_limit(np.concatenate([d for d in diffs if d is not None]))] if diffs else []
        strips = [self._strip(a, rows, frames, limit, *limits) for a in analyses]
        heats = [r.attribution.heat for a in analyses for r in a.results]
        shares = all(heat.sum() <= 1.001 for heat in heats)
        unit = heats[0].size if shares else 1 / max(float(np.mean([heat.mean() for heat in heats])), 1e-12)
        meaning = "× uniform" if shares else "× the mean"
        signed = first.model.attribution.signed is not None
        scales = []
        if any(row not in (INPUT, DIFFERENCE) for row in rows):
            low, cmap = (-limit, maps.DIFFERENCE) if signed else (0.0, CMAP)
            scales.append((ScalarMappable(Normalize(low * unit, limit * unit), cmap), f"heat, {meaning}"))
        if limits:
            ends = Normalize(-limits[0] * unit, limits[0] * unit)
            scales.append((ScalarMappable(ends, maps.DIFFERENCE), f"model minus baseline, {meaning}"))
        figure = paper.strips(strips, self.look, scales)
        models = [row for row in rows if row not in (INPUT, DIFFERENCE)]
        title = "Attention maps" if self.method == DEFAULT_METHOD else f"Maps ({self.method})"
        parts = [
            f"{title} of {_join_names(models)}; rows: {', '.join(rows)}. Brighter and more opaque is more heat, on one "
            "scale for all maps."
        ]
        for letter, a in zip(ascii_lowercase, analyses):
            parts.append(f"({letter}) {a.verdict}" if len(analyses) > 1 else a.verdict)
        paths = [str(a.study["clip"]) for a in analyses]
        identities = [r.identity for r in first.results if r.name in rows or r.name in self.models()]
        return self._result(figure, " ".join(parts), identities, paths)

    def _strip(
        self, analysis: Analysis, rows: Sequence[str], frames: list[int], limit: float, difference_limit: float = 1.0
    ) -> paper.Strip:
        """The pictures of one clip: a row per name in ``rows``, a column per index in ``frames``."""
        pixels = ceil(paper.DPI * self.look.width / len(frames))
        attributions, pictures = {r.name: r.attribution for r in analysis.results}, []
        for row in rows:
            preprocessing = attributions.get(row, analysis.model.attribution).preprocessing
            images = maps.crop_to_input(analysis.clip.images[frames], pixels, preprocessing)
            if row == DIFFERENCE and analysis.difference is not None:
                values = (analysis.difference[frames] / difference_limit + 1) / 2
                images = maps.overlay(images, values, 1.0, self.opacity, maps.DIFFERENCE, proportional=True)
            elif row in attributions:
                values, cmap = maps.colour_values(attributions[row], limit)
                cmap = CMAP if cmap == maps.CMAP else cmap
                images = maps.overlay(images, values[frames], 1.0, self.opacity, cmap, proportional=True)
            pictures.append((row, images))
        return paper.Strip(Path(analysis.clip.name).stem, analysis.clip.seconds[frames].tolist(), pictures)

    def from_classes(self, result: ClassStudy) -> DrawnFigure:
        """Draw figure 5; raises UserError for the result of one model."""
        if result.comparison is None:
            raise UserError("Figure 5 compares two models; give a baseline.")
        comparison, plane = result.comparison, result.class_map
        gains = [(d.label, d.first, (d.difference, d.low, d.high)) for d in comparison.classes]
        rows = charts.most_changed(gains, MAX_CLASSES)
        planes = dict(zip(plane.models, plane.points, strict=True)) if plane else {}
        labels = [row.label for row in plane.rows] if plane else []
        figure = paper.classes(rows, comparison.models, self.look, planes, labels)
        first, second = comparison.models
        parts = [
            f"Top-1 accuracy from {first} (grey) to {second} (blue) on the {len(rows)} of {len(gains)} classes that "
            f"change most; the band is the 95 % paired bootstrap interval of the change. {result.verdict}"
        ]
        if plane:
            parts.append(
                f"Numbers mark the classes whose videos are shown under both models ({plane.method}). {plane.note}"
            )
        identities = result.identities or [_shipped_identity(e.model) for e in result.evaluations if not self.clips]
        return self._result(figure, " ".join(parts), identities, self.clips)

    def from_frames(self, result: FramePlane) -> DrawnFigure:
        """Draw figure 8."""
        rows, copies = result.rows(), result.rows(copy=True)
        panel, group = ([str(row[i]) for row in rows + copies] for i in (0, 1))
        group = [str(Path(name).stem) for name in group]
        hollow = [False] * len(rows) + [True] * len(copies)
        figure = paper.plane(np.concatenate([result.points, result.copies]), panel, group, hollow, self.look)
        caption = (
            f"Frame embeddings of {len(result.clips)} clips ({result.method}, one fit for both models, trustworthiness "
            f"{result.trust}); {result.difference}. One colour per clip, frames joined in time, 1 is the first frame; "
            f"hollow: static copies. {result.verdict}"
        )
        return self._result(figure, caption, result.identities, result.study.clips)

    def _result(self, figure: Figure, caption: str, models: list[Identity], paths: Sequence[str]) -> DrawnFigure:
        paths = list(dict.fromkeys(paths))
        names = [Path(path).name for path in paths]
        if len(set(names)) < len(names):
            names = [f"{number}. {name}" for number, name in enumerate(names, 1)]
        return DrawnFigure(self, figure, caption, models, dict(zip(names, map(digest, paths))))


@dataclass(frozen=True, eq=False)
class DrawnFigure(Result):
    """A figure with its caption."""

    study: PaperFigure
    figure: Figure
    caption: str  # plain text
    identities: list[Identity]  # of the known models
    clips: dict[str, str]  # name -> sha256

    @property
    def name(self) -> str:
        """Stem of the file names."""
        return f"figure{self.study.figure}"

    @property
    def made_of(self) -> dict[str, str]:
        """Hashes of the models' weights and of the clips, versions and the command."""
        weights = {
            f"model {identity.name}": ", ".join(
                f"{part} sha256 {value}"
                for part, value in (("adapter", identity.adapter_sha256), ("backbone", identity.backbone_sha256))
                if value
            )
            for identity in self.identities
        }
        clips = {f"clip {name}": f"sha256 {value}" for name, value in self.clips.items()}
        return weights | clips | {"versions": provenance([])["versions"], "command": self.study.command()}

    def as_json(self) -> Document:
        """Figure, caption and provenance."""
        return {"figure": self.study.figure, "caption": self.caption, "made_of": self.made_of}

    def text(self) -> str:
        """The caption."""
        return self.caption

    def report(self) -> Report:
        """The figure as a page."""
        picture = Picture(self.name, self.name, self.figure)
        return Report(self.name, self.caption, self.as_json(), self.made_of, [picture])

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write PDF, SVG, PNG, the LaTeX file and the companions of the command into a folder; kind or name -> path."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        files = paper.save(self.figure, out, self.name, self.study.look)
        texts = {"tex": latex(self.name, self.caption, self.made_of, self.study.look)} | self.study.companions()
        for key, text in texts.items():
            files[key] = out / (f"{self.name}.tex" if key == "tex" else key)
            write_atomically(files[key], lambda path, text=text: path.write_text(text, encoding="utf-8"))
        return files


def figure_of(result: Analysis | ClassStudy | FramePlane, **parameters: Any) -> DrawnFigure:
    """Draw figure 4, 5 or 8 from an existing result.

    ``parameters`` of ``PaperFigure``, such as rows, frame_numbers and look, override those of the result.
    """
    if isinstance(result, Analysis):
        values = values_of(result.resolved_study) | {"figure": "4", "clips": (result.study["clip"],), "opacity": None}
        return build(PaperFigure, values | parameters).from_analyses([result])
    if isinstance(result, FramePlane):
        return build(PaperFigure, values_of(result.study) | {"figure": "8"} | parameters).from_frames(result)
    values: dict[str, Any] = {"figure": "5"}
    if isinstance(result.study, Evaluate):
        values |= values_of(result.study) | {"clips": (result.study.data,)}
    elif result.study is not None:
        inputs = (result.study.first, result.study.second)
        if set(inputs) <= set(shipped_variants()):
            values |= {"baseline": _SHIPPED + inputs[0], "model": _SHIPPED + inputs[1]}
        else:
            values["clips"] = inputs
    return build(PaperFigure, values | parameters).from_classes(result)


def _shipped_identity(variant: str) -> Identity:
    """The identity of a shipped model, without loading it."""
    folder = model_folder(_SHIPPED + variant)
    backbone, adapter = read_config(folder).backbone_sha256, sha256_of(folder / ADAPTER)
    return Identity(_SHIPPED + variant, backbone_sha256=backbone, adapter_sha256=adapter)


def _examples(figure: str) -> tuple[str, ...]:
    clips = [str(path) for name in EXAMPLES.get(figure, ()) for path in SAMPLES.glob(f"{name}.mp4")]
    if not clips and figure != "5":
        raise UserError(NO_CLIP)
    return tuple(clips)


def _parse_numbers(text: str, T: int) -> list[int]:
    """Indices in [0, T) of frame numbers like "1,3,5-8"; raises UserError for invalid ones."""
    indices: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        span = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, 0)
        if not 1 <= first <= last <= T:
            raise UserError(f"There is no frame {part!r}; give numbers from 1 to {T}, such as 1,3,5-{T}.")
        indices += range(first - 1, last)
    return indices


def _join_names(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "no model"
