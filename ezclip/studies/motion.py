"""Tests whether a model sees motion in one clip: its frames reversed, shuffled, static, slower and faster."""

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
from ezclip.progress import Progress, Steps, within
from ezclip.studies.corruption import frames_beside
from ezclip.studies.declaration import Alias, ClipStudy, ModelsResult
from ezclip.studies.host import Host, digest
from ezclip.studies.predict import caveat_lines, guessed, sure
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

BLIND = 0.01  # relative change of a logit that bfloat16 alone can cause
BLIND_SCORE = 0.05  # and of a score
_QUANTITIES = (
    ("score of its answer, %", "score", 100),
    ("rank of its answer", "rank", 1),
    ("Var, unit vectors", "variance", 1),
    ("C, unit vectors", "central_difference", 1),
    ("change of the map, %", "map_change", 100),
)


_Opposite = Parameter(
    "The opposite of the model's answer, tested against it on the clip and its reverse; empty takes the answer's "
    "partner on Tabletop, else the class name that differs from it by opposite words."
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
        """Run every variation under each model; what does not depend on the class names is cached."""
        predictors, model, names, _ = yield from self.prepare(host)
        from ezclip.evaluation.order import read_variations

        decoded: dict[int, Variations] = {}
        probes: dict[str, list[Probe]] = {}
        observed: dict[str, list[Observation]] = {}
        content = digest(self.clip)
        for i, (name, predictor) in enumerate(predictors.items()):
            T, done = frames_beside(predictor, model), i / len(predictors)
            seen: list[Observation] = host.kept(name, "variations", content, T)
            if not seen:
                if T not in decoded:
                    steps = host.decode(partial(read_variations, self.clip, T), "decoding the variations")
                    decoded[T] = yield from within(steps, done, done)
                steps = observe(predictor, decoded[T])
                seen[:] = yield from within(steps, done, done + 1 / len(predictors), f"{name}: ")
            probes[name] = probe(predictor, seen, names, self.prompt_texts(predictor, names))
            observed[name] = seen
        label = probes[self.model][0].answer
        opposite = self.opposite.strip() or PARTNER.get(label) or opposite_of(label, names)
        measures = {}
        for name, predictor in predictors.items():
            texts = self.prompt_texts(predictor, [*names, *([opposite] if opposite else [])])
            measures[name] = evidence(predictor, observed[name], names, texts, label, opposite)
        identities = [p.identity for p in predictors.values()]
        guesses = caveat(self.clip, names, identities, model.identity)
        return MotionProbes(self, identities, probes, label, opposite, measures, guesses)


@dataclass(frozen=True, eq=False)
class Observation:
    """One variation of a clip under a model, independent of class names; R draws, five for "shuffled", else one.

    A map changes by half the sum of absolute differences between the two maps of one frame, each scaled to sum 1,
    averaged over the frames that both contain: NaN where they share none, 0 for a model that is blind to order.
    """

    variation: str  # a key of ``order.orders``
    video: Video  # R videos, float32
    variance: float  # Var of the L2-normalised frame embeddings in the model's formulation; mean over the draws
    central_difference: float  # C of the same
    map_change: float  # of the rollout map against the clip as it is, in [0, 1] or NaN


@dataclass(frozen=True)
class Probe:
    """A model's prediction for one variation of a clip; means over the draws."""

    variation: str  # a key of ``order.orders``
    answer: str  # the top label, of the first draw
    score: float  # of the model's top label for the original clip, in [0, 1]
    logit: float  # of the same label
    rank: float  # of that label, 1 is best
    variance: float  # see ``Observation``
    central_difference: float  # see ``Observation``
    map_change: float  # see ``Observation``
    opposite: str  # the opposite of that label, else the best other label reversed; "" for a single class name
    opposite_score: float  # of the opposite, in [0, 1]; 0 where there is none

    def as_json(self) -> Document:
        """Plain values; a map change that cannot be measured is null."""
        return asdict(self) | {"map_change": None if np.isnan(self.map_change) else self.map_change}


def observe(predictor: Predictor, variations: Variations) -> Steps[list[Observation]]:
    """Encode every variation of a video, with as many frames as the model takes; "as it is" comes first."""
    import torch.nn.functional as F

    from ezclip.explanation.maps import explain_clip
    from ezclip.model.interface import Video
    from ezclip.model.spread import spread

    observed: list[Observation] = []
    plain: dict[int, np.ndarray] = {}  # maps of the original clip, by frame
    for i, name in enumerate(variations.orders):
        yield Progress(i / len(variations.orders), f"frames {name}")
        videos, measured = [], []
        for clip in variations.clips(name):
            encoded = predictor.encode(clip)
            videos.append(encoded.video)
            heat = explain_clip(predictor, encoded, method="rollout").heat
            maps = heat / heat.sum(axis=(1, 2), keepdims=True).clip(1e-12)
            shown = list(zip(clip.indices.tolist(), maps, strict=True))
            plain = plain or dict(shown)
            moved = [np.abs(m - plain[index]).sum() / 2 for index, m in shown if index in plain]
            spreads = spread(F.normalize(encoded.frames, dim=-1), predictor.identity.reading)
            measured.append([*map(float, spreads), np.mean(moved) if moved else np.nan])
        observed.append(Observation(name, Video.cat(videos), *np.mean(measured, axis=0).tolist()))
    return observed


def probe(
    predictor: Predictor, observed: list[Observation], labels: list[str], sentences: dict[str, list[str]] | None = None
) -> list[Probe]:
    """The prediction for each variation, "as it is" first, of the model that made the observations."""
    ranked = {
        o.variation: [predictor.rank(o.video[r : r + 1], labels, sentences) for r in range(len(o.video.frames))]
        for o in observed
    }
    own = ranked["as it is"][0][0].label
    others = [p.label for p in ranked["reversed"][0] if p.label != own]
    opposite = PARTNER[own] if PARTNER.get(own) in others else opposite_of(own, others) or next(iter(others), "")
    probes: list[Probe] = []
    for o in observed:
        draws = ranked[o.variation]
        places = [next((p.score, p.logit, r) for r, p in enumerate(d, 1) if p.label == own) for d in draws]
        score, logit, rank = np.mean(places, axis=0).tolist()
        against = float(np.mean([sum(p.score for p in d if p.label == opposite) for d in draws]))
        measured = o.variance, o.central_difference, o.map_change
        probes.append(Probe(o.variation, draws[0][0].label, score, logit, rank, *measured, opposite, against))
    return probes


def evidence(
    predictor: Predictor,
    observed: list[Observation],
    labels: list[str],
    sentences: dict[str, list[str]],
    label: str,
    opposite: str,
) -> Document:
    """Measures of ``evaluation.evidence`` on one clip, for one of the labels; ``opposite`` is "" where it has none.

    The sentences are those of the labels and of the opposite.
    """
    import torch

    from ezclip.evaluation.evidence import opposite_text, single_frame_values, single_frames, told
    from ezclip.model.interface import class_scores
    from ezclip.model.spread import curvature

    videos = {o.variation: o.video for o in observed}
    plain, model = videos["as it is"], predictor.model

    @torch.inference_mode()
    def scores(video: Video, names: list[str]) -> Tensor:
        texts = predictor.encode_texts([text for name in names for text in sentences[name]])
        return class_scores(model.scores(video.to(texts.device), texts), len(names)).cpu()

    alone = scores(plain.alone(), labels).unsqueeze(0)  # (1, T, C)
    values = single_frame_values(single_frames(alone, torch.tensor([labels.index(label)])))
    values["curvature"] = float(curvature(plain.frames)[0])
    if model.order_blind:
        values["order_blind"] = 1.0
    elif opposite and model.fewest <= 2:
        both = [scores(videos[variation], [label, opposite]) for variation in ("as it is", "reversed")]
        shares = opposite_text(*both)
        values |= dict(zip(("opposite_text_v2t", "opposite_text_t2v"), shares, strict=True))
    return told(values)


def verdict(model: Identity, probes: list[Probe], caveat: str = "") -> str:
    """A verdict from the measured values, with a caveat without scores; of an order-blind model, why it is."""
    name = model.name
    by = {p.variation: p for p in probes}
    plain, turned, shuffled = by["as it is"], by["reversed"], by["shuffled"]
    if model.order_blind:
        return (
            f"{name} does not see the order of the frames, whatever the clip: it encodes them one by one and averages. "
            f"Reversed or shuffled, it predicts “{plain.answer}”."
        )
    change = max(abs(p.logit - plain.logit) for p in (turned, shuffled))
    same = plain.answer == turned.answer == shuffled.answer and abs(turned.score - plain.score) < BLIND_SCORE
    if same and change < BLIND * max(abs(plain.logit), 1.0):
        return f"{name} does not see the order of the frames: reversed or shuffled, it predicts “{plain.answer}”."
    if turned.answer != plain.answer:
        return f"{name} sees order here: reversed, “{plain.answer}” becomes “{turned.answer}”."
    kept = f"{name} sees order, but keeps its prediction: reversed, “{plain.answer}”"
    if caveat:
        return f"{kept} becomes {'less' if turned.score < plain.score else 'more'} likely."
    return f"{kept} goes from {plain.score:.0%} to {turned.score:.0%}."


@dataclass(frozen=True, eq=False)
class MotionProbes(ModelsResult[ProbeMotion]):
    """Every model's predictions for the variations of a clip."""

    probes: dict[str, list[Probe]]
    label: str  # the answer of the model under study
    opposite: str  # of the label; empty if there is none
    evidence: dict[str, Document]  # by model, see ``evidence``
    caveat: str = ""  # why the answers are guesses; empty where clip and names are like the training data

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each model."""
        return [verdict(model, self.probes[model.name], self.caveat) for model in self.identities]

    def shown(self, name: str) -> list[Probe]:
        """A model's probes; without those of other orders where no order can change anything."""
        blind = next(i.order_blind for i in self.identities if i.name == name)
        return [p for p in self.probes[name] if not (blind and p.variation in ("reversed", "shuffled"))]

    def as_json(self) -> Document:
        """The clip, every model's probes, and the verdicts; "evidence" of the clip for the model's answer.

        Each measure of the evidence has its value, its meaning and a reference value.
        """
        models = {name: [p.as_json() for p in probes] for name, probes in self.probes.items()}
        return {"clip": Path(self.study.clip).name, "models": models, "verdicts": self.verdicts} | {
            "caveat": self.caveat.strip() or None,
            "label": self.label,
            "opposite": self.opposite or None,
            "evidence": self.evidence,
        }

    def text(self) -> str:
        """A line for each probe, and the verdicts; where they are guesses, why, and no scores."""
        lines = caveat_lines(self.caveat)
        for name in self.probes:
            probes = self.shown(name)
            sures = [sure(p.score, self.caveat) for p in probes]
            rows = zip(probes, sures, strict=True)
            lines += [name, *(f"  {p.variation:<17} {score:>6}  rank {p.rank:.1f}  {p.answer}" for p, score in rows)]
        return "\n".join([*lines, *self.verdicts])

    def chart(self) -> Figure:
        """Every quantity under each variation, one colour a model."""
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
            plain, turned = ({p.variation: p for p in probes}[v] for v in ("as it is", "reversed"))
            against = [(plain.opposite, plain.opposite_score, turned.opposite_score)] if plain.opposite else []
            series[name] = [(plain.answer, plain.score, turned.score), *against]
        figure = charts.slopes(series, ends=("forward", "reversed"), title="Scores when the clip is reversed")
        if self.caveat:
            charts.hide_numbers(figure, "y")
        return figure

    def measures(self) -> Table:
        """The evidence: a row for each measure, with its meaning and a reference value."""
        from ezclip.evaluation.summary import evidence_table

        opposite = f" Opposite: {self.opposite}." if self.opposite else ""
        note = f"On this clip, for the label “{self.label}”.{opposite}"
        return evidence_table(self.evidence, "Evidence of motion", note)

    def report(self) -> Report:
        """Verdicts, the charts and the table of every model's probes."""
        rows = [[name, *asdict(p).values()] for name, probes in self.probes.items() for p in probes]
        columns = ["model", *(field.name for field in fields(Probe))]
        note = "score, logit and rank are of the model's top label for the original clip."
        slopes = Picture("slopes", "Forward and reversed", self.slopes(), "Solid: its answer; dashed: the opposite.")
        chart = Picture("variations", "Variations of the clip, as bars", self.chart())
        table = Table("probes", "Variations of the clip", columns, rows, note, guesses=guessed(self.caveat))
        parts = [slopes, self.measures(), chart, table]
        lead, clip = self.caveat + " ".join(self.verdicts), Path(self.study.clip).name
        return self._report("Test of motion", lead, parts, clip=clip, texts=self.study.texts)
