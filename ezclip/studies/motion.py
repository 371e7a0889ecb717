"""Test whether a model is sensitive to motion in a clip: frames reversed, shuffled, static, slower and faster."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from ezclip.data.tabletop.classes import PARTNER
from ezclip.figures import charts
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, rescale
from ezclip.studies.corruption import frames_for_comparison
from ezclip.studies.declaration import Alias, ClipStudy, ModelsResult
from ezclip.studies.host import Host, digest
from ezclip.studies.predict import caveat_lines, guess_columns, score_text
from ezclip.studies.stage.document import caveat
from ezclip.text.opposites import opposite_of
from ezclip.types import Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from ezclip.checkpoints.identity import Identity
    from ezclip.evaluation.order import Variations
    from ezclip.model.interface import Video
    from ezclip.predictor import Predictor

# changes that bfloat16 rounding alone can cause: of a logit (relative), of a score
BLIND_LOGIT, BLIND_SCORE = 0.01, 0.05
_QUANTITIES = (
    ("score of its answer, %", "score", 100),
    ("rank of its answer", "rank", 1),
    ("Var, unit vectors", "variance", 1),
    ("C, unit vectors", "central_difference", 1),
    ("change of the map, %", "map_change", 100),
)


_Opposite = Parameter(
    "The opposite of the model's answer, tested against it on the clip and its reverse; empty uses the answer's "
    "Tabletop partner, or else the class name that differs from it by opposite words."
)


@dataclass(frozen=True)
class ProbeMotion(ClipStudy):
    """Test whether a model sees motion in a clip: its frames reversed, shuffled, static, at half and double speed.

    Example: python -m ezclip motion clip.mp4 --labels "opening something, closing something"
    """

    verb: ClassVar[str] = "motion"
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("probe"),)
    opposite: Annotated[str, _Opposite] = ""

    def run(self, host: Host) -> Steps[MotionProbes]:
        """Run every variation under each model; values that do not depend on the class names are cached."""
        predictors, model, names, _ = yield from self.prepare(host)
        from ezclip.evaluation.order import read_variations

        decoded: dict[int, Variations] = {}
        probes: dict[str, list[Probe]] = {}
        observations: dict[str, list[Observation]] = {}
        content = digest(self.clip)
        for i, (name, predictor) in enumerate(predictors.items()):
            T, done = frames_for_comparison(predictor, model), i / len(predictors)
            observations[name] = host.cached_list(name, "variations", content, T)
            if not observations[name]:
                if T not in decoded:
                    steps = host.decode(partial(read_variations, self.clip, T), "decoding the variations")
                    decoded[T] = yield from rescale(steps, done, done)
                steps = observe(predictor, decoded[T])
                observations[name][:] = yield from rescale(steps, done, done + 1 / len(predictors), f"{name}: ")
            probes[name] = probe(predictor, observations[name], names, self.prompt_texts(predictor, names))
        label = probes[self.model][0].answer
        opposite = self.opposite.strip() or PARTNER.get(label) or opposite_of(label, names)
        measures = {}
        for name, predictor in predictors.items():
            texts = self.prompt_texts(predictor, [*names, *([opposite] if opposite else [])])
            measures[name] = evidence(predictor, observations[name], names, texts, label, opposite)
        identities = [p.identity for p in predictors.values()]
        warning = caveat(self.clip, names, identities, model.identity)
        return MotionProbes(self, identities, probes, label, opposite, measures, warning)


@dataclass(frozen=True, eq=False)
class Observation:
    """One variation of a clip under a model, independent of class names; R draws (five for "shuffled", else one).

    ``map_change`` is half the L1 distance between the original and the new map of a frame, both normalised to sum 1,
    averaged over the frames that the two clips share: NaN if they share none, 0 for an order-blind model.
    """

    variation: str  # a key of ``order.orders``
    video: Video  # R videos, float32
    variance: float  # Var of the L2-normalised frame embeddings in the formulation of the model; mean over draws
    central_difference: float  # C of the same
    map_change: float  # of the rollout map, in [0, 1] or NaN


@dataclass(frozen=True)
class Probe:
    """A model's prediction for one variation of a clip; numbers are means over the draws."""

    variation: str  # a key of ``order.orders``
    answer: str  # top label of the first draw
    score: float  # of the model's top label for the original clip, in [0, 1]
    logit: float  # of the same label
    rank: float  # of that label, 1 is best
    variance: float  # see ``Observation``
    central_difference: float  # see ``Observation``
    map_change: float  # see ``Observation``
    opposite: str  # of that label; without one the best other label on the reversed clip; "" for a single class name
    opposite_score: float  # in [0, 1]; 0 without an opposite

    def as_json(self) -> Document:
        """Plain values; a map change that cannot be measured is null."""
        return asdict(self) | {"map_change": None if np.isnan(self.map_change) else self.map_change}


