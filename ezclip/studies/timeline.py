"""Scores over time: a window slides over a long video."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from ezclip.figures import charts
from ezclip.figures.maps import crop_to_input, draw_thumbnails, overlay
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, rescale
from ezclip.studies.declaration import Alias, Baseline, ClipStudy, ModelsResult
from ezclip.studies.host import Host, digest
from ezclip.studies.predict import caveat_lines, score_text
from ezclip.studies.stage.document import caveat
from ezclip.types import Clip, Document, Prediction
from ezclip.video.read import Windows, describe
from ezclip.video.sampling import MIN_SECONDS

if TYPE_CHECKING:
    from ezclip.model.interface import Video
    from ezclip.predictor import Predictor

SIDE = 96
TOP = 5  # predictions per window in report.json; the table contains all
THUMBNAILS = 24  # in the report
MAX_CACHED = 1000  # windows of a video, about 30 kB each; longer timelines are not cached
MAX_PREDICTIONS = 2000
_Seconds = Parameter("Length of a window in seconds.", "Window (s)", MIN_SECONDS, 600)
_Step = Parameter("Seconds from the start of one window to the next.", "A window every (s)", MIN_SECONDS, 600)


@dataclass(frozen=True)
class ScoreTimeline(ClipStudy):
    """Scores over a long video: a window slides over it, in constant memory.

    Example: python -m ezclip timeline film.mp4 --labels "cooking, eating" --seconds 4 --step 2
    """

    verb: ClassVar[str] = "timeline"
    long: ClassVar[bool] = True
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("scan"),)
    baseline: Baseline = ""
    seconds: Annotated[float, _Seconds] = 2.0
    step: Annotated[float, _Step] = 1.0
    top_k: Annotated[int, Parameter("Predictions of each window.", low=1, high=MAX_PREDICTIONS)] = 3

    def run(self, host: Host) -> Steps[Timeline]:
        """Slide a window over the video; values that do not depend on the class names are cached.

        Partial results are the timeline so far, each time it has grown by a tenth to limit redrawing.
        """
        length = describe(self.clip)["seconds"] if self.clip else None
        by_name, model, names, _ = yield from self.prepare(host)
        predictors = list(by_name.values())
        identities = [p.identity for p in predictors]
        warning = caveat(self.clip, names, identities, model.identity)
        texts = {name: self.prompt_texts(p, names) for name, p in by_name.items()}
        cached: list[Window] = host.cached_list(*by_name, "windows", digest(self.clip), self.seconds, self.step)
        new_windows: list[Window] = []
        moments: list[Moment] = []
        drawn, share = 0, 0.0
        with nullcontext() if cached else closing(self._windows(predictors)) as sliding:
            replay = iter(cached)
            while True:
                if sliding is None:
                    window = next(replay, None)
                else:
                    clip = yield from rescale(host.decode(sliding.next, "decoding"), share, share)
                    window = None if clip is None else observe(predictors, clip)
                if window is None:
                    break
                scores = {}
                for name, predictor in by_name.items():
                    ranked = predictor.rank(window.videos[name], names, texts[name])
                    by_label = {p.label: (p.score, p.logit) for p in ranked}
                    scores[name] = np.array([by_label[label] for label in names])
                moments.append(Moment(window.start, window.end, names, scores, window.middle, window.heat))
                if len(moments) <= MAX_CACHED:
                    new_windows.append(window)
                share, suffix = (min(1.0, window.end / length), f" of {length:.0f}") if length else (0.0, "")
                partial = None
                if not cached and len(moments) > 1.1 * drawn:
                    drawn = len(moments)
                    partial = Timeline(self, identities, list(moments), warning)
                yield Progress(share, f"window {len(moments)}, up to {window.end:.0f} s{suffix}", partial)
        if len(moments) <= MAX_CACHED:
            cached[:] = new_windows
        return Timeline(self, identities, moments, warning)

    def _windows(self, predictors: list[Predictor]) -> Windows:
        from ezclip.studies.analysis import shared_frames

        return Windows(self.clip, T=shared_frames(predictors), seconds=self.seconds, step=self.step)


@dataclass(frozen=True, eq=False)
class Window:
    """One window under the models, independent of class names."""

    start: float  # seconds of its first frame
    end: float  # seconds of its last frame
    videos: dict[str, Video]  # model -> one video with averaged frames
    middle: np.ndarray  # uint8 (96, 96, 3), the middle frame, cropped to a square
    heat: np.ndarray  # (grid, grid), rollout of the last model on the middle frame


@dataclass(frozen=True, eq=False)
class Moment:
    """The scores of one window under each model; start, end, middle and heat are those of the ``Window``."""

    start: float
    end: float
    labels: list[str]  # C class names, shared by all windows
    scores: dict[str, np.ndarray]  # model -> (C, 2), score and logit of each label
    middle: np.ndarray
    heat: np.ndarray

    def ranked(self, model: str, top_k: int | None = None) -> list[Prediction]:
        """The ``top_k`` predictions of a model, best first."""
        order = np.argsort(-self.scores[model][:, 0], kind="stable")[:top_k]
        return [Prediction(self.labels[i], *map(float, self.scores[model][i])) for i in order]

    def score(self, model: str, label: str) -> float:
        """The score of a label under a model, in [0, 1]."""
        return float(self.scores[model][self.labels.index(label), 0])

    def as_json(self, top_k: int | None = None) -> Document:
        """Times and the best ``top_k`` predictions of each model."""
        best = {name: [vars(p) for p in self.ranked(name, top_k)] for name in self.scores}
        return {"start": round(self.start, 4), "end": round(self.end, 4), "predictions": best}


def observe(predictors: list[Predictor], clip: Clip) -> Window:
    """Encode the clip of a window with all models; the heat is that of the last one."""
    from ezclip.explanation.maps import explain_clip

    model = predictors[-1]
    encoded = {predictor.name: predictor.encode(clip) for predictor in predictors}
    videos = {name: e.video.mean_frame() for name, e in encoded.items()}
    middle = len(clip) // 2
    picture = crop_to_input(clip.images[middle][None], SIDE, model.model.preprocessing)[0]
    heat = explain_clip(model, encoded[model.name], method="rollout").heat[middle]
    return Window(float(clip.seconds[0]), float(clip.seconds[-1]), videos, picture, heat)


def thumbnail(moment: Moment, limit: float) -> np.ndarray:
    """uint8 (96, 96, 3), the middle frame of a window, overlaid with its heat."""
    return overlay(moment.middle[None], moment.heat[None], limit)[0]


def subsample(moments: list[Moment], limit: int) -> list[Moment]:
    """At most ``limit`` evenly spaced windows, including the first and the last."""
    if len(moments) <= limit:
        return moments
    return [moments[i] for i in np.linspace(0, len(moments) - 1, limit).round().astype(int)]


@dataclass(frozen=True, eq=False)
class Timeline(ModelsResult[ScoreTimeline]):
    """The windows of a video, in a partial result those so far."""

    moments: list[Moment]
    caveat: str = ""  # why the predictions are guesses, see ``stage.document.caveat``

    def winners(self, model: str, limit: int = 5) -> list[str]:
        """The labels that win the most windows under a model, the most frequent first."""
        return [label for label, _ in Counter(m.ranked(model, 1)[0].label for m in self.moments).most_common(limit)]

    @property
    def heat_limit(self) -> float:
        """Upper end of the colour scale of the heat of all windows."""
        return max(float(np.percentile([m.heat.max() for m in self.moments], 95)), 1e-12)

    def as_json(self) -> Document:
        """The clip, the model, and every window."""
        windows = [moment.as_json(self.study.top_k) for moment in self.moments]
        return {"clip": Path(self.study.clip).name, "model": self.study.model, "windows": windows}

    def text(self) -> str:
        """A line per window and model; if they are guesses, the reason instead of scores."""
        lines = caveat_lines(self.caveat)
        for moment in self.moments:
            for name in self.models:
                best, suffix = moment.ranked(name, 1)[0], f"  {name}" if self.study.baseline else ""
                lines.append(f"{moment.start:8.2f} s  {score_text(best.score, self.caveat):>6}  {best.label}{suffix}")
        return "\n".join(lines)

    def report(self) -> Report:
        """Scores over time of the winning labels of each model."""
        moments, labels, models = self.moments, self.moments[0].labels, self.models
        rows = [[name, m.start, m.end, *m.scores[name][:, 0].tolist()] for name in models for m in moments]
        starts = [m.start for m in moments]
        parts: list[Picture | Table] = []
        for i, name in enumerate(models):
            lines = {label: (starts, [100 * m.score(name, label) for m in moments]) for label in self.winners(name)}
            figure = charts.curves(lines, title=name, x_label="start of the window, s", y_label="score, %")
            if self.caveat:
                charts.hide_numbers(figure, "y")
            parts.append(Picture(f"scores_{i + 1}", f"Scores of {name}", figure, "The labels that won most windows."))
        pictures = [(f"{m.start:.1f} s", thumbnail(m, self.heat_limit)) for m in subsample(moments, THUMBNAILS)]
        note = f"The middle frame of {len(pictures)} of {len(moments)} windows with its rollout, on one colour scale."
        parts.append(Picture("attention", f"Attention of {models[-1]}", draw_thumbnails(pictures), note))
        parts.append(Table("windows", "Every window", ["model", "start", "end", *labels], rows, on_page=False))
        lead = f"{self.caveat}{len(moments)} windows from {starts[0]:.2f} to {moments[-1].end:.2f} s."
        data = {"windows": [m.as_json(TOP) for m in moments]}
        clip = Path(self.study.clip).name
        return self._report("Scores over time", lead, parts, data, clip=clip, texts=self.study.texts)
