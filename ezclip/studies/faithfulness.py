"""How far a map can be trusted: its faithfulness, and the fraction of its heat on what moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ezclip.data.tabletop.truth import find_masks
from ezclip.progress import Steps, within
from ezclip.studies.declaration import Study
from ezclip.studies.host import Host
from ezclip.types import Attribution, Clip

BATCH = 2  # clips in one forward pass, so that other work does not wait long


@dataclass(frozen=True)
class MapFaithfulness:
    """Measures of one model's map."""

    name: str  # of the model
    deletion: float | None = None  # gain over random orders; None before it is measured
    insertion: float | None = None  # the same
    moving: float | None = None  # fraction of the heat on what moves; None without ground truth
    area: float | None = None  # fraction of the picture that moves; None without ground truth

    @property
    def measured(self) -> bool:
        """Whether the gains have been measured."""
        return self.deletion is not None


def shares_of_truth(path: str, clip: Clip, maps: list[Attribution]) -> list[MapFaithfulness]:
    """The fraction of each map's heat on what moves, where the file has masks; gains are not measured."""
    from ezclip.explanation.faithfulness import heat_shares

    if (masks := find_masks(path)) is None:
        return [MapFaithfulness(attribution.model) for attribution in maps]
    shares = [(attribution.model, heat_shares(attribution, masks[clip.indices])) for attribution in maps]
    return [MapFaithfulness(model, moving=share.heat[2], area=share.area[2]) for model, share in shares]


def measure_faithfulness(
    host: Host, study: Study, clip: Clip, maps: list[Attribution], names: list[str], target: str
) -> Steps[list[MapFaithfulness]]:
    """Deletion and insertion scores of the maps of a study's clip, 8 levels against 4 random orders.

    The score is that of ``target`` among ``names``, which the study's prompt texts represent.
    """
    from ezclip.explanation.faithfulness import measure

    found, count = [], len(maps)
    for i, (attribution, known) in enumerate(zip(maps, shares_of_truth(study["clip"], clip, maps), strict=True)):
        predictor = host.predictor(attribution.model)
        sentences = study.prompt_texts(predictor, names)
        texts = predictor.encode_texts([sentence for name in names for sentence in sentences[name]])
        pixels = host.encode(predictor, clip).pixels
        steps = measure(predictor.model, pixels, attribution.heat, texts, len(names), names.index(target), batch=BATCH)
        measured = yield from within(steps, i / count, (i + 1) / count, f"{attribution.model}: ")
        found.append(replace(known, deletion=measured.deletion_gain, insertion=measured.insertion_gain))
    return found
