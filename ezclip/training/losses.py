"""The losses of EZ-CLIP, Eq. 1 and 4-7, each in two readings: the paper's text and the released code."""

import torch.nn.functional as F
from torch import Tensor

from ezclip.model.spread import spread
from ezclip.types import Reading


def motion_loss(frames: Tensor, reading: Reading) -> Tensor:
    """Motion loss, Eq. 6: ``1 / (1 + Var + C)``, in (0, 1]; 1 where all frames of a clip have one embedding.

    paper: of each clip, then the mean over clips. released: of the mean of Var + C over the batch. Under several
    processes ``frames`` must hold the global batch.

    Args:
        frames: (B, T, E), not normalised.
        reading: "paper" or "released".

    Returns:
        A scalar.
    """
    variance, difference = spread(frames, reading)
    total = variance + difference  # (B,)
    return 1 / (1 + total.mean()) if reading == "released" else (1 / (1 + total)).mean()


def contrastive_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 1 over all C class texts: cross-entropy of each video's logits with its own class.

    Args:
        logits: (B, C) from ``EZCLIP.logits``.
        labels: (B,) int64 class indices.

    Returns:
        A scalar, the mean over B.
    """
    return F.cross_entropy(logits.float(), labels)


def in_batch_kl(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The release's contrastive loss: KL divergence to softmax(10 * same label), for videos and for texts.

    Videos of one class in the batch are positives of each other. The mean over all entries times the batch size, as in
    the release, is the sum over rows divided by B.

    Args:
        logits: (B, B), row i video i against the text of each video in the batch.
        labels: (B,) int64.

    Returns:
        The loss of the videos and the loss of the texts; training uses their mean.
    """
    target = (10.0 * (labels[:, None] == labels[None, :]).float()).softmax(dim=1)  # (B, B), symmetric
    of_videos, of_texts = (
        F.kl_div(rows.float().log_softmax(dim=1), target, reduction="batchmean") for rows in (logits, logits.T)
    )
    return of_videos, of_texts
