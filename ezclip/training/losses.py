"""The losses of EZ-CLIP, Eq. 1 and 4-7, as formulated in the paper and in the released code, and one of ours."""

import torch.nn.functional as F
from torch import Tensor

from ezclip.errors import ConfigError
from ezclip.model.spread import spread
from ezclip.types import Reading


def motion_loss(frames: Tensor, reading: Reading, frozen: Tensor | None = None) -> Tensor:
    """Motion loss, Eq. 6: ``1 / (1 + Var + C)``; 1 where all frames of a clip have one embedding.

    paper: of each clip, then the mean over clips. released: of the mean of Var + C over the batch. Both lie in (0, 1].
    With several processes ``frames`` must hold the global batch.

    calibrated: ours. Prompts give each frame an embedding of its own even when nothing moves, and Eq. 6 rewards that
    spread as if it were motion. With S = Var + C of a clip and S0 that of its static copy (one of its frames T times),
    put the spread beyond the static copy, relative to 1 + S0, in place of Var + C in Eq. 6:
    ``1 / (1 + (S - S0) / (1 + S0)) = (1 + S0) / (1 + S)``, of each clip, then the mean. It is the paper's loss where
    S0 = 0 (models without prompts), 1 where a clip has the spread of its static copy, and grows with S0.

    Args:
        frames: (B, T, E), not normalised.
        reading: "paper", "released" or "calibrated".
        frozen: (B, T, E) of the static copies, for "calibrated" alone.

    Returns:
        A scalar.

    Raises:
        ConfigError: "calibrated" without ``frozen``, or an unknown reading.
    """
    variance, difference = spread(frames, reading)
    total = variance + difference  # (B,)
    if reading == "released":
        return 1 / (1 + total.mean())
    if reading == "paper":
        return (1 / (1 + total)).mean()
    if frozen is None:
        raise ConfigError("The calibrated motion loss needs the embeddings of frozen copies.")
    variance, difference = spread(frozen, reading)
    return ((1 + variance + difference) / (1 + total)).mean()


def contrastive_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Eq. 1 over all C class texts: cross-entropy of each video's logits with its own class.

    Args:
        logits: (B, C) from ``EZCLIP.logits``.
        labels: (B,) int64 class indices, or of mixed clips (B, C) the shares of the classes.
        smoothing: share of the target that is spread over all classes, as in ViFi-CLIP.

    Returns:
        A scalar, the mean over B.
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


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
