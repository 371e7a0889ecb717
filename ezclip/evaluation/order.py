"""Variations of a clip: its frames in another order, static, slower or faster; and a model's accuracy on them."""

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
        as they are; "reversed"; "shuffled"; "frozen", the middle frame T times; "first, then last", the first frame
        T/2 times and then the last; "double speed", every second frame, then the last held. "half speed" takes the T
        segment centres of the clip's middle half.
    """
    chosen = segment_centres(total, T)
    rng = np.random.default_rng(0)
    half = max(1, total // 2)
    fast = chosen[::2]
    return {
        "as it is": [chosen],
        "reversed": [chosen[::-1]],
        "shuffled": [[chosen[i] for i in rng.permutation(T)] for _ in range(SHUFFLES)],
        "frozen": [[chosen[T // 2]] * T],
        "first, then last": [[chosen[0]] * (T // 2) + [chosen[-1]] * (T - T // 2)],
        "half speed": [[total // 4 + i for i in segment_centres(half, T)]],
        "double speed": [fast + [chosen[-1]] * (T - len(fast))],
    }


@dataclass(frozen=True, eq=False)
class Variations:
    """Every variation of one video: the distinct frames, and their ``orders``."""

    frames: Frames
    orders: Orders

    def clips(self, name: str) -> Iterator[Clip]:
        """The draws of one variation, each created on demand."""
        return (self.frames.select(order) for order in self.orders[name])


def read_variations(path: str, T: int, report: Report = silent) -> Variations:
    """Decode one video for its variations.

    Raises:
        VideoError: the file cannot be read.
    """

    def wanted(total: int) -> list[int]:
        return sorted({i for draws in orders(total, T).values() for order in draws for i in order})

    frames = read_frames(path, wanted, report=report)
    return Variations(frames, orders(frames.total, T))


def order_sensitivity(
    predictor: Predictor, rows: Sequence[Row], labels: list[str], texts: str = "trained"
) -> Steps[Document]:
    """Accuracy under each variation of ``orders``; clips that cannot be read are left out.

    A row's label must be among ``labels``; ``texts`` as in ``text.templates.sentences``.

    Returns:
        variation -> {"n", "top1", "within_pairs" where there are pairs}, means over the shuffles; for "reversed" also
        "flips": the share of clips with a partner whose prediction changes from their label to its partner; and
        "opposite_text_v2t" and "opposite_text_t2v" of these clips, see ``evidence``.
    """
    model = predictor.model
    partners = partners_of(rows)
    written = predictor.sentences(labels, texts)
    encoded = predictor.encode_texts([sentence for label in labels for sentence in written[label]])
    scores: dict[str, list[torch.Tensor]] = {}
    targets = []
    for number, row in enumerate(rows):
        yield Progress(number / len(rows), f"{predictor.name}: order of frames, clip {number + 1} of {len(rows)}")
        try:
            variations = read_variations(str(row.path), model.num_frames)
        except VideoError:
            continue
        views = [model.view(c.images) for name in variations.orders for c in variations.clips(name)]
        with torch.inference_mode():
            video = model.encode(model.normalise(to_device(torch.stack(views), predictor.device)))
            found = class_scores(model.scores(video, encoded), len(labels)).cpu()
        draws = [len(draws) for draws in variations.orders.values()]
        for name, part in zip(variations.orders, found.split(draws), strict=True):
            scores.setdefault(name, []).append(part)  # (draws, C)
        targets.append(labels.index(row.label))
    truth = torch.tensor(targets)
    result: Document = {}
    for name, parts in scores.items():
        each = [accuracies(s, truth, labels, partners) for s in torch.stack(parts, dim=1)]  # (draws, B, C)
        result[name] = {"n": len(truth)} | {
            key: float(np.mean([a[key] for a in each])) for key in ("top1", "within_pairs") if key in each[0]
        }
    if partners and result:
        index = {label: i for i, label in enumerate(labels)}
        partner = torch.tensor([index.get(partners.get(labels[t], ""), -1) for t in targets])
        paired = partner >= 0
        pair = torch.stack([truth, partner], dim=1)[paired]
        both = [torch.cat(scores[name])[paired] for name in ("as it is", "reversed")]
        own, turned = (found.argmax(dim=1) for found in both)
        result["reversed"]["flips"] = float(((own == pair[:, 0]) & (turned == pair[:, 1])).float().mean())
        shares = opposite_text(*(found.gather(1, pair) for found in both))
        result["reversed"] |= dict(zip(("opposite_text_v2t", "opposite_text_t2v"), shares, strict=True))
    return result
