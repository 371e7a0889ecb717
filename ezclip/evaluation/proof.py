"""How far a map can be trusted: faithfulness, and the share of its heat on what moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.analysis import Analysis, Host, sentences_of
from ezclip.evaluation.jobs import Step

BATCH = 2  # clips in one forward pass, so that an analysis need not wait long for its turn


@dataclass(frozen=True)
class MapProof:
    """What is known of one model's map.

    Attributes:
        name: model.
        deletion: gain over random orders; None before it is measured.
        insertion: the same.
        moving: share of the heat on what moves; None without ground truth.
        area: share of the picture that moves; None without ground truth.
    """

    name: str
    deletion: float | None = None
    insertion: float | None = None
    moving: float | None = None
    area: float | None = None


def truth(analysis: Analysis) -> list[MapProof]:
    """The share of each map's heat on what moves, where the clip has masks; nothing else is known yet."""
    from ezclip.explanation.truth import heat_shares

    assert analysis.request.path is not None
    masks = find_masks(analysis.request.path)
    proofs = []
    for result in analysis.results:
        if masks is None:
            proofs.append(MapProof(result.name))
            continue
        shares = heat_shares(result.attribution.heat, masks[analysis.clip.indices])
        proofs.append(MapProof(result.name, moving=shares.heat[2], area=shares.area[2]))
    return proofs


def prove(host: Host, analysis: Analysis) -> Iterator[Step | list[MapProof]]:
    """Deletion and insertion scores of every map, 8 levels against 4 random orders.

    Yields:
        Steps, and the proofs last. Closing the iterator cancels.
    """
    from ezclip.explanation.faithfulness import Faithfulness, measure

    names = analysis.names
    target = names.index(analysis.target)
    known = {proof.name: proof for proof in truth(analysis)}
    proofs = []
    for i, result in enumerate(analysis.results):
        predictor = host.predictor(result.name)
        with host.lock:
            sentences = sentences_of(analysis.request, predictor, names)
            texts = predictor.encode_texts([sentence for name in names for sentence in sentences[name]])
            predictor.set_video(analysis.clip)
            pixels = predictor.pixels
        steps = measure(predictor.model, pixels, result.attribution.heat, texts, len(names), target, batch=BATCH)
        found: Faithfulness | float = 0.0
        while not isinstance(found, Faithfulness):
            with host.lock:  # another analysis may trace the same model between two steps
                found = next(steps)
            if isinstance(found, Faithfulness):
                gains = (found.deletion_gain, found.insertion_gain)
                proofs.append(MapProof(result.name, *gains, known[result.name].moving, known[result.name].area))
            else:
                share = (i + found) / len(analysis.results)
                yield Step(share, f"faithfulness of {result.name}'s map: {share:.0%}")
    yield proofs
