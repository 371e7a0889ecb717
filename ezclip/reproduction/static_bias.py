"""How much a model relies on static content and single frames, on the versions of ``data.tabletop.static_bias``."""

import json
from pathlib import Path

import numpy as np

from ezclip.data.manifest import MANIFEST, read_rows
from ezclip.data.tabletop.classes import LABELS, Names
from ezclip.data.tabletop.static_bias import MOTIONS_OF_THINGS, VERSIONS, donor
from ezclip.evaluation.evidence import single_frame_values
from ezclip.evaluation.metrics import mean_interval
from ezclip.evaluation.run import Evaluation, evaluate
from ezclip.predictor import Predictor
from ezclip.progress import Steps
from ezclip.types import Document


def static_bias(models: dict[str, Predictor], folder: Path) -> Steps[Document]:
    """``measures`` of each model on the split "static" that ``synthesise`` wrote to ``folder``, among all classes."""
    rows = read_rows(folder)
    seeds = [json.loads(line)["seed"] for line in (folder / MANIFEST).read_text("utf-8").splitlines()]
    motions = {label: names for names in MOTIONS_OF_THINGS for label in names}
    donors = [donor(motions[row.label], seed)[0] for row, seed in zip(rows, seeds, strict=True)]
    results: Document = {}
    for name, predictor in models.items():
        evaluation = yield from evaluate(predictor, rows, LABELS)
        results[name] = measures(evaluation, donors)
    return results


def measures(evaluation: Evaluation, donors: list[Names]) -> Document:
    """Accuracies of the versions and measures derived from them.

    Args:
        evaluation: evaluation of all clips of a split; the clips of a class are ordered by scene.
        donors: classes of each clip's donor.

    Returns:
        "versions": version -> {"n", "top1", "low", "high", "within_pairs"}, top-1 with its 95 % interval;
        "contrasted": [mean, low, high], the share of scenes correct on ``stripes`` and wrong on ``still_stripes``;
        "follows_background": share of action swaps predicted as a class of the background's clip; and
        "single_frames": ``single_frame_values`` of the originals.
    """
    version = np.array([row.family for row in evaluation.rows])
    versions = evaluation.report()["families"]
    for name in VERSIONS:
        interval = mean_interval(evaluation.correct[version == name])
        versions[name] |= {"low": interval.low, "high": interval.high}
    swapped = (version == "action_swap").nonzero()[0]
    predictions = [evaluation.labels[c] for c in evaluation.scores.argmax(dim=1).tolist()]
    contrasted = evaluation.correct[version == "stripes"] & ~evaluation.correct[version == "still_stripes"]
    return {
        "versions": versions,
        "contrasted": mean_interval(contrasted).bar,
        "follows_background": float(np.mean([predictions[i] in donors[i] for i in swapped])),
        "single_frames": single_frame_values(evaluation.single_frames[version == "original"]),
    }
