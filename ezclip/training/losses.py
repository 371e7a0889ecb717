"""Losses of EZ-CLIP, Eq. 1 and 4-7, as in the paper and as in the released code, and a calibrated motion loss."""

import torch.nn.functional as F
from torch import Tensor

from ezclip.errors import ConfigError
from ezclip.model.spread import spread
from ezclip.types import Reading


def motion_loss(frames: Tensor, reading: Reading, static: Tensor | None = None) -> Tensor:
    """Motion loss, Eq. 6: ``1 / (1 + Var + C)``; 1 if all frames of a clip have the same embedding.

    paper: the loss of each clip, averaged over clips. released: the loss of the mean Var + C over the batch. Both lie
    in (0, 1]. With several processes ``frames`` must hold the global batch.

    calibrated: not in the paper. Prompts give the frames different embeddings even when nothing moves, and Eq. 6
    rewards that spread as if it were motion. With S = Var + C of a clip and S0 = Var + C of its static copy (one of its
    frames T times), Var + C in Eq. 6 is replaced by the spread beyond the static copy, relative to 1 + S0:
    ``1 / (1 + (S - S0) / (1 + S0)) = (1 + S0) / (1 + S)`` for each clip, averaged over clips. It equals the paper's
    loss for S0 = 0 (models without prompts), is 1 if a clip has the spread of its static copy, and grows with S0.

    Args:
        frames: (B, T, E), not normalised.
        reading: "paper", "released" or "calibrated".
        static: (B, T, E) of the static copies, only for "calibrated".

    Returns:
        A scalar.

    Raises:
        ConfigError: "calibrated" without ``static``, or an unknown reading.
    """
    variance, difference = spread(frames, reading)
    total = variance + difference  # (B,)
    if reading == "released":
        return 1 / (1 + total.mean())
    if reading == "paper":
        return (1 / (1 + total)).mean()
    if static is None:
        raise ConfigError("The calibrated motion loss needs the embeddings of static copies.")
    variance, difference = spread(static, reading)
    return ((1 + variance + difference) / (1 + total)).mean()


def contrastive_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Eq. 1 over all C class texts: cross-entropy of each video's logits with its class.

    Args:
        logits: (B, C) from ``EZCLIP.logits``.
        labels: (B,) int64 class indices, or (B, C) class weights of mixed clips.
        smoothing: label smoothing, as in ViFi-CLIP.

    Returns:
        A scalar, the mean over B.
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def in_batch_kl(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The release's contrastive loss: KL divergence to softmax(10 * same label), for videos and for texts.

    Videos of the same class in the batch are positives of each other. The release's mean over all entries times the
    batch size equals the sum over rows divided by B.

    Args:
        logits: (B, B), row i is video i against the text of each video in the batch.
        labels: (B,) int64.

    Returns:
        The loss of the videos and the loss of the texts; training uses their mean.
    """
    target = (10.0 * (labels[:, None] == labels[None, :]).float()).softmax(dim=1)  # (B, B), symmetric
    video_loss, text_loss = (
        F.kl_div(rows.float().log_softmax(dim=1), target, reduction="batchmean") for rows in (logits, logits.T)
    )
    return video_loss, text_loss
