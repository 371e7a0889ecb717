"""Statistics of a video's frame embeddings: Var and C of Eq. 4 and 5, in two readings, and path curvature."""

from typing import get_args

import torch
from torch import Tensor

from ezclip.errors import ConfigError
from ezclip.types import Reading

STILL = 1e-5  # relative to the embeddings' mean norm; shorter steps have no direction


def spread(frames: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """Variance and central difference of each video's frame embeddings, Eq. 4 and 5.

    paper: Var divides by T and is averaged over E; C is (1/T) times the sum over the T-2 interior frames of
    ``||e[t+1] - e[t-1]|| / 2``, the norm over E. The paper does not define the ends; here they contribute 0.

    released: Var divides by T-1 and is averaged over E; C is the mean over T and E of ``|e[t+1] - e[t-1]| / 2``,
    element-wise, with the end frames repeated.

    calibrated: same as released; only the motion loss differs.

    Args:
        frames: (B, T, E), not normalised.
        reading: "paper", "released" or "calibrated".

    Returns:
        Var (B,) and C (B,), both 0 for T = 1.

    Raises:
        ConfigError: unknown reading.
    """
    if reading not in get_args(Reading):
        raise ConfigError(f"The reading of the motion loss is {reading!r}; choose {', '.join(get_args(Reading))}.")
    if frames.shape[1] == 1:
        zero = frames.new_zeros(len(frames))
        return zero, zero
    variance = frames.var(dim=1, correction=0 if reading == "paper" else 1).mean(dim=-1)  # (B,)
    if reading == "paper":
        T = frames.shape[1]
        return variance, (frames[:, 2:] - frames[:, :-2]).norm(dim=-1).sum(dim=1) / (2 * T)
    padded = torch.cat([frames[:, :1], frames, frames[:, -1:]], dim=1)  # (B, T+2, E)
    return variance, (padded[:, 2:] - padded[:, :-2]).abs().mean(dim=(1, 2)) / 2


def curvature(frames: Tensor) -> Tensor:
    """Mean angle between successive steps of each video's frame embeddings (Henaff et al. 2019).

    With ``d[t] = e[t+1] - e[t]``, the mean over t of ``arccos(d[t] . d[t+1] / (||d[t]|| ||d[t+1]||))``: 0 on a straight
    path, 90 for random steps in many dimensions, 120 for independent embeddings. Deviation: angles at zero-length steps
    are omitted.

    Args:
        frames: (B, T, E), not normalised.

    Returns:
        (B,) float32, in degrees, in [0, 180]; NaN if no angle is defined, such as for T < 3 or identical frames.
    """
    steps = frames[:, 1:] - frames[:, :-1]
    lengths = steps.norm(dim=-1)
    moving = lengths > STILL * frames.norm(dim=-1).mean(dim=1, keepdim=True)
    cosines = torch.nn.functional.cosine_similarity(steps[:, 1:], steps[:, :-1], dim=-1)
    angles = torch.rad2deg(cosines.clamp(-1, 1).arccos())
    return torch.where(moving[:, 1:] & moving[:, :-1], angles, torch.nan).nanmean(dim=1)