def observe(predictor: Predictor, variations: Variations) -> Steps[list[Observation]]:
    """Encode every variation of a video; the original clip ("as it is") comes first."""
    import torch.nn.functional as F

    from ezclip.explanation.maps import explain_clip
    from ezclip.model.interface import Video
    from ezclip.model.spread import spread

    observations: list[Observation] = []
    original_maps: dict[int, np.ndarray] = {}  # by frame index
    for i, name in enumerate(variations.orders):
        yield Progress(i / len(variations.orders), f"frames {name}")
        videos, measures = [], []
        for clip in variations.clips(name):
            encoded = predictor.encode(clip)
            videos.append(encoded.video)
            heat = explain_clip(predictor, encoded, method="rollout").heat
            maps = heat / heat.sum(axis=(1, 2), keepdims=True).clip(1e-12)
            indexed_maps = list(zip(clip.indices.tolist(), maps, strict=True))
            original_maps = original_maps or dict(indexed_maps)
            changes = [np.abs(m - original_maps[t]).sum() / 2 for t, m in indexed_maps if t in original_maps]
            spreads = spread(F.normalize(encoded.frames, dim=-1), predictor.identity.reading)
            measures.append([*map(float, spreads), np.mean(changes) if changes else np.nan])
        observations.append(Observation(name, Video.cat(videos), *np.mean(measures, axis=0).tolist()))
    return observations


def probe(
    predictor: Predictor, observations: list[Observation], labels: list[str], sentences: dict[str, list[str]]
) -> list[Probe]:
    """The predictions for a model's observations of the variations, the original clip first."""
    ranked = {
        o.variation: [predictor.rank(o.video[r : r + 1], labels, sentences) for r in range(len(o.video.frames))]
        for o in observations
    }
    top = ranked["as it is"][0][0].label
    others = [p.label for p in ranked["reversed"][0] if p.label != top]
    opposite = PARTNER[top] if PARTNER.get(top) in others else opposite_of(top, others) or next(iter(others), "")
    probes: list[Probe] = []
    for o in observations:
        draws = ranked[o.variation]
        top_values = [next((p.score, p.logit, r) for r, p in enumerate(d, 1) if p.label == top) for d in draws]
        score, logit, rank = np.mean(top_values, axis=0).tolist()
        opposite_score = float(np.mean([sum(p.score for p in d if p.label == opposite) for d in draws]))
        measures = o.variance, o.central_difference, o.map_change
        probes.append(Probe(o.variation, draws[0][0].label, score, logit, rank, *measures, opposite, opposite_score))
    return probes


def evidence(
    predictor: Predictor,
    observations: list[Observation],
    labels: list[str],
    sentences: dict[str, list[str]],
    label: str,
    opposite: str,
) -> Document:
    """Measures of ``evaluation.evidence`` on one clip for ``label``, whose opposite may be "".

    ``sentences`` are those of all labels and of the opposite.
    """
    import torch

    from ezclip.evaluation.evidence import annotate, opposite_text, single_frame_values, single_frames
    from ezclip.model.interface import class_scores
    from ezclip.model.spread import curvature

    videos = {o.variation: o.video for o in observations}
    original, model = videos["as it is"], predictor.model

    @torch.inference_mode()
    def scores(video: Video, names: list[str]) -> Tensor:
        texts = predictor.encode_texts([text for name in names for text in sentences[name]])
        return class_scores(model.scores(video.to(texts.device), texts), len(names)).cpu()

    alone = scores(original.split_frames(), labels).unsqueeze(0)  # (1, T, C)
    values = single_frame_values(single_frames(alone, torch.tensor([labels.index(label)])))
    values["curvature"] = float(curvature(original.frames)[0])
    if model.order_blind:
        values["order_blind"] = 1.0
    elif opposite and model.min_texts <= 2:
        forward, backward = [scores(videos[variation], [label, opposite]) for variation in ("as it is", "reversed")]
        shares = opposite_text(forward, backward)
        values |= dict(zip(("opposite_text_v2t", "opposite_text_t2v"), shares, strict=True))
    return annotate(values)


