"""One clip under two or more models: predictions, spread and maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT_METHOD, MapSettings, method_names
from ezclip.figures.maps import shared_limit
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps, in_thread, within
from ezclip.studies.analysis_report import Analysis, ModelResult
from ezclip.studies.declaration import ClipStudy
from ezclip.studies.faithfulness import measure_faithfulness, shares_of_truth
from ezclip.studies.host import Host
from ezclip.types import Clip, Keywords, has_prompts

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

DECODED = 0.2  # fraction of an analysis after which the clip is decoded
MAPPED = 0.6  # and after which the maps are there, if their faithfulness is measured too
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
        """Decode once, then predictions, spread and maps of every model."""
        from ezclip.explanation.grad_eclip import words_of_best
        from ezclip.explanation.maps import explain_clip, temporal_view

        predictors, model, names, warnings = yield from self.prepare(host)
        if self.target and self.target not in names:
            raise UserError(f"The label {self.target[:80]!r} is not among the class names; add it or choose another.")
        study = replace(self, sentences={n: own for n, own in self.sentences.items() if n in names})
        clip = yield from within(host.clip(self.clip, shared_frames(list(predictors.values()))), 0.0, DECODED)
        end = MAPPED if self.faithfulness else 1.0
        target, results, cut = self.target, {}, []
        order = [self.model, *(n for n in predictors if n != self.model)]  # all models explain the model's best label
        for i, name in enumerate(order):
            predictor, texts = predictors[name], study.prompt_texts(predictors[name], names)
            start, part = DECODED + (end - DECODED) * i / len(order), (end - DECODED) / len(order)
            which = f"model {i + 1} of {len(order)}, {name}: "
            yield Progress(start, f"{which}encoding {len(names)} class names and {len(clip)} frames")
            encoded = host.encode(predictor, clip)
            ranked, motion = predictor.rank(encoded.video, names, texts), predictor.motion(encoded)
            cut = predictor.cut([text for name in names for text in texts[name]]) or cut
            target = target or ranked[0].label
            options: Keywords = {"method": self.method, "settings": self.settings, "texts": texts[target]}
            explain = partial(explain_clip, predictor, encoded, **options)
            steps = in_thread(lambda report, explain=explain: explain(report=report), self.method)
            attribution = yield from within(steps, start, start + part, which)
            text, words = words_of_best(predictor, encoded.frames, texts[target])
            results[name] = ModelResult(predictor.identity, ranked, motion, attribution, text, words)
        found = [results[name] for name in predictors]
        nearest = model.nearest(target, names, study.prompt_texts(model, names))
        maps = [r.attribution for r in found]
        warnings = warnings + _warnings(names, model, clip, cut) + [f"{a.model}: {a.note}" for a in maps if a.absent]
        if self.faithfulness:
            steps = measure_faithfulness(host, study, clip, maps, names, target)
            faithfulness = yield from within(steps, MAPPED, 1.0)
        else:
            faithfulness = shares_of_truth(self.clip, clip, maps)
        view = temporal_view(host.encode(model, clip)) if has_prompts(model.model.variant) else None
        limit = shared_limit([a for a in maps if not a.absent] or maps)
        analysis = Analysis(study, clip, found, limit, target, names, nearest, warnings, faithfulness, view)
        return (yield from analysis.in_all_directions(host)) if self.orders else analysis


def shared_frames(predictors: list[Predictor]) -> int:
    """T of a clip for all models: that of the last one; raises UserError where prompts fix another one."""
    fixed = {p.model.num_frames: p.name for p in predictors if not p.model.order_blind}
    if len(fixed) > 1:
        (T, name), (other, _), *_ = fixed.items()
        raise UserError(
            f"{name} takes {T} frames and another model {other}; their maps cannot be compared side by side. Choose a "
            "baseline of the same T, or one that encodes frames one by one."
        )
    return next(iter(fixed), predictors[-1].model.num_frames)


def _warnings(names: list[str], predictor: Predictor, clip: Clip, cut: list[str]) -> list[str]:
    """Limitations of an analysis, as sentences."""
    found, model = [], predictor.identity
    if cut:
        found.append(
            f"{len(cut)} texts are longer than {predictor.model.context_length} tokens and were truncated, "
            f"first: {cut[0][:60]}…"
        )
    if len(names) == 1:
        found.append("There is only one class name, so its score is 100 % whatever the clip shows; add others.")
    if clip.lost:
        found.append(f"{clip.lost} of {clip.lost + clip.total} frames of this file could not be decoded.")
    if clip.total < len(clip):
        found.append(f"The clip has {clip.total} frames, fewer than the {len(clip)} of the model: some are repeated.")
    new = [name for name in names if name not in model.labels]
    if model.labels and new:
        found.append(f"{len(new)} of {len(names)} class names are not training classes of {model.name}.")
    return found
