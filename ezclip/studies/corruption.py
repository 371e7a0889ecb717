"""Predictions of two models on a corrupted clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ezclip.figures.maps import draw_strip
from ezclip.figures.report import Picture, Report
from ezclip.progress import Progress, Steps
from ezclip.studies.declaration import Alias, ClipStudy, ModelsResult
from ezclip.studies.host import Host
from ezclip.studies.predict import caveat_lines, ranking_lines, rankings_table
from ezclip.studies.stage.document import caveat
from ezclip.types import Clip, Document, Prediction, Preprocessing
from ezclip.video.corrupt import Corruption, corrupt

if TYPE_CHECKING:
    from ezclip.predictor import Predictor


@dataclass(frozen=True)
class Corrupt(ClipStudy):
    """Rank class names for a corrupted clip, under two models.

    Example: python -m ezclip corruption clip.mp4 --labels "waving, clapping" --darkness 0.6 --noise 0.3
    """

    verb: ClassVar[str] = "corruption"
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("damage"),)
    corruption: Corruption = Corruption()

    def run(self, host: Host) -> Steps[CorruptedPredictions]:
        """Corrupt the clip and score it under both models."""
        predictors, model, names, _ = yield from self.prepare(host)
        clips: dict[int, Clip] = {}
        ranked: dict[str, list[Prediction]] = {}
        for i, (name, predictor) in enumerate(predictors.items()):
            yield Progress(i / len(predictors), f"{name}: scoring the corrupted clip")
            T = frames_for_comparison(predictor, model)
            if T not in clips:
                clips[T] = corrupt((yield from host.clip(self.clip, T)), self.corruption)
            encoded = host.encode(predictor, clips[T])
            ranked[name] = predictor.rank(encoded.video, names, self.prompt_texts(predictor, names))
        identities = [p.identity for p in predictors.values()]
        clip, preprocessing = clips[model.model.num_frames], model.model.preprocessing
        warning = caveat(self.clip, names, identities, model.identity)
        return CorruptedPredictions(self, identities, clip, ranked, preprocessing, warning)


def frames_for_comparison(predictor: Predictor, model: Predictor) -> int:
    """T of a predictor that is compared with ``model``: that of ``model`` if the predictor accepts any T."""
    return (model if predictor.model.order_blind else predictor).model.num_frames


@dataclass(frozen=True, eq=False)
class CorruptedPredictions(ModelsResult[Corrupt]):
    """A corrupted clip and the rankings of both models."""

    clip: Clip
    predictions: dict[str, list[Prediction]]
    preprocessing: Preprocessing
    caveat: str = ""  # why the predictions are guesses, see ``stage.document.caveat``

    def as_json(self) -> Document:
        """The clip, the corruption, and each model's ranking."""
        ranked = {name: [vars(p) for p in predictions] for name, predictions in self.predictions.items()}
        return {"clip": self.clip.name, "damage": vars(self.study.corruption), "models": ranked}

    def text(self) -> str:
        """The five best names of each model; if they are guesses, the reason instead of scores."""
        lines = caveat_lines(self.caveat)
        for name, ranked in self.predictions.items():
            lines += [name, *ranking_lines(ranked[:5], self.caveat)]
        return "\n".join(lines)

    def report(self) -> Report:
        """The frames and the rankings."""
        kinds = vars(self.study.corruption).items()
        applied = ", ".join(f"{kind} {value:g}" for kind, value in kinds if value) or "none"
        strip = draw_strip(self.clip, {}, limit=1.0, preprocessing=self.preprocessing)
        parts = [Picture("frames", "The corrupted frames", strip), rankings_table(self.predictions, self.caveat)]
        title, lead = f"{self.clip.name}, corrupted", f"{self.caveat}Corruption: {applied}."
        return self._report(title, lead, parts, clip=self.clip.name, texts=self.study.texts)
