"""Analysis of one clip under two or more models: predictions, spread of the frames, and maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT_METHOD, MapSettings, method_names
from ezclip.figures.maps import shared_limit
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, in_thread, rescale
from ezclip.studies.analysis_report import Analysis, ModelResult
from ezclip.studies.declaration import ClipStudy
from ezclip.studies.faithfulness import ground_truth_shares, measure_faithfulness
from ezclip.studies.host import Host
from ezclip.types import Clip, Keywords, has_prompts

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

# progress at which the clip is decoded and, if faithfulness is measured, the maps are computed
DECODED, MAPPED = 0.2, 0.6
MethodName = Annotated[str, Parameter("Explanation method.", "Map", choices=method_names)]
Faithful = Annotated[bool, Parameter("Also measure the faithfulness of each map.")]


@dataclass(frozen=True)
class Analyse(ClipStudy):
    """Analyse a clip under two or more models: rankings, maps, spread and faithfulness, in a report.

    Example: python -m ezclip analyse clip.mp4 --labels "waving, clapping" --out report --faithfulness
    """

    verb: ClassVar[str] = "analyse"
    old_flags: ClassVar[dict[str, str]] = {"--prove": "--faithfulness"}
    files: ClassVar[bool] = True
    target: Annotated[str, Parameter("Class name to explain; empty uses the model's best.", "Label")] = ""
    method: MethodName = DEFAULT_METHOD
    settings: MapSettings = MapSettings()
    further: Annotated[tuple[str, ...], Parameter("More models, drawn below.", kind="models")] = ()
    faithfulness: Faithful = False
    opacity: Annotated[float, Parameter("Opacity of the maps over the frames.", low=0.0, high=1.0, step=0.05)] = 0.6
    difference: Annotated[bool, Parameter("Also draw the model's map minus the baseline's.")] = False
    orders: Annotated[bool, Parameter("Also analyse the frames reversed, shuffled and static.")] = False

    def run(self, host: Host) -> Steps[Analysis]:
        """Decode the clip once, then compute predictions, spread and maps of every model."""
        from ezclip.explanation.grad_eclip import best_sentence_words
        from ezclip.explanation.maps import explain_clip, temporal_view

        predictors, model, names, warnings = yield from self.prepare(host)
        if self.target and self.target not in names:
            raise UserError(f"The label {self.target[:80]!r} is not among the class names; add it or choose another.")
        study = replace(self, sentences={n: sentence for n, sentence in self.sentences.items() if n in names})
        clip = yield from rescale(host.clip(self.clip, shared_frames(list(predictors.values()))), 0.0, DECODED)
        end = MAPPED if self.faithfulness else 1.0
        target, by_model, truncated = self.target, {}, []
        order = [self.model, *(n for n in predictors if n != self.model)]  # all models explain the model's best label
        for i, name in enumerate(order):
            predictor, texts = predictors[name], study.prompt_texts(predictors[name], names)
            start, share = DECODED + (end - DECODED) * i / len(order), (end - DECODED) / len(order)
            prefix = f"model {i + 1} of {len(order)}, {name}: "
            yield Progress(start, f"{prefix}encoding {len(names)} class names and {len(clip)} frames")
            encoded = host.encode(predictor, clip)
            ranked, motion = predictor.rank(encoded.video, names, texts), predictor.motion(encoded)
            truncated = predictor.truncated([text for name in names for text in texts[name]]) or truncated
            target = target or ranked[0].label
            kwargs: Keywords = {"method": self.method, "settings": self.settings, "texts": texts[target]}
            explain = partial(explain_clip, predictor, encoded, **kwargs)
            steps = in_thread(lambda report, explain=explain: explain(report=report), self.method)
            attribution = yield from rescale(steps, start, start + share, prefix)
            text, words = best_sentence_words(predictor, encoded.frames, texts[target])
            by_model[name] = ModelResult(predictor.identity, ranked, motion, attribution, text, words)
        results = [by_model[name] for name in predictors]
        nearest = model.nearest(target, names, study.prompt_texts(model, names))
        maps = [r.attribution for r in results]
        absent = [f"{a.model}: {a.note}" for a in maps if a.absent]
        warnings = [*warnings, *_warnings(names, model, clip, truncated), *absent]
        if self.faithfulness:
            steps = measure_faithfulness(host, study, clip, maps, names, target)
            faithfulness = yield from rescale(steps, MAPPED, 1.0)
        else:
            faithfulness = ground_truth_shares(self.clip, clip, maps)
        view = temporal_view(host.encode(model, clip)) if has_prompts(model.model.variant) else None
        limit = shared_limit([a for a in maps if not a.absent] or maps)
        analysis = Analysis(study, clip, results, limit, target, names, nearest, warnings, faithfulness, view)
        return (yield from analysis.with_directions(host)) if self.orders else analysis


def shared_frames(predictors: list[Predictor]) -> int:
    """Common T of all models: that of the last one, or that of the models with a fixed T; UserError if those differ."""
    fixed = {p.model.num_frames: p.name for p in predictors if not p.model.order_blind}
    if len(fixed) > 1:
        (T, name), (other_T, _), *_ = fixed.items()
        raise UserError(
            f"{name} takes {T} frames and another model {other_T}; their maps cannot be compared side by side. Choose "
            "a baseline of the same T, or one that encodes frames one by one."
        )
    return next(iter(fixed), predictors[-1].model.num_frames)


def _warnings(names: list[str], predictor: Predictor, clip: Clip, truncated: list[str]) -> list[str]:
    """Limitations of an analysis, as sentences."""
    notes, model = [], predictor.identity
    if truncated:
        notes.append(
            f"{len(truncated)} texts are longer than {predictor.model.context_length} tokens and were truncated, "
            f"first: {truncated[0][:60]}…"
        )
    if len(names) == 1:
        notes.append("There is only one class name, so its score is 100 % whatever the clip shows; add others.")
    if clip.lost:
        notes.append(f"{clip.lost} of {clip.lost + clip.total} frames of this file could not be decoded.")
    if clip.total < len(clip):
        notes.append(f"The clip has {clip.total} frames, fewer than the {len(clip)} of the model: some are repeated.")
    if new := [name for name in names if not model.knows(name)]:
        verb = "is" if len(new) == 1 else "are"
        notes.append(f"{len(new)} of {len(names)} class names {verb} not in the training of {model.name}.")
    return notes
