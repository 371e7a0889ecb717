"""What the Attention tab does beyond the main analysis: faithfulness, truth, and files to take away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.actions.analysis import Analysis, sentences_of, wanted_labels
from app.actions.jobs import Step
from app.services import Services
from ezclip.data.tabletop.truth import find_masks
from ezclip.figures.maps import draw_strip, overlay, square
from ezclip.video.encode import write_mp4

VIDEO_SIDE = 224
HOLD = 4  # frames of the overlay video for each of the T frames
VIDEO_FPS = 8


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


def prove(services: Services, analysis: Analysis) -> Iterator[Step | list[MapProof]]:
    """Deletion and insertion scores of every map, 8 levels against 4 random orders.

    Yields:
        Steps, and the proofs last. Closing the iterator cancels.
    """
    from ezclip.explanation.faithfulness import Faithfulness, measure

    names, _ = wanted_labels(analysis.request)
    target = names.index(analysis.target)
    known = {proof.name: proof for proof in truth(analysis)}
    proofs = []
    for i, result in enumerate(analysis.results):
        predictor = services.predictor(result.name)
        with services.lock:
            sentences = sentences_of(analysis.request, predictor, names)
            texts = predictor.encode_texts([sentences[name][0] for name in names])
            predictor.set_video(analysis.clip)
            pixels = predictor.pixels
        steps = measure(predictor.model, pixels, result.attribution.heat, texts, target)
        found: Faithfulness | float = 0.0
        while not isinstance(found, Faithfulness):
            with services.lock:  # another analysis may trace the same model between two steps
                found = next(steps)
            if isinstance(found, Faithfulness):
                gains = (found.deletion_gain, found.insertion_gain)
                proofs.append(MapProof(result.name, *gains, known[result.name].moving, known[result.name].area))
            else:
                share = (i + found) / len(analysis.results)
                yield Step(share, f"faithfulness of {result.name}'s map: {share:.0%}")
    yield proofs


def strip_png(services: Services, analysis: Analysis) -> str:
    """The maps as one PNG."""
    rows = {r.name: r.attribution for r in analysis.results}
    path = services.scratch() / f"ezclip-{analysis.request.method}.png"
    draw_strip(analysis.clip, rows, limit=analysis.limit).savefig(path, dpi=110)
    return str(path)


def maps_npz(services: Services, analysis: Analysis) -> str:
    """Heat (models, T, grid, grid), influence where there is one, seconds, frame indices and model names."""
    path = services.scratch() / f"ezclip-{analysis.request.method}.npz"
    arrays: dict[str, np.ndarray] = {
        "models": np.array([r.name for r in analysis.results]),
        "heat": np.stack([r.attribution.heat for r in analysis.results]),
        "seconds": analysis.clip.seconds,
        "indices": analysis.clip.indices,
    }
    for i, r in enumerate(analysis.results):
        if r.attribution.influence is not None:
            arrays[f"influence_{i}"] = r.attribution.influence
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return str(path)


def overlay_mp4(services: Services, analysis: Analysis, opacity: float) -> str:
    """The chosen frames with all models' maps side by side, input first, as H.264."""
    frames = square(analysis.clip.images, VIDEO_SIDE)
    rows = [frames, *(overlay(frames, r.attribution.heat, analysis.limit, opacity) for r in analysis.results)]
    wide = np.concatenate(rows, axis=2).repeat(HOLD, axis=0)
    path = services.scratch() / f"{Path(analysis.clip.name).stem}-{analysis.request.method}.mp4"
    write_mp4(path, wide, fps=VIDEO_FPS)
    return str(path)
