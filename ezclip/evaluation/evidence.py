"""Measures of whether a model relies on motion or on single frames, under their standard names.

Accuracies are in [0, 1]; ties count half. ``MEANING`` has a description and a reference value for each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ezclip.types import WITHIN_PAIRS, Document

MEANING: dict[str, tuple[str, str]] = {
    "chiral_accuracy": (
        "share of clips whose own label outscores its temporal opposite (TARA, arXiv 2512.13511; Chirality in "
        "Action, 2509.08502)",
        "chance 0.5",
    ),
    "opposite_text_v2t": (
        "right text of two, a label and its opposite, for a clip and for its reverse (RTime-Binary, video to "
        "text; arXiv 2412.19178)",
        "chance 0.5; CLIP 0.495, InternVideo2-1B 0.520 on RTime",
    ),
    "opposite_text_t2v": (
        "right video of two, a clip and its reverse, for a label and for its opposite (RTime-Binary, text to "
        "video; arXiv 2412.19178)",
        "chance 0.5; CLIP 0.491, InternVideo2-1B 0.510 on RTime",
    ),
    "reverse_drop": (
        "accuracy minus that of the reversed clips with the labels of the clips in order (TVBench, arXiv 2410.07752)",
        "0 for a model that is blind to order",
    ),
    "multi_frame_gain": (
        "accuracy over that of the static middle frame, minus 1; null where either is at chance (kappa of "
        "TOMATO, arXiv 2410.23266)",
        "below 0.05 on older benchmarks, up to 0.663 on TOMATO",
    ),
    "frame_order_sensitivity": (
        "accuracy over that of shuffled frames, minus 1; null where either is at chance (tau of TOMATO, arXiv "
        "2410.23266)",
        "0 for a model that is blind to order; below 0.08 on older benchmarks, up to 0.341 on TOMATO",
    ),
    "frame_information_disparity": (
        "score of the label by the best single frame minus that by the mean single frame, mean over clips; low where "
        "information is evenly spread (after TOMATO, arXiv 2410.23266, whose exact form is not public)",
        "0 where all frames are equal",
    ),
    "mean_frame": ("accuracy of single frames", "chance 1/C"),
    "most_confident_frame": ("accuracy of the frame with the highest score of any label", "chance 1/C"),
    "any_frame": (
        "share of clips with at least one frame that alone ranks the label first: an upper bound of any choice of one "
        "frame (the oracle behind ATP, arXiv 2206.01720, which is a trained choice)",
        "the accuracy of the whole clips; what lies above the bound needs more than one frame",
    ),
    "order_blind": (
        "1: frames are encoded one by one and averaged, so that no score can depend on their order; measures of order "
        "are left out",
        "absent for a model that can see order",
    ),
    "curvature": (
        "mean angle in degrees between successive steps of the frame embeddings; the same for the reversed clip, so no "
        "test of order (Hénaff 2019)",
        "0 on a line, 120 for independent points; 82 to 84 on Tabletop's clips in order",
    ),
}


def evidence_rows(evidence: dict[str, Document]) -> list[tuple[str, Document, list[float | None]]]:
    """From ``annotate`` by model: title, annotation and every model's value, or None, of each measure."""
    measures = {name: measure for values in evidence.values() for name, measure in values.items()}
    return [
        (
            WITHIN_PAIRS if name == "chiral_accuracy" else name.replace("_", " "),
            measure,
            [values.get(name, {}).get("value") for values in evidence.values()],
        )
        for name, measure in measures.items()
    ]


def annotate(values: dict[str, float | None]) -> Document:
    """Name -> {"value", "meaning", "reference"}; undefined values, NaN or None, become None."""
    return {
        name: {"value": None if value is None or value != value else value}
        | dict(zip(("meaning", "reference"), MEANING[name], strict=True))
        for name, value in values.items()
    }


def relative_gain(accuracy: float, baseline: float, chance: float) -> float | None:
    """``accuracy`` / ``baseline`` - 1 (Multi-Frame Gain, Frame Order Sensitivity); None if either is at chance."""
    return None if min(accuracy, baseline) <= chance else accuracy / baseline - 1


def opposite_text(forward: Tensor, reverse: Tensor) -> tuple[float, float]:
    """Accuracy video to text and text to video; scores (B, 2) of clips and their reverses for label and opposite."""
    label, opposite = forward.unbind(1)
    reversed_label, reversed_opposite = reverse.unbind(1)
    to_text = torch.cat([_wins(label, opposite), _wins(reversed_opposite, reversed_label)])
    to_video = torch.cat([_wins(label, reversed_label), _wins(reversed_opposite, opposite)])
    return float(to_text.mean()), float(to_video.mean())


def _wins(first: Tensor, second: Tensor) -> Tensor:
    return (first > second).double() + 0.5 * (first == second)


def single_frames(scores: Tensor, targets: Tensor) -> Tensor:
    """Classify every frame on its own: (B, T, 3), target score, highest score, and 1 where the frame is correct.

    Args:
        scores: (B, T, C), from the frame embeddings of one pass over each clip.
        targets: (B,) int64.
    """
    best, predictions = scores.max(dim=-1)
    target_scores = scores.gather(-1, targets[:, None, None].expand(-1, scores.shape[1], 1)).squeeze(-1)
    return torch.stack([target_scores, best, (predictions == targets[:, None]).to(scores.dtype)], dim=-1)


def single_frame_values(frames: Tensor) -> dict[str, float | None]:
    """Accuracies of single frames and the disparity of frames, from ``single_frames``."""
    target_scores, best, correct = frames.double().unbind(-1)
    confident = best.argmax(dim=1, keepdim=True)
    return {
        "mean_frame": float(correct.mean()),
        "most_confident_frame": float(correct.gather(1, confident).mean()),
        "any_frame": float(correct.amax(dim=1).mean()),
        "frame_information_disparity": float((target_scores.amax(dim=1) - target_scores.mean(dim=1)).mean()),
    }


def order_values(orders: Document, C: int) -> dict[str, float | None]:
    """Measures of sensitivity to frame order, from the result of ``order.order_sensitivity`` on C classes."""
    top1, backward = orders["as it is"]["top1"], orders["reversed"]
    return {
        "reverse_drop": top1 - backward["top1"],
        "multi_frame_gain": relative_gain(top1, orders["static"]["top1"], 1 / C),
        "frame_order_sensitivity": relative_gain(top1, orders["shuffled"]["top1"], 1 / C),
    } | {name: backward[name] for name in ("opposite_text_v2t", "opposite_text_t2v") if name in backward}
