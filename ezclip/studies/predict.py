"""Rank class names for a clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

from ezclip.checkpoints.catalog import DEFAULT
from ezclip.figures.report import Report, Table
from ezclip.progress import Progress, Steps
from ezclip.studies.declaration import ClipFile, Labels, Model, ModelsResult, Sentences, Study, Texts
from ezclip.studies.host import Host
from ezclip.studies.stage.document import caveat
from ezclip.types import Clip, Document, MotionStatistics, Prediction
from ezclip.video.corrupt import Corruption, corrupt


@dataclass(frozen=True)
class Predict(Study):
    """Rank class names for clips.

    Example: python -m ezclip predict clip.mp4 --labels "waving, clapping, jumping"
    """

    verb: ClassVar[str] = "predict"
    needs_labels: ClassVar[bool] = True
    printed: ClassVar[int] = 5
    clip: ClipFile = ""
    labels: Labels = ""
    model: Model = DEFAULT
    texts: Texts = "trained"
    sentences: Sentences = field(default_factory=dict)
    corruption: Corruption = Corruption()

    def run(self, host: Host) -> Steps[Predictions]:
        """Decode, encode and score."""
        _, predictor, names, _ = yield from self.prepare(host)
        clip = yield from host.clip(self.clip, predictor.model.num_frames)
        yield Progress(0.5, f"scoring {len(names)} class names")
        if self.corruption != Corruption():
            clip = corrupt(clip, self.corruption)
        encoded = host.encode(predictor, clip)
        ranked = predictor.rank(encoded.video, names, self.prompt_texts(predictor, names))
        warning = caveat(self.clip, names, [predictor.identity], predictor.identity)
        return Predictions(self, [predictor.identity], clip, ranked, predictor.motion(encoded), warning)


@dataclass(frozen=True, eq=False)
class Predictions(ModelsResult[Predict]):
    """A model's ranking of the class names for a clip."""

    clip: Clip
    predictions: list[Prediction]
    motion: MotionStatistics
    caveat: str = ""  # why the predictions are guesses, see ``stage.document.caveat``

    def best(self, count: int) -> Predictions:
        """The result with the best ``count`` predictions."""
        return replace(self, predictions=self.predictions[:count])

    def as_json(self) -> Document:
        """Frames, predictions (best first) and motion."""
        return {
            "clip": self.clip.name,
            "model": self.models[0],
            "frames": frames_of(self.clip),
            "predictions": [asdict(p) for p in self.predictions],
            "motion": asdict(self.motion),
        }

    def text(self) -> str:
        """The clip and the predictions; if they are guesses, the reason instead of scores."""
        return "\n".join([*caveat_lines(self.caveat), self.clip.name, *ranking_lines(self.predictions, self.caveat)])

    def report(self) -> Report:
        """The ranking as a table."""
        table = rankings_table({self.models[0]: self.predictions}, self.caveat)
        return self._report(self.clip.name, f"{self.caveat}{self.predictions[0].label}.", [table], clip=self.clip.name)


def frames_of(clip: Clip) -> list[Document]:
    """Index and seconds of each frame of a clip."""
    return [{"index": int(i), "seconds": round(float(s), 4)} for i, s in zip(clip.indices, clip.seconds, strict=True)]


def caveat_lines(caveat: str) -> list[str]:
    """A caveat as a list of lines, empty without a caveat."""
    return [caveat.strip()] if caveat else []


def ranking_lines(predictions: list[Prediction], caveat: str = "") -> list[str]:
    """A line per prediction for a terminal; without scores if there is a caveat."""
    return [f"  {score_text(p.score, caveat):>6}  {p.label}" for p in predictions]


def score_text(score: float, caveat: str) -> str:
    """A score as a percentage, or "guess" if there is a caveat."""
    return "guess" if caveat else f"{score:.1%}"


def guess_columns(caveat: str) -> tuple[str, ...]:
    """The table columns that are guesses if there is a caveat."""
    return ("score", "opposite_score") if caveat else ()


def rankings_table(predictions: dict[str, list[Prediction]], caveat: str = "") -> Table:
    """The ranking of every model; the page hides the scores if there is a caveat."""
    rows = [
        [name, rank, p.label, p.score, p.logit]
        for name, ranked in predictions.items()
        for rank, p in enumerate(ranked, 1)
    ]
    columns = ["model", "rank", "label", "score", "logit"]
    return Table("rankings", "Rankings", columns, rows, guesses=guess_columns(caveat))
