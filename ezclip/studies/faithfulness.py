"""Quality of a map: its faithfulness, and the fraction of its heat on moving objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ezclip.data.tabletop.truth import find_masks
from ezclip.progress import Steps, rescale
from ezclip.studies.declaration import Study
from ezclip.studies.host import Host
from ezclip.types import Attribution, Clip, Document

BATCH = 4  # clips per forward pass, few to keep concurrent work waiting only briefly


@dataclass(frozen=True)
class Gains:
    """Gains of a map over random orders as (value, low, high), see ``explanation.faithfulness``."""

    deletion: tuple[float, float, float]
    insertion: tuple[float, float, float]
    srg: float  # insertion area minus deletion area


@dataclass(frozen=True)
class MapFaithfulness:
    """Measures of one model's map."""

    name: str  # of the model
    score: Gains | None = None  # on the score of the label; None before it is measured
    logit: Gains | None = None  # on its logit
    warning: str = ""  # if the gains on the score are uninformative
    moving: float | None = None  # fraction of the heat on moving objects; None without ground truth
    area: float | None = None  # fraction of the picture that they cover; None without ground truth

    @property
    def measured(self) -> bool:
        """Whether the gains have been measured."""
        return self.score is not None

    @property
    def deletion(self) -> float | None:
        """Deletion gain on the score."""
        return self.score and self.score.deletion[0]

    @property
    def insertion(self) -> float | None:
        """Insertion gain on the score."""
        return self.score and self.score.insertion[0]

    def as_json(self) -> Document:
        """Plain values."""
        return {"name": self.name, "deletion": self.deletion, "insertion": self.insertion} | asdict(self)

    def cells(self, unmeasured: str) -> list[str]:
        """Deletion, insertion and SRG on the score, then on the logit, formatted with their intervals."""
        cells = []
        for gains, digits in ((self.score, 3), (self.logit, 2)):
            if gains is None:
                cells += 3 * [unmeasured]
            else:
                ranges = (gains.deletion, gains.insertion)
                cells += [f"{v:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})" for v, low, high in ranges]
                cells.append(f"{gains.srg:+.{digits}f}")
        return cells


GAIN_COLUMNS = ["deletion gain", "insertion gain", "SRG", "deletion, logit", "insertion, logit", "SRG, logit"]


def ground_truth_shares(path: str, clip: Clip, maps: list[Attribution]) -> list[MapFaithfulness]:
    """The fraction of each map's heat on moving objects, if the file has masks; without gains."""
    from ezclip.explanation.faithfulness import heat_shares

    masks, shares = find_masks(path), []
    for attribution in maps:
        share = None if masks is None or attribution.absent else heat_shares(attribution, masks[clip.indices])
        moving, area = (share.heat[2], share.area[2]) if share else (None, None)
        shares.append(MapFaithfulness(attribution.model, moving=moving, area=area))
    return shares


def measure_faithfulness(
    host: Host, study: Study, clip: Clip, maps: list[Attribution], names: list[str], target: str
) -> Steps[list[MapFaithfulness]]:
    """Deletion and insertion gains of the maps of a study's clip over random orders, with 95 % intervals.

    The gains are on the score and the logit of ``target`` among ``names``.
    """
    from ezclip.explanation.faithfulness import measure

    results, count = ground_truth_shares(study["clip"], clip, maps), len(maps)
    for i, attribution in enumerate(maps):
        if attribution.absent:
            continue
        predictor = host.predictor(attribution.model)
        sentences = study.prompt_texts(predictor, names)
        texts = predictor.encode_texts([sentence for name in names for sentence in sentences[name]])
        pixels = host.encode(predictor, clip).pixels
        steps = measure(predictor.model, pixels, attribution.heat, texts, len(names), names.index(target), batch=BATCH)
        measured = yield from rescale(steps, i / count, (i + 1) / count, f"{attribution.model}: ")
        score, logit = (Gains(c.deletion_gain, c.insertion_gain, c.srg) for c in (measured.score, measured.logit))
        results[i] = replace(results[i], score=score, logit=logit, warning=measured.warning)
    return results
