"""Variations of a clip, with frames reordered, repeated, slower or faster, and a model's accuracy on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ezclip.data.manifest import Row, partners_of
from ezclip.errors import VideoError
from ezclip.evaluation.evidence import opposite_text
from ezclip.evaluation.metrics import accuracies
from ezclip.model.interface import class_scores
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Report, Steps, silent
from ezclip.types import Clip, Document, Frames
from ezclip.video.read import read_frames
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import to_device

SHUFFLES = 5
Orders = dict[str, list[list[int]]]


def orders(total: int, T: int) -> Orders:
    """The indices of T frames, for each variation of a clip of ``total`` frames.

    Returns:
        variation -> one list of T indices, five for "shuffled". All but "half speed" use the T segment-centre frames:
        "as it is", in their order; "reversed"; "shuffled"; "static", the middle frame T times; "first, then last", the
        first frame T/2 times and then the last; "double speed", every second frame, then the last one repeated. "half
        speed" takes the T segment centres of the clip's middle half.
    """
    centres = segment_centres(total, T)
    rng = np.random.default_rng(0)
    half = max(1, total // 2)
    fast = centres[::2]
    return {
        "as it is": [centres],
        "reversed": [centres[::-1]],
        "shuffled": [[centres[i] for i in rng.permutation(T)] for _ in range(SHUFFLES)],
        "static": [[centres[T // 2]] * T],
        "first, then last": [[centres[0]] * (T // 2) + [centres[-1]] * (T - T // 2)],
        "half speed": [[total // 4 + i for i in segment_centres(half, T)]],
        "double speed": [fast + [centres[-1]] * (T - len(fast))],
    }


@dataclass(frozen=True, eq=False)
class Variations:
    """All variations of a video: its distinct frames and the ``orders`` to show them in."""

    frames: Frames
    orders: Orders

    def clips(self, name: str) -> Iterator[Clip]:
        """The clips of one variation, created on demand."""
        return (self.frames.select(order) for order in self.orders[name])


def read_variations(path: str, T: int, report: Report = silent) -> Variations:
    """Decode one video for its variations.

    Raises:
        VideoError: the file cannot be read.
    """

    def distinct_indices(total: int) -> list[int]:
        return sorted({i for draws in orders(total, T).values() for order in draws for i in order})

    frames = read_frames(path, distinct_indices, report=report)
    return Variations(frames, orders(frames.total, T))


def order_sensitivity(
    predictor: Predictor, rows: Sequence[Row], labels: list[str], texts: str = "trained"
) -> Steps[Document]:
    """Accuracy under each variation of ``orders``; unreadable clips are skipped.

    The rows' labels must be among ``labels``; ``texts`` as in ``text.templates.sentences``.

    Returns:
        variation -> {"n", "top1", "within_pairs" if any pairs}, means over the shuffles; for "reversed" also, over
        clips whose label has a partner, "flips": the share whose prediction changes from the label to the partner, and
        "opposite_text_v2t" and "opposite_text_t2v", see ``evidence``.
    """
    model = predictor.model
    partners = partners_of(rows)
    sentences = predictor.sentences(labels, texts)
    encoded = predictor.encode_texts([sentence for label in labels for sentence in sentences[label]])
    scores: dict[str, list[torch.Tensor]] = {}
    targets = []
    for number, row in enumerate(rows):
        yield Progress(number / len(rows), f"{predictor.name}: order of frames, clip {number + 1} of {len(rows)}")
        try:
            variations = read_variations(str(row.path), model.num_frames)
        except VideoError:
            continue
        views = [model.preprocess(c.images) for name in variations.orders for c in variations.clips(name)]
        with torch.inference_mode():
            video = model.encode(model.normalise(to_device(torch.stack(views), predictor.device)))
            clip_scores = class_scores(model.scores(video, encoded), len(labels)).cpu()
        counts = [len(draws) for draws in variations.orders.values()]
        for name, part in zip(variations.orders, clip_scores.split(counts), strict=True):
            scores.setdefault(name, []).append(part)  # (draws, C)
        targets.append(labels.index(row.label))
    truth = torch.tensor(targets)
    result: Document = {}
    for name, parts in scores.items():
        reports = [accuracies(s, truth, labels, partners) for s in torch.stack(parts, dim=1)]  # (draws, B, C)
        result[name] = {"n": len(truth)} | {
            key: float(np.mean([r[key] for r in reports])) for key in ("top1", "within_pairs") if key in reports[0]
        }
    if partners and result:
        index = {label: i for i, label in enumerate(labels)}
        partner = torch.tensor([index.get(partners.get(labels[t], ""), -1) for t in targets])
        has_partner = partner >= 0
        pair = torch.stack([truth, partner], dim=1)[has_partner]
        forward, backward = (torch.cat(scores[name])[has_partner] for name in ("as it is", "reversed"))
        flips = (forward.argmax(dim=1) == pair[:, 0]) & (backward.argmax(dim=1) == pair[:, 1])
        result["reversed"]["flips"] = float(flips.float().mean())
        shares = opposite_text(forward.gather(1, pair), backward.gather(1, pair))
        result["reversed"] |= dict(zip(("opposite_text_v2t", "opposite_text_t2v"), shares, strict=True))
    return result
