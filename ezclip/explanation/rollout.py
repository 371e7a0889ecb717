"""Attention rollout through frames and temporal prompts.

For a video, let A_t be a block's head-fused attention in frame t (the last index is the prompt token), P the attention
among the T prompts, and R_t, (1+N) x T(1+N), the share of each input token in each token of frame t. With R = I below
the first block, each block computes

    r_t = sum_s P[t, s] * mean over the 1+N tokens i of R_s[i]                      (the prompt's content, Eq. 2 and 3)
    R_t = 1/2 * (R_t + A_t[:1+N, :1+N] @ R_t + outer(A_t[:1+N, 1+N], r_t))          (Eq. 8 with its residual)

P is not mixed with the identity, because the prompt path has no residual; the learned prompt is a constant like a bias;
the prompt's row is dropped with the prompt; token-wise operations are omitted. Only the rows W (T x T x (1+N)) of the
class tokens are needed, so the product is computed from the top layer down, as row vectors times matrices.

With a transformer over frames (ActionCLIP, A5, X-CLIP), W starts from the rollout F of that transformer instead of the
identity: F <- 1/2 * (F + F @ A) for each of its blocks, T x T, and 1/2 * (F + I) for a skip connection around them.
X-CLIP's messages are computed from the class tokens: r_t = 1/2 * (R_t[0] + sum_s P[t, s] * R_s[0]). With attention
pooling (SigLIP, PE-Core), W starts from the pool's attention to the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT, MapSettings
from ezclip.explanation.trace import AttentionTrace
from ezclip.parameters import check_parameters


@dataclass(frozen=True, eq=False)
class Rollout:
    """Result of a rollout.

    Attributes:
        weights: W, float32 (T, T, 1+N): attention of the class token of frame t (first index) to token i of frame t'.
            Token 0 is the class token. Normalised rows sum to 1 over t' and i, or to less for a model with learned
            tokens among the patches, whose share is omitted.
    """

    weights: Tensor

    @property
    def influence(self) -> Tensor:
        """(T, T): attention of frame t to frame t'; the identity for models without prompts."""
        return self.weights.sum(dim=-1)

    @property
    def heat(self) -> Tensor:
        """(T, N): heat on the patches of frame t', averaged over the T class tokens like the video embedding."""
        return self.weights[:, :, 1:].mean(dim=0)

    @property
    def own_frame(self) -> Tensor:
        """(T, N): attention of frame t's class token to the patches of frame t."""
        T = len(self.weights)
        return self.weights[torch.arange(T), torch.arange(T), 1:]


def roll_out(
    trace: AttentionTrace,
    settings: MapSettings = DEFAULT,
    *,
    normalised: bool = True,
    token: tuple[int, int] | None = None,
) -> Rollout:
    """Attention rollout of one clip, from its trace (B = 1).

    With ``token``, the index of a frame and of a token in it, the weights are the row of that token, (1, T, 1+N),
    instead of the class tokens. Without ``normalised``, rows are not normalised and blocks add their attention without
    the factor 1/2.

    Raises:
        UserError: a start layer or discard ratio out of range.
    """
    check_parameters(settings)
    layers, start_layer, discard = len(trace.frames), settings.start_layer, settings.discard
    if start_layer >= layers:
        raise UserError(f"The start layer is {start_layer}; this model has layers 0 to {layers - 1}.")
    rows = partial(_rows, discard=discard) if normalised else lambda attention: attention
    prompted = trace.prompts[-1] is not None
    T, n = len(trace.frames[-1]), trace.frames[-1].shape[-1] - int(prompted)  # n = 1+N plus learned tokens
    eye = torch.eye(T, device=trace.frames[-1].device)
    F = eye
    for A in reversed(trace.temporal):
        F = (F + F @ rows(A[0])) / 2 if normalised else F + F @ A[0]
    W = torch.zeros(T, T, n, device=eye.device)
    W[:, :, 0] = (F + eye) / 2 if normalised and trace.skip else F  # the class tokens
    if trace.pool is not None:
        W = eye.unsqueeze(-1) * trace.pool
    if token is not None:
        W = torch.zeros_like(W[:1])
        W[0, token[0], token[1]] = 1.0
    for k in reversed(range(start_layer, layers)):
        A = rows(trace.frames[k])  # (T, n, n), or n+1 with a prompt
        through = torch.einsum("uti,tij->utj", W, A[:, :n, :n])
        P = trace.prompts[k]
        if P is not None:
            to_prompt = torch.einsum("uti,ti->ut", W, A[:, :n, n])  # attention of each frame to its prompt
            if trace.messages:
                among = (eye + rows(P[0])) / 2 if normalised else eye + P[0]
                through[:, :, 0] += to_prompt @ among
            else:
                through = through + (to_prompt @ rows(P[0]) / n).unsqueeze(-1)
        W = (W + through) / 2 if normalised else W + through
        if k <= trace.last_replaced:
            W[:, :, n - trace.learned :] = 0  # the output of the block below was replaced by a constant
    return Rollout(W[:, :, : n - trace.learned])


def _rows(attention: Tensor, discard: float) -> Tensor:
    """Remove the smallest entries of each row and renormalise."""
    count = int(discard * attention.shape[-1])
    if count:
        smallest = attention.topk(count, dim=-1, largest=False).indices
        attention = attention.scatter(-1, smallest, 0.0)
    return attention / attention.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(attention.dtype).tiny)
