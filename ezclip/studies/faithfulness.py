"""How far a map can be trusted: its faithfulness, and the fraction of its heat on what moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ezclip.data.tabletop.truth import find_masks
from ezclip.progress import Steps, within
from ezclip.studies.host import Host

if TYPE_CHECKING:
    from ezclip.studies.analysis import Analysis

BATCH = 2  # clips in one forward pass, so that other work need not wait long for the processor


@dataclass(frozen=True)
class MapFaithfulness:
    """Measures of one model's map.

    Attributes:
        name: model.
        deletion: gain over random orders; None before it is measured.
        insertion: the same.
        moving: fraction of the heat on what moves; None without ground truth.
        area: fraction of the picture that moves; None without ground truth.
    """

    name: str
    deletion: float | None = None
    insertion: float | None = None
    moving: float | None = None
    area: float | None = None

    @property
    def measured(self) -> bool:
        """Whether the gains have been measured."""
        return self.deletion is not None


def shares_of_truth(analysis: Analysis) -> list[MapFaithfulness]:
    """The fraction of each map's heat on what moves, where the clip has masks; gains are not measured."""
    from ezclip.explanation.truth import heat_shares

    masks = find_masks(analysis.study.clip)
    found = []
    for result in analysis.results:
        if masks is None:
            found.append(MapFaithfulness(result.name))
            continue
        shares = heat_shares(result.attribution, masks[analysis.clip.indices])
        found.append(MapFaithfulness(result.name, moving=shares.heat[2], area=shares.area[2]))
    return found


def measure_faithfulness(host: Host, analysis: Analysis) -> Steps[list[MapFaithfulness]]:
    """Deletion and insertion scores of every map, 8 levels against 4 random orders."""
    from ezclip.explanation.faithfulness import measure

    names = analysis.names
    target = names.index(analysis.target)
    found = []
    for i, (result, known) in enumerate(zip(analysis.results, shares_of_truth(analysis), strict=True)):
        predictor = host.predictor(result.name)
        sentences = analysis.study.prompt_texts(predictor, names)
        texts = predictor.encode_texts([sentence for name in names for sentence in sentences[name]])
        pixels = host.encode(predictor, analysis.clip).pixels
        steps = measure(predictor.model, pixels, result.attribution.heat, texts, len(names), target, batch=BATCH)
        count = len(analysis.results)
        measured = yield from within(steps, i / count, (i + 1) / count, f"{result.name}: ")
        found.append(replace(known, deletion=measured.deletion_gain, insertion=measured.insertion_gain))
    return found