def verdict(model: Identity, probes: list[Probe], caveat: str = "") -> str:
    """A sentence on whether a model sees the order of the frames; without scores if there is a caveat."""
    name = model.name
    by_variation = {p.variation: p for p in probes}
    original, backward, shuffled = (by_variation[v] for v in ("as it is", "reversed", "shuffled"))
    if model.order_blind:
        return (
            f"{name} does not see the order of the frames, whatever the clip: it encodes them one by one and averages. "
            f"Reversed or shuffled, it predicts “{original.answer}”."
        )
    change = max(abs(p.logit - original.logit) for p in (backward, shuffled))
    same = original.answer == backward.answer == shuffled.answer
    same = same and abs(backward.score - original.score) < BLIND_SCORE
    if same and change < BLIND_LOGIT * max(abs(original.logit), 1.0):
        return f"{name} does not see the order of the frames: reversed or shuffled, it predicts “{original.answer}”."
    if backward.answer != original.answer:
        return f"{name} sees order here: reversed, “{original.answer}” becomes “{backward.answer}”."
    prefix = f"{name} sees order, but keeps its prediction: reversed, “{original.answer}”"
    if caveat:
        return f"{prefix} becomes {'less' if backward.score < original.score else 'more'} likely."
    return f"{prefix} goes from {original.score:.0%} to {backward.score:.0%}."


@dataclass(frozen=True, eq=False)
class MotionProbes(ModelsResult[ProbeMotion]):
    """The predictions of every model for the variations of a clip."""

    probes: dict[str, list[Probe]]
    label: str  # the answer of the model under study
    opposite: str  # of the label; empty if there is none
    evidence: dict[str, Document]  # by model, see ``evidence``
    caveat: str = ""  # why the predictions are guesses, see ``stage.document.caveat``

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each model."""
        return [verdict(model, self.probes[model.name], self.caveat) for model in self.identities]

    def informative_probes(self, name: str) -> list[Probe]:
        """The probes of a model; of an order-blind one without those of other frame orders."""
        blind = next(i.order_blind for i in self.identities if i.name == name)
        return [p for p in self.probes[name] if not (blind and p.variation in ("reversed", "shuffled"))]

    def as_json(self) -> Document:
        """The probes and verdicts of every model; "evidence" explains each measure with a reference value."""
        models = {name: [p.as_json() for p in probes] for name, probes in self.probes.items()}
        return {"clip": Path(self.study.clip).name, "models": models, "verdicts": self.verdicts} | {
            "caveat": self.caveat.strip() or None,
            "label": self.label,
            "opposite": self.opposite or None,
            "evidence": self.evidence,
        }

    def text(self) -> str:
        """A line per probe, and the verdicts; if they are guesses, the reason instead of scores."""
        lines = caveat_lines(self.caveat)
        for name in self.probes:
            rows = [(p, score_text(p.score, self.caveat)) for p in self.informative_probes(name)]
            lines += [name, *(f"  {p.variation:<17} {score:>6}  rank {p.rank:.1f}  {p.answer}" for p, score in rows)]
        return "\n".join([*lines, *self.verdicts])

    def chart(self) -> Figure:
        """Every quantity under each variation, one colour per model."""
        variations = [p.variation for p in next(iter(self.probes.values()))]
        rows = {
            title: {name: [factor * getattr(p, key) for p in probes] for name, probes in self.probes.items()}
            for title, key, factor in _QUANTITIES
            if not (self.caveat and key == "score")
        }
        return charts.panels(variations, rows, title="Each model's label for the original clip, its frames and its map")

    def slopes(self) -> Figure:
        """Scores of each model's answer and of its opposite, forward and reversed."""
        series = {}
        for name, probes in self.probes.items():
            original, backward = ({p.variation: p for p in probes}[v] for v in ("as it is", "reversed"))
            series[name] = [(original.answer, original.score, backward.score)]
            if original.opposite:
                series[name].append((original.opposite, original.opposite_score, backward.opposite_score))
        figure = charts.slopes(series, ends=("forward", "reversed"), title="Scores when the clip is reversed")
        if self.caveat:
            charts.hide_numbers(figure, "y")
        return figure

    def measures(self) -> Table:
        """The evidence: a row per measure, with its meaning and a reference value."""
        from ezclip.evaluation.summary import evidence_table

        opposite = f" Opposite: {self.opposite}." if self.opposite else ""
        note = f"On this clip, for the label “{self.label}”.{opposite}"
        return evidence_table(self.evidence, "Evidence of motion", note)

    def report(self) -> Report:
        """The verdicts, the charts and the table of all probes."""
        rows = [[name, *asdict(p).values()] for name, probes in self.probes.items() for p in probes]
        columns = ["model", *(field.name for field in fields(Probe))]
        note = "score, logit and rank are of the model's top label for the original clip."
        slopes = Picture("slopes", "Forward and reversed", self.slopes(), "Solid: its answer; dashed: the opposite.")
        chart = Picture("variations", "Variations of the clip, as bars", self.chart())
        table = Table("probes", "Variations of the clip", columns, rows, note, guesses=guess_columns(self.caveat))
        parts = [slopes, self.measures(), chart, table]
        lead, clip = self.caveat + " ".join(self.verdicts), Path(self.study.clip).name
        return self._report("Test of motion", lead, parts, clip=clip, texts=self.study.texts)
