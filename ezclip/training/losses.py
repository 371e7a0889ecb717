"""The losses of EZ-CLIP, Eq. 1 and 4-7, each in two readings: the paper's text and the released code."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.errors import ConfigError
from ezclip.types import Reading


def spread(frames: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """Variance and central difference of each video's frame embeddings, Eq. 4 and 5.

    paper: Var divides by T and is averaged over E; C is (1/T) times the sum over the T-2 interior frames of
    ``||e[t+1] - e[t-1]|| / 2``, the norm over E. The paper leaves the ends open; here they contribute 0.

    released: Var divides by T-1 and is averaged over E; C is the mean over T and E of ``|e[t+1] - e[t-1]| / 2``,
    element by element, the end frames repeated beyond the ends.

    Args:
        frames: (B, T, E), not normalised.
        reading: "paper" or "released".

    Returns:
        Var (B,) and C (B,), both 0 for T = 1.

    Raises:
        ConfigError: unknown reading.
    """
    if reading not in ("paper", "released"):
        raise ConfigError(f"The reading of the motion loss is {reading!r}; it must be 'paper' or 'released'.")
    if frames.shape[1] == 1:
        zero = frames.new_zeros(len(frames))
        return zero, zero
    variance = frames.var(dim=1, correction=1 if reading == "released" else 0).mean(dim=-1)  # (B,)
    if reading == "paper":
        T = frames.shape[1]
        return variance, (frames[:, 2:] - frames[:, :-2]).norm(dim=-1).sum(dim=1) / (2 * T)
    ends = torch.cat([frames[:, :1], frames, frames[:, -1:]], dim=1)  # (B, T+2, E)
    return variance, (ends[:, 2:] - ends[:, :-2]).abs().mean(dim=(1, 2)) / 2


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
    return tuple(F.kl_div(rows.float().log_softmax(dim=1), target, reduction="batchmean") for rows in (logits, logits.T))
