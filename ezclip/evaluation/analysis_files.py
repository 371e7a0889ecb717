"""Files of an analysis: maps as a picture, as numbers and as a video, and all of it with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ezclip.evaluation.analysis import Analysis, Host
from ezclip.evaluation.analysis_report import analysis_report, label_files
from ezclip.evaluation.proof import MapProof
from ezclip.explanation.temporal import TemporalView, temporal_view
from ezclip.figures.maps import draw_difference, overlay, square
from ezclip.video.encode import write_mp4

VIDEO_SIDE = 224
HOLD = 4  # frames of the overlay video for each of the T frames
VIDEO_FPS = 8


def save_maps(path: Path, analysis: Analysis, proofs: list[MapProof], host: Host) -> Path:
    """An NPZ file: names of the "models", their "heat" (models, T, grid, grid), "seconds" and "indices" of the frames.

    "deletion" and "insertion" are the maps' gains over chance, NaN where they are not measured. For rollouts also
    influence_i (T, T) of model i; where the model that is looked at has prompts, by layer "prompts" (K, T, T) and
    "reading" (K, T, grid, grid), see ``TemporalView``.
    """
    arrays: dict[str, np.ndarray] = {
        "models": np.array([r.name for r in analysis.results]),
        "heat": np.stack([r.attribution.heat for r in analysis.results]),
        "seconds": analysis.clip.seconds,
        "indices": analysis.clip.indices,
        "deletion": np.array([proof.deletion for proof in proofs], float),
        "insertion": np.array([proof.insertion for proof in proofs], float),
    }
    for i, r in enumerate(analysis.results):
        if r.attribution.influence is not None:
            arrays[f"influence_{i}"] = r.attribution.influence
    if (view := view_of(analysis, host)) is not None:
        arrays |= {"layers": np.array(view.layers), "prompts": view.prompts, "reading": view.reading}
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path


def view_of(analysis: Analysis, host: Host) -> TemporalView | None:
    """The temporal prompts of the model that is looked at, on the analysis's clip; None without prompts."""
    predictor = host.predictor(analysis.model.name)
    with host.lock:
        predictor.set_video(analysis.clip)
        return temporal_view(predictor)


def save_overlay(path: Path, analysis: Analysis, opacity: float) -> Path:
    """The chosen frames with all models' maps side by side, input first, the difference last, as H.264."""
    frames = square(analysis.clip.images, VIDEO_SIDE)
    rows = [frames, *(overlay(frames, r.attribution.heat, analysis.limit, opacity) for r in analysis.results)]
    if analysis.difference is not None:
        rows.append(draw_difference(frames, analysis.difference, opacity))
    write_mp4(path, np.concatenate(rows, axis=2).repeat(HOLD, axis=0), fps=VIDEO_FPS)
    return path


def write_analysis(out: Path, analysis: Analysis, proofs: list[MapProof], host: Host) -> dict[str, Any]:
    """Write the report in all its forms, maps.npz, overlay.mp4 and what the command in the report needs.

    Returns:
        report.json's content with "files": name -> path.
    """
    report = analysis_report(analysis, proofs, view_of(analysis, host))
    files = report.write(out)
    files["maps"] = save_maps(out / "maps.npz", analysis, proofs, host)
    files["overlay"] = save_overlay(out / "overlay.mp4", analysis, analysis.request.opacity)
    for name, text in label_files(analysis.names, analysis.request.sentences).items():
        files[name] = out / name
        files[name].write_text(text, "utf-8")
    return report.data | {"files": {name: str(path) for name, path in files.items()}}
