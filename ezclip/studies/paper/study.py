"""Figures like the paper's Fig. 4, 5, 7 and 8, from clips or from results that are there already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
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
from ezclip.progress import Steps, within
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
MOST_CLASSES = 20
INPUT, DIFFERENCE = "input", "difference"  # rows that are no model's
USUAL = {"4": BASELINE, "5": BASELINE, "7": "", "8": "tabletop/prompts"}  # baseline of each figure
EXAMPLES = {  # shipped samples, where no clips are given
    "4": ("03_putting_into", "19_fast"),
    "7": ("12_unseen_background", "13_lifting_under_water", "14_crowd", "17_drawing"),
    "8": ("01_*", "02_*", "03_*", "04_*", "05_*", "06_*", "18_*", "19_*"),
}
_Figure = Parameter(
    "Figure of the paper: 4 attention maps, 5 class by class, 7 maps out of distribution, 8 frame embeddings.",
    choices=tuple(USUAL),
    kind="query",
)
_Clips = Parameter(
    "Video files or folders of frames; for figure 5 a manifest or folder of classes, or predictions.csv of two models. "
    "None takes shipped samples and results.",
    kind="clips",
)
_Baseline = Parameter(
    "Model to compare with; empty takes tabletop/base, or tabletop/prompts for figure 8.", kind="model"
)
_Rows = Parameter(
    "Rows of figures 4 and 7: input, difference or names of models; none takes the input and the models.",
    "Rows",
    kind="models",
)
_Numbers = Parameter(
    "Frames of figures 4 and 7 by number, such as 1,3,5-8; empty takes as many as are half an inch wide.", "Frames"
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
        named = [name for name in self.rows if name not in (INPUT, DIFFERENCE)]
        return list(dict.fromkeys(filter(None, [self._against, *named, self.model])))

    @property
    def _against(self) -> str:
        """The baseline; none where it is neither drawn nor asked for."""
        return self.baseline or USUAL[self.figure] or (BASELINE if DIFFERENCE in self.rows else "")

    def run(self, host: Host) -> Steps[Drawn]:
        """Ask the study that the figure is made from, and draw its result."""
        clips, values = self.clips or _examples(self.figure), values_of(self) | {"baseline": self._against}
        if self.figure == "8":
            return self.of_frames((yield from build(CompareFrames, values | {"clips": clips}).run(host)))
        if self.figure == "5":
            return self.of_classes((yield from self._class_study(values).run(host)))
        further = {"further": tuple(self.models()), "difference": DIFFERENCE in self.rows}
        found: list[Analysis] = []
        for i, clip in enumerate(clips):
            one = build(Analyse, values | further | {"clip": clip})
            found.append((yield from within(one.run(host), i / len(clips), (i + 1) / len(clips))))
        return self.of_analyses(found)

    def _class_study(self, values: dict[str, Any]) -> Evaluate | Classes:
        if len(self.clips) > 2:
            raise UserError(f"{len(self.clips)} inputs were given; figure 5 takes one data set or two tables.")
        if len(self.clips) == 1:
            return build(Evaluate, values | {"data": self.clips[0]})
        if self.clips:
            return Classes(*self.clips)
        return Classes(*(name.removeprefix(_SHIPPED) for name in (values["baseline"], self.model)))

    def of_analyses(self, found: Sequence[Analysis]) -> Drawn:
        """Figure 4 or 7 of analysed clips."""
        first, T = found[0], min(len(one.clip) for one in found)
        rows = self.rows or (INPUT, *(r.name for r in first.results))
        known = {r.name for r in first.results} | {INPUT, DIFFERENCE}
        if unknown := [row for row in rows if row not in known]:
            raise UserError(f"There is no row {unknown[0]!r}; choose among {', '.join(sorted(known))}.")
        chosen = _numbers(self.frame_numbers, T) or paper.frames_that_fit(T, len(found), self.look)
        limit = maps.shared_limit(
            [r.attribution for one in found for r in one.results if r.name in rows] or [first.model.attribution]
        )
        apart = [one.difference for one in found if DIFFERENCE in rows]
        if any(one is None for one in apart):
            raise UserError("These maps cannot be subtracted; give a baseline with maps of the same grid.")
        limits = [maps.difference_limit(np.concatenate([d for d in apart if d is not None]))] if apart else []
        strips = [self._strip(one, rows, chosen, limit, *limits) for one in found]
        heats = [r.attribution.heat for one in found for r in one.results]
        shares = all(heat.sum() <= 1.001 for heat in heats)
        unit = heats[0].size if shares else 1 / max(float(np.mean([heat.mean() for heat in heats])), 1e-12)
        meaning = "× uniform" if shares else "× the mean"
        signed = first.model.attribution.signed is not None
        scales = []
        if any(row in known - {INPUT, DIFFERENCE} for row in rows):
            low, cmap = (-limit, maps.DIFFERENCE) if signed else (0.0, CMAP)
            scales.append((ScalarMappable(Normalize(low * unit, limit * unit), cmap), f"heat, {meaning}"))
        if limits:
            ends = Normalize(-limits[0] * unit, limits[0] * unit)
            scales.append((ScalarMappable(ends, maps.DIFFERENCE), f"model minus baseline, {meaning}"))
        drawn = paper.strips(strips, self.look, scales)
        models = [row for row in rows if row not in (INPUT, DIFFERENCE)]
        parts = [
            f"{'Attention maps' if self.method == DEFAULT_METHOD else f'Maps ({self.method})'} of {_listed(models)}"
        ]
        parts[0] += f"; rows: {', '.join(rows)}. Brighter and more opaque is more heat, on one scale for all maps."
        for letter, one in zip("abcdefghijklmnopqrstuvwxyz", found):
            parts.append(f"({letter}) {one.verdict}" if len(found) > 1 else one.verdict)
        paths = {one.clip.name: str(one.study["clip"]) for one in found}
        identities = [r.identity for r in first.results if r.name in rows or r.name in self.models()]
        return self._drawn(drawn, " ".join(parts), identities, paths)

    def _strip(
        self, one: Analysis, rows: Sequence[str], chosen: list[int], limit: float, apart: float = 1.0
    ) -> paper.Strip:
        whole = one.model.attribution.seen
        pixels = ceil(paper.DPI * self.look.width / len(chosen))
        results, pictures = {r.name: r.attribution for r in one.results}, []
        for row in rows:
            seen = results[row].seen if row in results else whole
            frames = maps.square(one.clip.images[chosen], pixels, seen)
            if row == DIFFERENCE and one.difference is not None:
                values = (one.difference[chosen] / apart + 1) / 2
                frames = maps.overlay(frames, values, 1.0, self.opacity, maps.DIFFERENCE, proportional=True)
            elif row in results:
                values, cmap = maps.coloured(results[row], limit)
                cmap = CMAP if cmap == maps.CMAP else cmap
                frames = maps.overlay(frames, values[chosen], 1.0, self.opacity, cmap, proportional=True)
            pictures.append((row, frames))
        return paper.Strip(Path(one.clip.name).stem, one.clip.seconds[chosen].tolist(), pictures)

    def of_classes(self, found: ClassStudy) -> Drawn:
        """Figure 5 of two models on the same clips; raises UserError for one model."""
        if found.comparison is None:
            raise UserError("Figure 5 compares two models; give a baseline.")
        comparison, plane = found.comparison, found.class_map
        gains = [(d.label, d.first, (d.difference, d.low, d.high)) for d in comparison.classes]
        rows = charts.most_changed(gains, MOST_CLASSES)
        planes = dict(zip(plane.models, plane.points, strict=True)) if plane else {}
        labels = [row.label for row in plane.rows] if plane else []
        drawn = paper.classes(rows, comparison.models, self.look, planes, labels)
        first, second = comparison.models
        parts = [
            f"Top-1 accuracy from {first} (grey) to {second} (blue) on the {len(rows)} of {len(gains)} classes that "
            f"change most; the band is the 95 % paired bootstrap interval of the change. {found.verdict}"
        ]
        if plane:
            parts.append(
                f"Numbers mark the classes whose videos are shown under both models ({plane.method}). {plane.note}"
            )
        known = found.identities or [_shipped(e.model) for e in found.evaluations if not self.clips]
        paths = {f"{i + 1}. {Path(path).name}": path for i, path in enumerate(self.clips)}
        return self._drawn(drawn, " ".join(parts), known, paths)

    def of_frames(self, found: FramePlane) -> Drawn:
        """Figure 8 of frames in one plane."""
        rows, copies = found.rows(), found.rows(copy=True)
        panel, group = ([str(row[i]) for row in rows + copies] for i in (0, 1))
        group = [str(Path(name).stem) for name in group]
        hollow = [False] * len(rows) + [True] * len(copies)
        drawn = paper.plane(np.concatenate([found.points, found.copies]), panel, group, hollow, self.look)
        caption = (
            f"Frame embeddings of {len(found.clips)} clips ({found.method}, one fit for both models, trustworthiness "
            f"{found.trust}); {found.difference}. One colour per clip, frames joined in time, 1 is the first frame; "
            f"hollow: static copies. {found.verdict}"
        )
        paths = {Path(path).name: path for path in found.study.clips}
        return self._drawn(drawn, caption, found.identities, paths)

    def _drawn(self, figure: Figure, caption: str, models: list[Identity], paths: dict[str, str]) -> Drawn:
        return Drawn(self, figure, caption, models, {name: digest(path) for name, path in paths.items()})


@dataclass(frozen=True, eq=False)
class Drawn(Result):
    """A figure with its caption."""

    study: PaperFigure
    figure: Figure
    caption: str  # plain text
    identities: list[Identity]  # of the models, as far as they are known
    clips: dict[str, str]  # name -> sha256

    @property
    def name(self) -> str:
        """Of its files, without the suffix."""
        return f"figure{self.study.figure}"

    @property
    def made_of(self) -> dict[str, str]:
        """Models with the hashes of their weights, clips with theirs, versions and the command."""
        weights = {
            f"model {one.name}": ", ".join(
                f"{part} sha256 {value}"
                for part, value in (("adapter", one.adapter_sha256), ("backbone", one.backbone_sha256))
                if value
            )
            for one in self.identities
        }
        clips = {f"clip {name}": f"sha256 {value}" for name, value in self.clips.items()}
        return weights | clips | {"versions": provenance([])["versions"], "command": self.study.command()}

    def as_json(self) -> Document:
        """Figure, caption, and what it was made of."""
        return {"figure": self.study.figure, "caption": self.caption, "made_of": self.made_of}

    def text(self) -> str:
        """The caption."""
        return self.caption

    def report(self) -> Report:
        """The figure as a page."""
        return Report(
            self.name, self.caption, self.as_json(), self.made_of, [Picture(self.name, self.name, self.figure)]
        )

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write PDF, SVG, PNG, the LaTeX file and what the command reads into a folder; kind or name -> path."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        files = paper.save(self.figure, out, self.name, self.study.look)
        told = {"tex": (f"{self.name}.tex", latex(self.name, self.caption, self.made_of, self.study.look))}
        for kind, (name, text) in (
            told | {name: (name, text) for name, text in self.study.companions().items()}
        ).items():
            files[kind] = out / name
            write_atomically(files[kind], lambda path, text=text: path.write_text(text, encoding="utf-8"))
        return files


def figure_of(found: Analysis | ClassStudy | FramePlane, **chosen: Any) -> Drawn:
    """The figure of a result that is there already: 4, 5 or 8.

    ``chosen`` are parameters of ``PaperFigure``, such as rows, frames and look; the others are those of the result.
    """
    if isinstance(found, Analysis):
        values = values_of(found.repeated) | {"figure": "4", "clips": (found.study["clip"],), "opacity": None}
        return build(PaperFigure, values | chosen).of_analyses([found])
    if isinstance(found, FramePlane):
        return build(PaperFigure, values_of(found.study) | {"figure": "8"} | chosen).of_frames(found)
    values: dict[str, Any] = {"figure": "5"}
    if isinstance(found.study, Evaluate):
        values |= values_of(found.study) | {"clips": (found.study.data,)}
    elif found.study is not None:
        given = (found.study.first, found.study.second)
        shipped = set(given) <= set(shipped_variants())
        named = dict(zip(("baseline", "model"), (_SHIPPED + name for name in given), strict=True))
        values |= named if shipped else {"clips": given}
    return build(PaperFigure, values | chosen).of_classes(found)


def _shipped(variant: str) -> Identity:
    """The shipped model of that name, without loading it."""
    folder = model_folder(_SHIPPED + variant)
    backbone, adapter = read_config(folder).backbone_sha256, sha256_of(folder / ADAPTER)
    return Identity(_SHIPPED + variant, backbone_sha256=backbone, adapter_sha256=adapter)


def _examples(figure: str) -> tuple[str, ...]:
    found = [str(path) for name in EXAMPLES.get(figure, ()) for path in SAMPLES.glob(f"{name}.mp4")]
    if not found and figure != "5":
        raise UserError(NO_CLIP)
    return tuple(found)


def _numbers(text: str, T: int) -> list[int]:
    """Places in [0, T) of frames like "1,3,5-8"; raises UserError for others."""
    found: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        span = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, 0)
        if not 1 <= first <= last <= T:
            raise UserError(f"There is no frame {part!r}; give numbers from 1 to {T}, such as 1,3,5-{T}.")
        found += range(first - 1, last)
    return found


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "no model"
