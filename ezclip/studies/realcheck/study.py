"""Direction accuracy of models on real pixels: camera motions and moving cut-outs made from photographs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from ezclip.checkpoints.catalog import BASELINE, DEFAULT
from ezclip.data.photographs import PAIRS, Photograph, draw_clips, read_photographs
from ezclip.errors import UserError
from ezclip.figures import charts
from ezclip.figures.maps import draw_thumbnails
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, rescale
from ezclip.studies.corruption import frames_for_comparison
from ezclip.studies.declaration import Baseline, Model, ModelsResult, Study, Texts
from ezclip.studies.host import Host
from ezclip.types import WITHIN_PAIRS, Document

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from ezclip.checkpoints.identity import Identity
    from ezclip.evaluation.metrics import Interval
    from ezclip.predictor import Predictor

KINDS = 2 * len(PAIRS)  # kinds of motion, numbered 2 * pair + direction
READ_SHARE = 0.1  # progress at which the photographs are read
EXAMPLE_FRAMES = 8
FEW_FILES = 10  # with fewer the intervals are rough
_Clips = Parameter("Photographs, videos, or folders of them.", kind="clips")
_Further = Parameter("More models.", kind="models")
_Most = Parameter("Maximum number of files; more are subsampled evenly.", low=1, high=500)
_PerVideo = Parameter("Frames of each video that are used as photographs.", low=1, high=20)
_Seed = Parameter("Seed of the motions and cut-outs.", low=0)


@dataclass(frozen=True)
class CheckReality(Study):
    """Measure whether models see the direction of motions that are made from your own photographs or videos.

    Example: python -m ezclip realcheck holiday_photos --out realcheck
    """

    verb: ClassVar[str] = "realcheck"
    long: ClassVar[bool] = True
    clips: Annotated[tuple[str, ...], _Clips] = ()
    model: Model = DEFAULT
    baseline: Baseline = BASELINE
    texts: Texts = "trained"
    further: Annotated[tuple[str, ...], _Further] = ()
    most: Annotated[int, _Most] = 60
    per_video: Annotated[int, _PerVideo] = 1
    seed: Annotated[int, _Seed] = 0

    def run(self, host: Host) -> Steps[RealityCheck]:
        """Score every clip and its reversal with each model, photograph by photograph."""
        if not self.clips:
            raise UserError("No photographs yet: give photographs, videos or folders of them.")
        predictors = yield from host.predictors(self.models())
        read = partial(read_photographs, self.clips, self.per_video, self.most)
        reading = host.decode(lambda report: read(report=report), "reading the photographs")
        photographs, skipped = yield from rescale(reading, 0, READ_SHARE)
        model = predictors[self.model]
        classes = {name: class_names(p.identity) for name, p in predictors.items()}
        texts = {name: encode_names(p, classes[name], self.texts) for name, p in predictors.items()}
        scores: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
        for i in range(len(photographs)):
            message = f"photograph {i + 1} of {len(photographs)}"
            clips: dict[int, np.ndarray] = {}
            for m, (name, predictor) in enumerate(predictors.items()):
                done = (i + m / len(predictors)) / len(photographs)
                yield Progress(READ_SHARE + (1 - READ_SHARE) * done, f"{message}: {name}")
                T = frames_for_comparison(predictor, model)
                if T not in clips:
                    clips[T] = self.draw_clips(photographs, i, T)
                scores[name].append(score_clips(predictor, clips[T], texts[name]))
        groups = np.unique([p.source for p in photographs], return_inverse=True)[1]
        stacked = {name: np.stack(values) for name, values in scores.items()}
        examples = self.draw_clips(photographs, 0, EXAMPLE_FRAMES)
        identities = [p.identity for p in predictors.values()]
        return RealityCheck(self, identities, stacked, classes, groups, examples, skipped)

    def draw_clips(self, photographs: list[Photograph], i: int, T: int) -> np.ndarray:
        """Draw the clips of photograph ``i``; cut-outs come from another file if possible."""
        rng = np.random.default_rng([self.seed, i])
        background = photographs[i]
        others = [p for p in photographs if p.source != background.source] or photographs
        return draw_clips(background.image, others[rng.integers(len(others))].image, T, rng)


def class_names(identity: Identity) -> list[str]:
    """The class names of the kinds of motion: those of Tabletop for models trained on them, else plain words."""
    tabletop = [name for pair in PAIRS for name in pair.tabletop]
    trained = set(tabletop) <= set(identity.labels)
    return tabletop if trained else [name for pair in PAIRS for name in pair.words]


def encode_names(predictor: Predictor, names: list[str], texts: str) -> Tensor:
    """Embeddings of the prompt texts of class names, name by name, (KINDS * texts, E)."""
    sentences = predictor.sentences(names, texts)
    return predictor.encode_texts([sentence for name in names for sentence in sentences[name]])


def score_clips(predictor: Predictor, clips: np.ndarray, texts: Tensor) -> np.ndarray:
    """Scores of clips and their reversals among the kinds of motion.

    Args:
        predictor: the model.
        clips: uint8 (pairs, T, H, W, 3), first directions.
        texts: embeddings of the prompt texts, equally many for each kind, (KINDS * texts, E).

    Returns:
        (KINDS, KINDS) float32, row 2 * pair + direction, each row sums to 1.
    """
    import torch

    from ezclip.model.interface import class_scores
    from ezclip.video.transforms import to_device

    model = predictor.model
    with torch.inference_mode():
        forwards = torch.stack([model.preprocess(clip) for clip in clips])
        both = torch.stack([forwards, forwards.flip(1)], dim=1).flatten(0, 1)  # (KINDS, T, 3, S, S)
        video = model.encode(model.normalise(to_device(both, predictor.device)))
        return class_scores(model.scores(video, texts), KINDS).cpu().numpy()


def within_pairs(scores: np.ndarray) -> np.ndarray:
    """Whether the true class of each clip outscores that of its reversal; a tie is 0.5.

    Args:
        scores: (G, KINDS, KINDS) of G photographs, see ``score_clips``.

    Returns:
        (G, pairs, 2) of 0, 0.5 and 1.
    """
    kinds = np.arange(KINDS)
    true, opposite = scores[:, kinds, kinds], scores[:, kinds, kinds ^ 1]
    return ((true > opposite) + 0.5 * (true == opposite)).reshape(len(scores), len(PAIRS), 2)


@dataclass(frozen=True)
class Accuracy:
    """Direction accuracy of a model with 95 % intervals, and its top-1 among the kinds of motion (chance 1 / 12)."""

    overall: Interval
    moves: dict[str, Interval]  # "camera" and "things"
    pairs: dict[str, Interval]  # by name of the pair
    top1: Interval


@dataclass(frozen=True, eq=False)
class RealityCheck(ModelsResult[CheckReality]):
    """The scores of every model for the clips of G photographs and their reversals."""

    scores: dict[str, np.ndarray]  # (G, KINDS, KINDS), see ``score_clips``
    classes: dict[str, list[str]]  # KINDS class names
    groups: np.ndarray  # (G,) int64, index of the file of each photograph
    examples: np.ndarray  # the clips of the first photograph, see ``draw_clips``
    skipped: list[tuple[str, str]]  # (unusable file, reason)

    @property
    def files(self) -> int:
        """Number of files with photographs."""
        return int(self.groups.max()) + 1

    @property
    def warnings(self) -> list[str]:
        """Limitations of the result."""
        notes = [f"Files that were not used: {len(self.skipped)}; first: {self.skipped[0][1]}"] if self.skipped else []
        few = self.files < FEW_FILES
        return notes + ([f"With {self.files} files the intervals are rough; give more."] if few else [])

    @cached_property
    def accuracies(self) -> dict[str, Accuracy]:
        """By model; intervals by bootstrap over files, since the clips of a photograph are not independent."""
        from ezclip.evaluation.metrics import grouped_interval

        def interval(values: np.ndarray) -> Interval:
            flat = values.reshape(len(values), -1)
            return grouped_interval(flat.ravel(), self.groups.repeat(flat.shape[1]))

        accuracies = {}
        for name, scores in self.scores.items():
            right = within_pairs(scores)
            moves = {m: interval(right[:, [p.moves == m for p in PAIRS]]) for m in ("camera", "things")}
            pairs = {pair.name: interval(right[:, i]) for i, pair in enumerate(PAIRS)}
            best = scores.argmax(axis=2) == np.arange(KINDS)
            accuracies[name] = Accuracy(interval(right), moves, pairs, interval(best))
        return accuracies

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each model."""
        verdicts = []
        for name, accuracy in self.accuracies.items():
            overall, low, high = accuracy.overall.mean, accuracy.overall.low, accuracy.overall.high
            state = "above chance" if low > 0.5 else "below chance" if high < 0.5 else "not distinguishable from chance"
            parts = ", ".join(f"{key} {value.mean:.0%}" for key, value in accuracy.moves.items())
            span = f"{overall:.1%} of the clips ({low:.1%} to {high:.1%}; {parts})"
            verdicts.append(f"{name} sees the direction in {span}: {state}.")
        return verdicts

    def as_json(self) -> Document:
        """Counts, seed, verdicts, and classes and accuracies of each model."""
        counts = {"files": self.files, "photographs": len(self.groups), "clips": len(self.groups) * KINDS}
        models = {name: {"classes": self.classes[name]} | asdict(a) for name, a in self.accuracies.items()}
        skipped = [list(pair) for pair in self.skipped]
        settings = {"seed": self.study.seed, "texts": self.study.texts, "skipped": skipped}
        return counts | settings | {"models": models, "verdicts": self.verdicts}

    def rows(self) -> list[list[str | float]]:
        """Per accuracy: model, subset of the clips, mean, low and high."""
        rows: list[list[str | float]] = []
        for name, accuracy in self.accuracies.items():
            subsets = {"all clips": accuracy.overall} | accuracy.moves | accuracy.pairs | {"top-1 of 12": accuracy.top1}
            rows += [[name, subset, *(round(v, 4) for v in interval.bar)] for subset, interval in subsets.items()]
        return rows

    def text(self) -> str:
        """A line per accuracy, and the verdicts."""
        lines = [f"{len(self.groups) * KINDS} clips from {len(self.groups)} photographs of {self.files} files"]
        lines += [
            f"  {100 * mean:5.1f} % ({100 * low:.1f} to {100 * high:.1f})  {subset}  {name}"
            for name, subset, mean, low, high in self.rows()
        ]
        return "\n".join([*lines, *self.verdicts])

    def report(self) -> Report:
        """The chart by pair, the table, and example clips."""
        groups = ["all clips", "camera", "things", *(pair.name for pair in PAIRS)]
        bars = {
            name: [interval.bar for interval in (a.overall, *a.moves.values(), *a.pairs.values())]
            for name, a in self.accuracies.items()
        }
        title = "Clips whose own direction outscores the opposite one"
        label, reference = f"{WITHIN_PAIRS}, %", (0.5, "chance")
        chart = charts.grouped(groups, bars, title=title, axis_label=label, reference=reference)
        note = "95 % intervals by bootstrap over files; a model that is blind to order has 50 %."
        columns = ["model", "clips", "accuracy", "low", "high"]
        names = [[p.name, m, *c[2 * i : 2 * i + 2]] for i, p in enumerate(PAIRS) for m, c in self.classes.items()]
        parts = [
            Picture("pairs", "Direction accuracy", chart, note),
            Table("accuracy", "Direction accuracy", columns, self.rows(), note),
            Table("classes", "Class names", ["pair", "model", "first direction", "second direction"], names),
            Picture("examples", "Clips of the first photograph", self._strips(), "Each is also shown reversed."),
        ]
        if self.skipped:
            parts.append(Table("skipped", "Files that were not used", ["file", "reason"], [*map(list, self.skipped)]))
        title, count = "Direction of motion in real pixels", str(len(self.groups))
        return self._report(title, " ".join(self.verdicts), parts, photographs=count, texts=self.study.texts)

    def _strips(self) -> Figure:
        titles = [p.name if t == 0 else f"frame {t + 1}" for p in PAIRS for t in range(EXAMPLE_FRAMES)]
        frames = np.concatenate(self.examples)[:, ::2, ::2]
        return draw_thumbnails([*zip(titles, frames, strict=True)])
