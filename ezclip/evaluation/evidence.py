"""Measures of what a model needs of a video, motion or one frame, under their standard names.

Accuracies are in [0, 1]; ties count half. ``MEANING`` has one line and a reference value for each.
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
    """From ``told`` by model: title, meaning and reference of each measure, and every model's value or None."""
    measures = {name: one for own in evidence.values() for name, one in own.items()}
    return [
        (
            WITHIN_PAIRS if name == "chiral_accuracy" else name.replace("_", " "),
            one,
            [own.get(name, {}).get("value") for own in evidence.values()],
        )
        for name, one in measures.items()
    ]


def told(values: dict[str, float | None]) -> Document:
    """Name -> {"value", "meaning", "reference"}; a value that is undefined, NaN or None, is null."""
    return {
        name: {"value": None if value is None or value != value else value}
        | dict(zip(("meaning", "reference"), MEANING[name], strict=True))
        for name, value in values.items()
    }


def relative_gain(accuracy: float, other: float, chance: float) -> float | None:
    """The ratio accuracy / other, minus 1 (Multi-Frame Gain, Frame Order Sensitivity); None if either is at chance."""
    return None if min(accuracy, other) <= chance else accuracy / other - 1


def opposite_text(forward: Tensor, reverse: Tensor) -> tuple[float, float]:
    """Video to text and text to video; both (B, 2): scores of clips, and of their reverses, for label and opposite."""
    own, turned = forward[:, 0], reverse[:, 1]
    wrong_text, wrong_video = forward[:, 1], reverse[:, 0]
    to_text = torch.cat([_wins(own, wrong_text), _wins(turned, wrong_video)])
    to_video = torch.cat([_wins(own, wrong_video), _wins(turned, wrong_text)])
    return float(to_text.mean()), float(to_video.mean())


def _wins(first: Tensor, second: Tensor) -> Tensor:
    return (first > second).double() + 0.5 * (first == second)


def single_frames(scores: Tensor, targets: Tensor) -> Tensor:
    """What frames say alone, (B, T, 3): score of the clip's class, best score, and 1 where that is the clip's class.

    From scores (B, T, C) of each frame's own embedding in the clip's one pass, and the clips' classes (B,).
    """
    best, answers = scores.max(dim=-1)
    own = scores.gather(-1, targets[:, None, None].expand(-1, scores.shape[1], 1)).squeeze(-1)
    return torch.stack([own, best, (answers == targets[:, None]).to(own.dtype)], dim=-1)


def single_frame_values(alone: Tensor) -> dict[str, float | None]:
    """Accuracies of one frame, and the disparity of frames, from ``single_frames``."""
    own, best, right = alone.double().unbind(-1)
    confident = best.argmax(dim=1, keepdim=True)
    return {
        "mean_frame": float(right.mean()),
        "most_confident_frame": float(right.gather(1, confident).mean()),
        "any_frame": float(right.amax(dim=1).mean()),
        "frame_information_disparity": float((own.amax(dim=1) - own.mean(dim=1)).mean()),
    }


def order_values(found: Document, C: int) -> dict[str, float | None]:
    """The measures of order, from ``order.order_sensitivity`` among C classes."""
    plain, turned = found["as it is"]["top1"], found["reversed"]
    return {
        "reverse_drop": plain - turned["top1"],
        "multi_frame_gain": relative_gain(plain, found["frozen"]["top1"], 1 / C),
        "frame_order_sensitivity": relative_gain(plain, found["shuffled"]["top1"], 1 / C),
    } | {name: turned[name] for name in ("opposite_text_v2t", "opposite_text_t2v") if name in turned}
